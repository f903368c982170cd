package bridge

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"go.mau.fi/util/dbutil"
	"go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/types"
)

const (
	heldLIDs    = 1024    // contacts whose two addresses an account holds in memory: the members of the largest group
	toldLIDs    = 10_000  // of one message, of which the account's phone can write one with a million
	longestUser = 20      // digits of a number or a LID
	keptLIDRows = 100_000 // of an account
)

// newLIDs are as many as an account keeps, in an hour, which is how often more than these are deleted. A phone tells its
// whole address book once, some tens of thousands.
func newLIDs() allowance { return allowance{most: keptLIDRows, within: time.Hour} }

// errLIDs: what an account was told beyond that is not kept. WhatsApp tells it again.
var errLIDs = errors.New("too many were told within an hour")

// makeLIDMap makes the table, and gives each account what the one map of an older release has of contacts that it writes
// with. That one is neither read nor written any more.
const makeLIDMap = `
	CREATE TABLE chatwren_lid_map (
		our_jid TEXT NOT NULL REFERENCES whatsmeow_device (jid) ON DELETE CASCADE ON UPDATE CASCADE,
		lid TEXT NOT NULL,
		pn TEXT NOT NULL,
		PRIMARY KEY (our_jid, lid),
		UNIQUE (our_jid, pn)
	);
	INSERT INTO chatwren_lid_map (our_jid, lid, pn)
	SELECT DISTINCT s.our_jid, m.lid, m.pn FROM whatsmeow_sessions AS s
	JOIN whatsmeow_lid_map AS m ON m.lid = substring(s.their_id FROM '^([0-9]+)_1:')`

// migrateLIDMap makes the table unless it is there.
func migrateLIDMap(ctx context.Context, pool *sql.DB) error {
	var made bool
	if err := pool.QueryRowContext(ctx, "SELECT to_regclass('chatwren_lid_map') IS NOT NULL").Scan(&made); err != nil || made {
		return err
	}
	_, err := pool.ExecContext(ctx, makeLIDMap) // several statements in one go are one transaction
	return err
}

// An address's other one, which is looked for.
const (
	theLID    = iota // of a number
	theNumber        // of a LID
)

var otherUsers = [...]string{
	theLID:    "SELECT pn, lid FROM chatwren_lid_map WHERE our_jid = $1 AND pn = ANY ($2::text[])",
	theNumber: "SELECT lid, pn FROM chatwren_lid_map WHERE our_jid = $1 AND lid = ANY ($2::text[])",
}

// lidMemory is what an account holds in memory of its map, as true as memory is. What is not known is held too, until it
// is told.
type lidMemory struct {
	mu      sync.Mutex
	version uint64               // grows with every change, as memory's
	other   [2]map[string]string // theLID by number, theNumber by LID; "": none is known
	fresh   allowance            // of what is written
}

// discard empties the memory.
func (m *lidMemory) discard() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.version++
	m.other = [2]map[string]string{{}, {}}
}

func (m *lidMemory) keep(what int, user, other string) {
	hold(m.other[what], user, other, heldLIDs)
	if other != "" {
		hold(m.other[1-what], other, user, heldLIDs)
	}
}

// lidStore is an account's map of the two addresses of a contact, its number and its LID: what WhatsApp and its own phone
// have told this account. What the phone of another one says is nothing to it.
type lidStore struct {
	database *database
	memory   *lidMemory
	device   *store.Device
	jid      string
}

// own are the account's two addresses. They come from its pairing, and no message changes them. None where WhatsApp has
// not told both.
func (s lidStore) own(what int) (user, other string) {
	number, lid := s.device.GetJID().User, s.device.GetLID().User
	switch {
	case lid == "":
		return "", ""
	case what == theLID:
		return number, lid
	}
	return lid, number
}

// find is the other address of each user, "" where none is known: from memory, else from disk.
func (s lidStore) find(ctx context.Context, what int, users []string) (map[string]string, error) {
	found := make(map[string]string, len(users))
	own, other := s.own(what)
	var missing []string
	s.memory.mu.Lock()
	version := s.memory.version
	for _, user := range users {
		held, known := s.memory.other[what][user]
		switch {
		case own != "" && user == own:
			found[user] = other
		case known:
			found[user] = held
		case isUser(user):
			missing = append(missing, user)
		}
	}
	s.memory.mu.Unlock()
	if len(missing) == 0 {
		return found, nil
	}
	if err := s.read(ctx, otherUsers[what], found, missing); err != nil {
		return nil, err
	}
	s.memory.mu.Lock()
	defer s.memory.mu.Unlock()
	if s.memory.version == version && !s.within(ctx) {
		for _, user := range missing {
			s.memory.keep(what, user, found[user])
		}
	}
	return found, nil
}

func (s lidStore) read(ctx context.Context, query string, into map[string]string, arguments ...any) error {
	rows, err := s.database.queries.Query(ctx, query, append([]any{s.jid}, arguments...)...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var user, other string
		if err := rows.Scan(&user, &other); err != nil {
			return err
		}
		into[user] = other
	}
	return rows.Err()
}

// within says whether ctx is within a transaction, of which nobody knows yet how it ends.
func (s lidStore) within(ctx context.Context) bool {
	_, within := s.database.queries.Execable(ctx).(dbutil.Transaction)
	return within
}

func isUser(user string) bool {
	return user != "" && len(user) <= longestUser && strings.Trim(user, "0123456789") == ""
}

func (s lidStore) GetLIDForPN(ctx context.Context, pn types.JID) (types.JID, error) {
	return s.one(ctx, theLID, pn, types.DefaultUserServer, types.HiddenUserServer)
}

func (s lidStore) GetPNForLID(ctx context.Context, lid types.JID) (types.JID, error) {
	return s.one(ctx, theNumber, lid, types.HiddenUserServer, types.DefaultUserServer)
}

func (s lidStore) one(ctx context.Context, what int, jid types.JID, from, to string) (types.JID, error) {
	if jid.Server != from {
		return types.JID{}, fmt.Errorf("%s has no address @%s", jid, to)
	}
	found, err := s.find(ctx, what, []string{jid.User})
	if err != nil || found[jid.User] == "" {
		return types.JID{}, err
	}
	return types.JID{User: found[jid.User], Device: jid.Device, Server: to}, nil
}

func (s lidStore) GetManyLIDsForPNs(ctx context.Context, pns []types.JID) (map[types.JID]types.JID, error) {
	users := make([]string, 0, len(pns))
	for _, pn := range pns {
		if pn.Server == types.DefaultUserServer {
			users = append(users, pn.User)
		}
	}
	found, err := s.find(ctx, theLID, users)
	if err != nil {
		return nil, err
	}
	lids := make(map[types.JID]types.JID, len(pns))
	for _, pn := range pns {
		if lid := found[pn.User]; lid != "" && pn.Server == types.DefaultUserServer {
			lids[pn] = types.JID{User: lid, Device: pn.Device, Server: types.HiddenUserServer}
		}
	}
	return lids, nil
}

func (s lidStore) PutLIDMapping(ctx context.Context, lid, pn types.JID) error {
	return s.PutManyLIDMappings(ctx, []store.LIDMapping{{LID: lid, PN: pn}})
}

// PutManyLIDMappings writes what is not known yet. Of two that contradict each other the later counts. errLIDs: more is new
// than may come, and only so much is written.
func (s lidStore) PutManyLIDMappings(ctx context.Context, mappings []store.LIDMapping) error {
	numbers, lids := make(map[string]string), make(map[string]string)
	ownNumber, ownLID := s.own(theLID)
	for _, mapping := range mappings[max(0, len(mappings)-toldLIDs):] {
		lid, number := mapping.LID.User, mapping.PN.User
		if mapping.LID.Server != types.HiddenUserServer || mapping.PN.Server != types.DefaultUserServer ||
			!isUser(lid) || !isUser(number) || lid == ownLID || number == ownNumber {
			continue
		}
		delete(numbers, lids[number])
		delete(lids, numbers[lid])
		numbers[lid], lids[number] = number, lid
	}
	fresh, err := s.fresh(ctx, numbers)
	if err != nil || len(fresh) == 0 {
		return err
	}
	s.memory.mu.Lock()
	granted := s.memory.fresh.grant(len(fresh), time.Now())
	s.memory.mu.Unlock()
	if granted == len(fresh) {
		return s.write(ctx, fresh)
	}
	for lid := range fresh {
		if len(fresh) > granted {
			delete(fresh, lid)
		}
	}
	if len(fresh) > 0 {
		if err := s.write(ctx, fresh); err != nil {
			return err
		}
	}
	return errLIDs
}

// fresh are those numbers by LID that are not known yet.
func (s lidStore) fresh(ctx context.Context, numbers map[string]string) (map[string]string, error) {
	fresh := make(map[string]string)
	var unsure []string
	s.memory.mu.Lock()
	for lid, number := range numbers {
		switch held, known := s.memory.other[theLID][number]; {
		case !known:
			unsure = append(unsure, lid)
		case held != lid:
			fresh[lid] = number
		}
	}
	s.memory.mu.Unlock()
	found, err := s.find(ctx, theNumber, unsure)
	for _, lid := range unsure {
		if found[lid] != numbers[lid] {
			fresh[lid] = numbers[lid]
		}
	}
	return fresh, err
}

const (
	deleteLIDs = "DELETE FROM chatwren_lid_map WHERE our_jid = $1 AND (lid = ANY ($2::text[]) OR pn = ANY ($3::text[])) RETURNING lid, pn"
	insertLIDs = "INSERT INTO chatwren_lid_map (our_jid, lid, pn) SELECT $1, lid, pn FROM unnest($2::text[], $3::text[]) AS told (lid, pn)"
)

// write puts numbers by LID in the place of what was known of either.
func (s lidStore) write(ctx context.Context, numbers map[string]string) error {
	lids := slices.Sorted(maps.Keys(numbers))
	pns := make([]string, len(lids))
	for i, lid := range lids {
		pns[i] = numbers[lid]
	}
	s.memory.mu.Lock()
	begun := s.memory.version
	s.memory.mu.Unlock()
	before := make(map[string]string)
	err := s.database.queries.DoTxn(ctx, nil, func(ctx context.Context) error {
		if err := s.read(ctx, deleteLIDs, before, lids, pns); err != nil {
			return err
		}
		_, err := s.database.queries.Exec(ctx, insertLIDs, s.jid, lids, pns)
		return err
	})
	s.memory.mu.Lock()
	defer s.memory.mu.Unlock()
	known := err == nil && s.memory.version == begun && !s.within(ctx)
	s.memory.version++
	for _, gone := range []map[string]string{before, numbers} {
		for lid, number := range gone {
			delete(s.memory.other[theNumber], lid)
			delete(s.memory.other[theLID], number)
		}
	}
	if known {
		for lid, number := range numbers {
			s.memory.keep(theNumber, lid, number)
		}
	}
	return err
}
