package bridge_test

import (
	"net/http"
	"strings"
	"testing"

	"chatwren/engine/bridge"
	"chatwren/engine/enginepb"
)

func rename(t *testing.T, number, name string) {
	t.Helper()
	phones(t, http.MethodPatch, "/phones/"+number, map[string]any{"name": name}, nil)
}

// renamedTo fits what tells that the own name of an account has changed.
func renamedTo(account, name string) func(*enginepb.Event) bool {
	return func(event *enginepb.Event) bool {
		return event.Account == account && event.GetPushName().GetName() == name
	}
}

// knownAs fits what tells the own name of an account, either when it changes or with a connection.
func knownAs(account, name string) func(*enginepb.Event) bool {
	return func(event *enginepb.Event) bool {
		return renamedTo(account, name)(event) || event.Account == account && event.GetState().GetPushName() == name
	}
}

// nameUnfetched links a phone, and renames it: of the new name the account has been told, and waits to fetch it.
func nameUnfetched(t *testing.T, n *node, name string) (alice linked, release func()) {
	t.Helper()
	worker := n.listen()
	alice = n.pair(newNumber())
	rename(t, alice.number, "Alice")
	worker.await("the first name", 1, knownAs(alice.id, "Alice"))
	eventually(t, "all is fetched", func() bool { return !bridge.FetchesSettings(n.engine, alice.id) })
	worker.close()
	release = bridge.HoldSettings(t, n.engine)
	rename(t, alice.number, name)
	eventually(t, "the account is told of the name", func() bool { return bridge.FetchesSettings(n.engine, alice.id) })
	eventually(t, "WhatsApp knows that", func() bool { return queued(t, alice.number) == 0 })
	return alice, release
}

func TestANameIsFetchedThoughTheConnectionBreaks(t *testing.T) {
	t.Parallel()
	server := gateToSandbox(t)
	n := startNode(t, overAddress(server.address()))
	alice, release := nameUnfetched(t, n, "Alice anew")
	worker := n.listen()
	server.close()
	worker.await("loss of the connection", 1, stateOf(alice.id, enginepb.Event_State_DISCONNECTED))
	release()
	eventually(t, "the fetch fails", func() bool {
		return strings.Contains(n.logs.String(), "settings of the phone cannot be read") && !bridge.FetchesSettings(n.engine, alice.id)
	})
	server.open()
	worker.await("the new name", 1, knownAs(alice.id, "Alice anew"))
}

func TestANameIsFetchedThoughTheEngineEnds(t *testing.T) {
	t.Parallel()
	first := startNode(t)
	alice, release := nameUnfetched(t, first, "Alice anew")
	first.stop()
	release()
	n := startNode(t)
	worker := n.listen()
	n.open(alice, 1, long)
	worker.await("the new name", 1, knownAs(alice.id, "Alice anew"))
}

// TestANameThatNobodyTookIsToldAgain ends the worker's stream between an account's name and the ack of it.
func TestANameThatNobodyTookIsToldAgain(t *testing.T) {
	t.Parallel()
	n := startNode(t)
	deaf := n.listenWith(func(event *enginepb.Event) (ack, ok bool) { return event.GetPushName() == nil, true })
	alice := n.pair(newNumber())
	renamed := renamedTo(alice.id, "Alice anew")
	rename(t, alice.number, "Alice anew")
	deaf.await("the name", 1, renamed)
	deaf.close()
	n.listen().await("the name again", 1, renamed)
}
