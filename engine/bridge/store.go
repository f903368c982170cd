package bridge

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/util/keys"
)

// patience is how often work fails although the database takes writes, before its error is believed.
const patience = 5

// keeper wraps the stores of one device: its state in memory, the guard, the fence, and waiting for the database.
type keeper struct {
	database *database
	guard    *guard
	memory   *memory
	lease    func() error          // an error once this process may no longer act for the account
	aside    func(raw []byte) bool // puts aside what was decrypted and is no message
	settings func(name string)     // has a collection of settings fetched
	log      *slog.Logger

	pairing atomic.Bool // the device was saved just now, and has not begun to log in

	saving    sync.Mutex
	forgotten bool
}

// adopt puts the wrappers around a device's stores. Until it is paired a device has none: saving it makes them, and
// whatever arrives first after that finds the wrappers in place.
func (k *keeper) adopt(device *store.Device) {
	device.Container = keptContainer{device.Container, k}
	if device.Initialized {
		k.wrapStores(device)
	}
}

// newState makes the innermost store of a device. It is a variable for the benchmark, which measures whatsmeow's own beside it.
var newState = func(k *keeper, jid types.JID) store.AllSessionSpecificStores {
	return newSessionState(k.database, k.memory, jid)
}

func (k *keeper) wrapStores(device *store.Device) {
	device.SetAllStores(newState(k, device.GetJID()))
	bind(device)
	device.Sessions = guardedSessions{device.Sessions, k.guard, k.lease}
	device.EventBuffer = &keptEvents{EventBuffer: device.EventBuffer, keeper: k, shares: allowance{most: mostKeys, within: time.Minute}}
	device.LIDs = keptLIDs{lidStore{k.database, &k.memory.lids, device, device.GetJID().String()}, k}
	device.PreKeys = keptPreKeys{device.PreKeys, k}
	device.AppState = unfetched{device.AppState, k.settings}
}

// notNow marks an error so that whatsmeow leaves the stanza unacknowledged: WhatsApp delivers it again after a
// reconnect. whatsmeow does so for a cancelled context only.
func notNow(err error) error { return fmt.Errorf("%w: %w", context.Canceled, err) }

// patiently repeats work that failed because the database was away, or took no writes.
func (k *keeper) patiently(ctx context.Context, work func() error) error {
	for attempt := 1; ; attempt++ {
		err := work()
		if err == nil {
			return nil
		}
		if attempt == 1 {
			k.log.Warn("waiting for the database", "error", err.Error())
		}
		reached := k.database.reach(ctx) == nil
		if !reached {
			attempt = 1
		}
		if attempt >= patience || !k.database.await(ctx) {
			return notNow(err)
		}
	}
}

// saved returns when no device is being saved. To be called after the end of the account: none will be then.
func (k *keeper) saved() {
	k.saving.Lock()
	defer k.saving.Unlock()
}

type keptContainer struct {
	store.DeviceContainer
	keeper *keeper
}

// PutDevice saves a device, but brings none back that was forgotten: whatsmeow also saves the push name, whenever it comes.
func (c keptContainer) PutDevice(ctx context.Context, device *store.Device) error {
	c.keeper.saving.Lock()
	defer c.keeper.saving.Unlock()
	if c.keeper.forgotten {
		return errForgotten
	}
	if err := c.keeper.lease(); err != nil {
		return err
	}
	for _, name := range []*string{&device.PushName, &device.BusinessName, &device.Platform} {
		if fit := readable(*name, longestName); fit != *name {
			*name = fit
		}
	}
	fresh := !device.Initialized
	err := c.DeviceContainer.PutDevice(ctx, device)
	if fresh && device.Initialized { // the stores were made just now, and the container was set back
		device.Container = c
		c.keeper.wrapStores(device)
		c.keeper.pairing.Store(true)
	}
	return err
}

// errForgotten is what whatsmeow is told when it deletes a device: the keys are gone, but the device in memory must stay
// as it is. whatsmeow would empty it while its other goroutines read it.
var errForgotten = errors.New("the keys of the device are forgotten")

// errKept is what whatsmeow is told when it deletes a device whose pairing it could not confirm to WhatsApp. WhatsApp may have
// heard of it all the same, and the phone list the device: with its keys alone can it be logged out, as after a pairing
// that fails later.
var errKept = errors.New("the keys of the device are kept until it is logged out")

func (c keptContainer) DeleteDevice(_ context.Context, device *store.Device) error {
	c.keeper.saving.Lock()
	defer c.keeper.saving.Unlock()
	if c.keeper.pairing.Load() {
		return errKept
	}
	c.keeper.forgotten = true
	if err := c.keeper.database.forget(device.GetJID()); err != nil {
		return err
	}
	return errForgotten
}

// keptPreKeys writes a batch of new keys, 812 of them after a pairing, in one transaction instead of one each.
type keptPreKeys struct {
	store.PreKeyStore
	keeper *keeper
}

func (p keptPreKeys) GetOrGenPreKeys(ctx context.Context, count uint32) (made []*keys.PreKey, err error) {
	err = p.keeper.database.queries.DoTxn(ctx, nil, func(ctx context.Context) error {
		made, err = p.PreKeyStore.GetOrGenPreKeys(ctx, count)
		return err
	})
	return made, err
}

// keptEvents is the buffer of decrypted events. Looking a message up, decrypting it and noting that it was decrypted is
// one exchange under the guard, and one transaction, which waits until the database is there: a message that could not
// be noted must not be acknowledged.
type keptEvents struct {
	store.EventBuffer
	keeper  *keeper
	current [32]byte // the message that the holder of the guard is at
	garbage []byte   // what it was decrypted to, if that is no message
	shares  allowance
}

// GetBufferedEvent keeps the guard if the message is new: whatsmeow then calls DoDecryptionTxn at once.
func (b *keptEvents) GetBufferedEvent(ctx context.Context, hash [32]byte) (*store.BufferedEvent, error) {
	if err := b.keeper.lease(); err != nil {
		return nil, notNow(err)
	}
	if err := b.keeper.guard.lock(ctx); err != nil {
		return nil, notNow(err)
	}
	var found *store.BufferedEvent
	err := b.keeper.patiently(ctx, func() (err error) {
		found, err = b.EventBuffer.GetBufferedEvent(ctx, hash)
		return err
	})
	if err != nil || found != nil {
		b.keeper.guard.unlock()
		return found, err
	}
	b.current, b.garbage = hash, nil
	return nil, nil
}

// PutBufferedEvent keeps a message until it is stored. What is none whatsmeow would keep for as long as its hash, since it
// is never stored: it is put aside instead.
func (b *keptEvents) PutBufferedEvent(ctx context.Context, hash [32]byte, plaintext []byte, serverTime time.Time) error {
	message, err := messageOf(plaintext)
	if err != nil {
		return err
	}
	if keys := len(told(message).GetAppStateSyncKeyShare().GetKeys()); b.shares.grant(keys, time.Now()) < keys {
		return errKeys
	}
	if message == nil {
		b.garbage, plaintext = plaintext, nil
	}
	return b.EventBuffer.PutBufferedEvent(ctx, hash, plaintext, serverTime)
}

func (b *keptEvents) DoDecryptionTxn(ctx context.Context, decrypt func(context.Context) error) error {
	garbage, err := b.decrypt(ctx, decrypt)
	if err == nil && garbage != nil && !b.keeper.aside(garbage) {
		b.keeper.log.Warn("what is no message is lost", "bytes", len(garbage))
	}
	return err
}

func (b *keptEvents) decrypt(ctx context.Context, decrypt func(context.Context) error) (garbage []byte, failed error) {
	defer b.keeper.guard.unlock()
	hash := b.current
	begun := false
	var refused signalError
	err := b.keeper.patiently(ctx, func() error {
		if err := b.keeper.lease(); err != nil {
			refused.error = notNow(err)
			return nil
		}
		if begun {
			// The transaction that failed may have been committed all the same: the session would have moved on.
			found, err := b.EventBuffer.GetBufferedEvent(ctx, hash)
			if err != nil || found != nil {
				return err
			}
		}
		begun = true
		err := b.EventBuffer.DoDecryptionTxn(ctx, func(ctx context.Context) error { return decrypt(withDecryption(ctx)) })
		if errors.As(err, &refused) {
			return nil
		}
		return err
	})
	if refused.error != nil {
		return nil, refused.error
	}
	return b.garbage, err
}

// AddOutgoingEvent is the first that whatsmeow does with a message that has waited for others: the time limit of one may have
// ended meanwhile.
func (b *keptEvents) AddOutgoingEvent(ctx context.Context, chat types.JID, id types.MessageID, format string, plaintext []byte) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%w: %w", errHeldUp, err)
	}
	return b.EventBuffer.AddOutgoingEvent(ctx, chat, id, format, plaintext)
}

// DeleteOldOutgoingEvents does nothing: whatsmeow calls it with each message, forgetting when it did so last. See
// cleanHourly.
func (*keptEvents) DeleteOldOutgoingEvents(context.Context) error { return nil }

// DeleteOldBufferedHashes does nothing: whatsmeow calls it once for each account, for the rows of all. See cleanHourly.
func (*keptEvents) DeleteOldBufferedHashes(context.Context) error { return nil }

// keptLIDs waits for the database where an inbound message is to be decrypted, or said whose it is: with no address found
// it would be decrypted with the wrong session, fail, and be acknowledged. It writes while the lease lasts.
type keptLIDs struct {
	store.LIDStore
	keeper *keeper
}

func (l keptLIDs) GetLIDForPN(ctx context.Context, pn types.JID) (types.JID, error) {
	return l.find(ctx, pn, types.DefaultUserServer, l.LIDStore.GetLIDForPN)
}

func (l keptLIDs) GetPNForLID(ctx context.Context, lid types.JID) (types.JID, error) {
	return l.find(ctx, lid, types.HiddenUserServer, l.LIDStore.GetPNForLID)
}

func (l keptLIDs) find(
	ctx context.Context, jid types.JID, server string, look func(context.Context, types.JID) (types.JID, error),
) (other types.JID, err error) {
	if exchangeOf(ctx) != nil || jid.Server != server {
		return look(ctx, jid)
	}
	err = l.keeper.patiently(ctx, func() (err error) {
		other, err = look(ctx, jid)
		return err
	})
	return other, err
}

func (l keptLIDs) PutLIDMapping(ctx context.Context, lid, pn types.JID) error {
	if err := l.keeper.lease(); err != nil {
		return err
	}
	return l.told(l.LIDStore.PutLIDMapping(ctx, lid, pn))
}

func (l keptLIDs) PutManyLIDMappings(ctx context.Context, mappings []store.LIDMapping) error {
	if err := l.keeper.lease(); err != nil {
		return err
	}
	return l.told(l.LIDStore.PutManyLIDMappings(ctx, mappings))
}

// told makes it no error that an account was told too many addresses: for one, whatsmeow would not send a message.
func (l keptLIDs) told(err error) error {
	if errors.Is(err, errLIDs) {
		l.keeper.log.Warn("addresses of contacts are not kept", "why", err.Error())
		return nil
	}
	return err
}
