package bridge

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"go.mau.fi/whatsmeow"
	"go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/types"
)

func numberJID(user int) types.JID {
	return types.NewJID("4915"+strconv.Itoa(user), types.DefaultUserServer)
}
func lidJID(user int) types.JID { return types.NewJID("20"+strconv.Itoa(user), types.HiddenUserServer) }

// newTestLIDs is the map of a device that is stored. `fresh` begins with an empty memory.
func newTestLIDs(t *testing.T) (lids lidStore, fresh func() lidStore) {
	t.Helper()
	state, _ := newTestState(t)
	device := &store.Device{ID: &state.account, LID: types.NewADJID("99"+state.account.User, types.LIDDomain, 1)}
	fresh = func() lidStore {
		return lidStore{database: state.database, memory: &newMemory().lids, device: device, jid: state.jid}
	}
	return fresh(), fresh
}

// both expects a contact's two addresses of each other; an empty one: none is known.
func both(t *testing.T, lids lidStore, lid, number types.JID) {
	t.Helper()
	if !number.IsEmpty() {
		if got, err := lids.GetLIDForPN(t.Context(), number); err != nil || got != lid {
			t.Fatalf("the LID of %v is %v, %v; want %v", number, got, err, lid)
		}
	}
	if !lid.IsEmpty() {
		if got, err := lids.GetPNForLID(t.Context(), lid); err != nil || got != number {
			t.Fatalf("the number of %v is %v, %v; want %v", lid, got, err, number)
		}
	}
}

func put(t *testing.T, lids lidStore, lid, number types.JID) {
	t.Helper()
	if err := lids.PutLIDMapping(t.Context(), lid, number); err != nil {
		t.Fatal(err)
	}
}

// What one account is told is nothing to another, and an address that was not known is found once it is.
func TestAnAccountsMapIsItsOwn(t *testing.T) {
	alice, freshAlice := newTestLIDs(t)
	mallory, _ := newTestLIDs(t)
	bob, bobLID, malloryLID := numberJID(1), lidJID(1), lidJID(666)
	both(t, alice, types.EmptyJID, bob)
	both(t, alice, bobLID, types.EmptyJID)
	put(t, alice, bobLID, bob)
	both(t, alice, bobLID, bob)
	put(t, mallory, malloryLID, bob)
	put(t, mallory, bobLID, numberJID(666))
	for _, lids := range []lidStore{alice, freshAlice()} {
		both(t, lids, bobLID, bob)
		both(t, lids, malloryLID, types.EmptyJID)
		both(t, lids, types.EmptyJID, numberJID(666))
	}
	many, err := alice.GetManyLIDsForPNs(t.Context(), []types.JID{types.NewADJID(bob.User, 0, 7), numberJID(666), bobLID})
	if want := (types.JID{User: bobLID.User, Device: 7, Server: types.HiddenUserServer}); err != nil || len(many) != 1 || many[types.NewADJID(bob.User, 0, 7)] != want {
		t.Errorf("many: %v, %v", many, err)
	}
}

// Whatever is told, in whichever order, an account has one LID for a number and one number for a LID, the last that was told,
// and memory says what is on disk.
func TestTheLastThatWasToldCounts(t *testing.T) {
	lids, fresh := newTestLIDs(t)
	chance := rand.New(rand.NewPCG(3, 4))
	const users = 40
	numbers := map[types.JID]types.JID{} // by LID
	for range 300 {
		told, last := make([]store.LIDMapping, 1+chance.IntN(5)), map[types.JID]types.JID{}
		for i := range told {
			told[i] = store.LIDMapping{LID: lidJID(chance.IntN(users)), PN: numberJID(chance.IntN(users))}
			maps.DeleteFunc(last, func(_, number types.JID) bool { return number == told[i].PN })
			last[told[i].LID] = told[i].PN
		}
		maps.DeleteFunc(numbers, func(_, number types.JID) bool { return slices.Contains(slices.Collect(maps.Values(last)), number) })
		maps.Copy(numbers, last)
		if err := lids.PutManyLIDMappings(t.Context(), told); err != nil {
			t.Fatal(err)
		}
		for user := range users {
			both(t, lids, lidJID(user), numbers[lidJID(user)])
			if !slices.Contains(slices.Collect(maps.Values(numbers)), numberJID(user)) {
				both(t, lids, types.EmptyJID, numberJID(user))
			}
		}
	}
	for user := range users {
		both(t, fresh(), lidJID(user), numbers[lidJID(user)])
	}
}

// Of what an account is told in an hour only so much is kept, however it is told, and then more again.
func TestAnAccountLearnsSoManyAddressesInAnHour(t *testing.T) {
	lids, _ := newTestLIDs(t)
	lids.memory.fresh.most = 25
	kept := keptLIDs{lids, &keeper{lease: func() error { return nil }, log: slog.New(slog.DiscardHandler)}}
	tell := func(first int) {
		t.Helper()
		told := make([]store.LIDMapping, 20)
		for i := range told {
			told[i] = store.LIDMapping{LID: lidJID(first + i), PN: numberJID(first + i)}
		}
		if err := kept.PutManyLIDMappings(t.Context(), told); err != nil {
			t.Fatal(err)
		}
	}
	expect := func(want int) {
		t.Helper()
		var rows int
		if err := lids.database.sql.QueryRow("SELECT count(*) FROM chatwren_lid_map WHERE our_jid = $1", lids.jid).Scan(&rows); err != nil || rows != want {
			t.Errorf("%d are kept, %v; want %d", rows, err, want)
		}
	}
	tell(0)
	tell(0)
	expect(20)
	tell(20)
	expect(25)
	if err := kept.PutLIDMapping(t.Context(), lidJID(50), numberJID(50)); err != nil {
		t.Error(err)
	}
	both(t, lids, types.EmptyJID, numberJID(50))
	expect(25)
	lids.memory.discard() // with a new login
	tell(60)
	expect(25)
	lids.memory.fresh.since = time.Now().Add(-time.Hour - time.Second)
	tell(60)
	expect(45)
}

// What is held in memory costs no statement: neither an address, nor that there is none, nor hearing of one again.
func TestWhatIsHeldIsNotAskedForAgain(t *testing.T) {
	lids, _ := newTestLIDs(t)
	put(t, lids, lidJID(1), numberJID(1))
	both(t, lids, lidJID(2), types.EmptyJID)
	lids.database.close()
	both(t, lids, lidJID(1), numberJID(1))
	both(t, lids, lidJID(2), types.EmptyJID)
	put(t, lids, lidJID(1), numberJID(1))
	if err := lids.PutLIDMapping(t.Context(), lidJID(2), numberJID(2)); err == nil {
		t.Error("what is new was written without a database")
	}
}

// Memory is bounded however many are told or asked for, and so is what one message can tell; what is no address is neither
// asked for nor kept.
func TestAMapIsBounded(t *testing.T) {
	lids, _ := newTestLIDs(t)
	told := make([]store.LIDMapping, toldLIDs+100)
	for i := range told {
		told[i] = store.LIDMapping{LID: lidJID(i), PN: numberJID(i)}
	}
	for _, hostile := range []string{"", "\x00", "\xff", "1x", "123456789012345678901"} {
		told = append(told, store.LIDMapping{LID: lidJID(1), PN: types.NewJID(hostile, types.DefaultUserServer)},
			store.LIDMapping{LID: types.NewJID(hostile, types.HiddenUserServer), PN: numberJID(1)})
		both(t, lids, types.NewJID(hostile, types.HiddenUserServer), types.EmptyJID)
		both(t, lids, types.EmptyJID, types.NewJID(hostile, types.DefaultUserServer))
	}
	told = append(told, store.LIDMapping{LID: numberJID(1), PN: lidJID(1)})
	if err := lids.PutManyLIDMappings(t.Context(), told); err != nil {
		t.Fatal(err)
	}
	var rows int
	if err := lids.database.sql.QueryRow("SELECT count(*) FROM chatwren_lid_map WHERE our_jid = $1", lids.jid).Scan(&rows); err != nil || rows != toldLIDs-11 {
		t.Errorf("%d rows, %v", rows, err)
	}
	for i := range 3 * heldLIDs {
		both(t, lids, lidJID(1_000_000+i), types.EmptyJID)
		both(t, lids, types.EmptyJID, numberJID(1_000_000+i))
	}
	for what, held := range lids.memory.other {
		if len(held) > heldLIDs {
			t.Errorf("%d: %d are held", what, len(held))
		}
	}
	both(t, lids, lidJID(5000), numberJID(5000))
}

// Its own two addresses an account has from its pairing: nothing that is told changes them.
func TestOwnAddressesAreThoseOfThePairing(t *testing.T) {
	lids, fresh := newTestLIDs(t)
	number, lid := lids.device.GetJID().ToNonAD(), lids.device.GetLID().ToNonAD()
	put(t, lids, lid, number)
	put(t, lids, lidJID(666), number)
	put(t, lids, lid, numberJID(666))
	both(t, lids, lid, number)
	both(t, fresh(), lid, number)
	both(t, lids, lidJID(666), types.EmptyJID)
}

// A transaction that fails leaves nothing in memory of what was told in it.
func TestAMapFollowsTheTransaction(t *testing.T) {
	lids, _ := newTestLIDs(t)
	failure := errors.New("no more")
	err := lids.database.queries.DoTxn(t.Context(), nil, func(ctx context.Context) error {
		if err := lids.PutLIDMapping(ctx, lidJID(1), numberJID(1)); err != nil {
			return err
		}
		if number, err := lids.GetPNForLID(ctx, lidJID(1)); err != nil || number != numberJID(1) {
			t.Errorf("within: %v, %v", number, err)
		}
		return failure
	})
	if !errors.Is(err, failure) {
		t.Fatal(err)
	}
	both(t, lids, lidJID(1), types.EmptyJID)
	both(t, lids, types.EmptyJID, numberJID(1))
}

// What is read while it is being written, and what is written twice at once, leaves nothing of the older in memory.
func TestOverlappingMappings(t *testing.T) {
	lids, fresh := newTestLIDs(t)
	for round := range 200 {
		var overlapping sync.WaitGroup
		overlapping.Go(func() {
			lids.memory.discard()
			for _, user := range []int{round, round - 1} {
				if _, err := lids.GetPNForLID(t.Context(), lidJID(user)); err != nil {
					t.Error(err)
				}
			}
			if _, err := lids.GetLIDForPN(t.Context(), numberJID(1)); err != nil {
				t.Error(err)
			}
		})
		put(t, lids, lidJID(round), numberJID(1))
		overlapping.Wait()
		both(t, lids, lidJID(round), numberJID(1))
		both(t, lids, lidJID(round-1), types.EmptyJID)
	}
	for round := range 200 {
		var overlapping sync.WaitGroup
		for writer := range 2 {
			overlapping.Go(func() {
				_ = lids.PutLIDMapping(t.Context(), lidJID(1000+round), numberJID(1000+writer)) // one of both may be refused
			})
		}
		overlapping.Wait()
		want, err := fresh().GetPNForLID(t.Context(), lidJID(1000+round))
		if err != nil || want.IsEmpty() {
			t.Fatal(want, err)
		}
		both(t, lids, lidJID(1000+round), want)
	}
}

// An account whose lease ran out writes nothing.
func TestNothingIsMappedWithoutALease(t *testing.T) {
	lids, _ := newTestLIDs(t)
	kept := keptLIDs{lids, &keeper{lease: func() error { return errLease }}}
	err := kept.PutLIDMapping(t.Context(), lidJID(1), numberJID(1))
	many := kept.PutManyLIDMappings(t.Context(), []store.LIDMapping{{LID: lidJID(1), PN: numberJID(1)}})
	if !errors.Is(err, errLease) || !errors.Is(many, errLease) {
		t.Errorf("%v, %v", err, many)
	}
	both(t, lids, lidJID(1), types.EmptyJID)
}

// What an account was told goes with its device.
func TestAMapGoesWithItsDevice(t *testing.T) {
	lids, fresh := newTestLIDs(t)
	put(t, lids, lidJID(1), numberJID(1))
	if err := lids.database.forget(lids.device.GetJID()); err != nil {
		t.Fatal(err)
	}
	both(t, fresh(), lidJID(1), types.EmptyJID)
}

// A receipt names its chat by both addresses, whichever of them it came from.
func TestOtherAddressOfAChat(t *testing.T) {
	lids, _ := newTestLIDs(t)
	kept := keptLIDs{lids, &keeper{database: lids.database, log: slog.New(slog.DiscardHandler)}}
	a := &account{ctx: t.Context(), client: &whatsmeow.Client{Store: &store.Device{LIDs: kept}}}
	number, lid, none := numberJID(1), lidJID(1), types.EmptyJID
	expect := func(jid, told, want types.JID) {
		t.Helper()
		if other, err := a.otherAddress(jid, told); err != nil || other != want {
			t.Errorf("%v, told %v: %v, %v; want %v", jid, told, other, err, want)
		}
	}
	expect(lid, none, none)
	expect(lid, number, number)
	expect(number, lid, lid)
	expect(types.NewJID("1203", types.GroupServer), number, none)
	put(t, lids, lid, number)
	expect(lid, none, number)
	expect(number, none, lid)
	expect(lid, lid, number)
	expect(number, lidJID(2), lidJID(2))
}

// An address that is looked up for an inbound message before it is known is found for the next one.
func TestTheNumberOfAStrangerWhoBecomesKnown(t *testing.T) {
	lids, _ := newTestLIDs(t)
	a := &account{ctx: t.Context(), client: &whatsmeow.Client{Store: &store.Device{LIDs: lids}}, log: slog.New(slog.DiscardHandler)}
	phone := func() string { return a.phone(t.Context(), lidJID(1), types.EmptyJID) }
	if before := phone(); before != "" {
		t.Errorf("before: %q", before)
	}
	put(t, lids, lidJID(1), numberJID(1))
	if after := phone(); after != numberJID(1).User {
		t.Errorf("after: %q", after)
	}
}
