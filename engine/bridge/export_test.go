package bridge

import (
	"context"
	"sync"
	"testing"
	"time"

	"go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/store/sqlstore"
	"go.mau.fi/whatsmeow/types"
)

// plainStore is whatsmeow's own store, each of whose calls is a transaction of its own, except for decrypting.
type plainStore struct {
	*sqlstore.SQLStore
	database *database
}

func (p plainStore) DoDecryptionTxn(ctx context.Context, decrypt func(context.Context) error) error {
	var refused error
	err := p.SQLStore.DoDecryptionTxn(ctx, func(ctx context.Context) error {
		err := decrypt(ctx)
		if err != nil {
			if _, broken := p.database.queries.Exec(ctx, "SELECT 1"); broken == nil {
				refused = err
			}
		}
		return err
	})
	if refused != nil {
		return signalError{refused}
	}
	return err
}

// UsePlainStore lets accounts that are opened until restore is called keep nothing in memory.
func UsePlainStore() (restore func()) {
	held := newState
	newState = func(k *keeper, jid types.JID) store.AllSessionSpecificStores {
		return plainStore{sqlstore.NewSQLStore(k.database.container, jid), k.database}
	}
	return func() { newState = held }
}

// Hurry changes how long this process waits for a login, and for the first one after a pairing, until the test ends. Not
// for a test that runs beside others.
func Hurry(t *testing.T, login, settle time.Duration) {
	before, settling := loginPatience, settleTime
	loginPatience, settleTime = login, settle
	t.Cleanup(func() { loginPatience, settleTime = before, settling })
}

// HurryAnswers changes how long servers may be silent that engines made from now on ask, until the test ends. Not for a test
// that runs beside others.
func HurryAnswers(t *testing.T, within time.Duration) {
	before := answerTime
	answerTime = within
	t.Cleanup(func() { answerTime = before })
}

// HoldSettings keeps an engine's accounts from fetching settings, but so many at a time, until release is called, or the
// test ends.
func HoldSettings(t *testing.T, e *Engine, but int) (release func()) {
	for range settingsPlaces - but {
		e.settingsPlaces <- struct{}{}
	}
	var once sync.Once
	release = func() {
		once.Do(func() {
			for range settingsPlaces - but {
				<-e.settingsPlaces
			}
		})
	}
	t.Cleanup(release)
	return release
}

// FetchesSettings says whether an account fetches settings, or waits for a place to.
func FetchesSettings(e *Engine, id string) bool {
	a, _ := e.account(id)
	a.settings.mu.Lock()
	defer a.settings.mu.Unlock()
	return a.settings.busy
}

// ForgetAskedKeys lets an account that fetches nothing ask its phone for keys, as if it had not done so for long: where
// the phone's keys come later than its settings, it has.
func ForgetAskedKeys(e *Engine, id string) {
	a, _ := e.account(id)
	a.settings.mu.Lock()
	defer a.settings.mu.Unlock()
	a.settings.asked = time.Time{}
}

// AskForKey has whatsmeow ask an account's phone for a key of its settings, without a turn among the messages, and waits for
// WhatsApp's ack.
func AskForKey(ctx context.Context, engine *Engine, id string) {
	a, _ := engine.account(id)
	a.client.DangerousInternals().RequestAppStateKeys(ctx, [][]byte{{0, 0, 0, 0, 0, 3}})
}

// HoldSessions keeps an account from reading and writing its Signal sessions until the test ends.
func HoldSessions(t *testing.T, e *Engine, id string) {
	a, _ := e.account(id)
	if err := a.guard.lock(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.guard.unlock)
}

// Sends says whether an account is at sending something.
func Sends(e *Engine, id string) bool {
	a, _ := e.account(id)
	return len(a.turn) > 0
}
