package bridge

import (
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"go.mau.fi/whatsmeow/store"
)

// unanswered is a server that never answers.
type unanswered struct{ asked atomic.Int32 }

func (u *unanswered) RoundTrip(request *http.Request) (*http.Response, error) {
	u.asked.Add(1)
	<-request.Context().Done()
	return nil, errors.New("no answer")
}

// All accounts are refused as outdated at the same time, and WhatsApp does not say what its version is: one of them waits for
// that, and the others not for one another.
func TestAccountsDoNotAskForTheVersionOneAfterTheOther(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server := &unanswered{}
		v := protocolVersion{engine: &Engine{http: &http.Client{Transport: server}, log: slog.New(slog.DiscardHandler)}, asking: make(chan struct{}, 1)}
		refused := store.GetWAVersion()
		var accounts sync.WaitGroup
		for range 20 {
			accounts.Go(func() {
				if v.refresh(t.Context(), refused) {
					t.Error("a newer version was found")
				}
			})
		}
		accounts.Wait()
		if asked := server.asked.Load(); asked != 1 {
			t.Errorf("asked %d times", asked)
		}
		v.refresh(t.Context(), refused)
		if asked := server.asked.Load(); asked != 2 {
			t.Errorf("who comes later does not ask: %d", asked)
		}
	})
}
