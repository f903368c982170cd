package bridge

import (
	"fmt"
	"time"

	"go.mau.fi/whatsmeow/types/events"

	"chatwren/engine/enginepb"
)

const (
	offers       = 3           // of an event that the worker refuses
	refusedPause = time.Second // after the first
)

// route passes one of whatsmeow's events on. False: not acknowledged to WhatsApp.
func (a *account) route(event any) bool {
	switch event := event.(type) {
	case *events.Message:
		return a.store(a.inbound(event))
	case *events.Receipt:
		shares, err := a.receipts(event)
		if err != nil {
			return false
		}
		if stanza := stanzaOf(event); stanza != nil && len(shares) == 1 && shares[0].NeedsAck {
			a.storeBeside(shares[0], stanza)
			return false // it is acknowledged when it is stored
		}
		for _, share := range shares { // one after the other, so that other accounts' events go between them
			if !a.store(share) {
				return false
			}
		}
	case *events.UndecryptableMessage:
		a.post(undecryptable(event))
	case *events.JoinedGroup:
		a.post(&enginepb.Event{Event: &enginepb.Event_GroupChange_{GroupChange: &enginepb.Event_GroupChange{}}})
	case *events.GroupInfo:
		a.post(a.groupChange(event))
	default:
		a.connection(event)
	}
	return true
}

// store passes an event on and waits until the worker has stored it, and what came before it. Events without an ack, and
// none at all, are done at once. False: WhatsApp delivers it again when the account connects next.
func (a *account) store(event *enginepb.Event) bool {
	if event == nil {
		return true
	}
	event.Account = a.id
	if !event.NeedsAck {
		a.engine.hub.post(event)
		return true
	}
	if a.unstored.Acquire(a.ctx, mostReceipts) != nil {
		return false
	}
	defer a.unstored.Release(mostReceipts)
	return a.stored(a.engine.hub.offer(event))
}

// stored waits until the worker has stored what it was offered. What it refuses is offered again, and then put aside: to
// have WhatsApp deliver it again, which takes a new connection, would repeat itself for ever.
func (a *account) stored(offered *delivery) bool {
	event := offered.event
	for offer, pause := 1, refusedPause; ; offer, pause = offer+1, 2*pause {
		if a.engine.hub.await(a.ctx, offered) {
			return true
		}
		if a.ctx.Err() != nil {
			return false
		}
		if offer == offers {
			break
		}
		a.log.Warn("the worker has refused an event", "offer", offer)
		select {
		case <-a.ctx.Done():
			return false
		case <-time.After(pause):
		}
		event = &enginepb.Event{Account: event.Account, Event: event.Event} // an older stream may still be sending it
		offered = a.engine.hub.offer(event)
	}
	if event.GetUnreadable() == nil {
		aside := a.engine.hub.offer(unreadable(event, fmt.Sprintf("the worker has refused it %d times", offers)))
		if a.engine.hub.await(a.ctx, aside) {
			return true
		}
	}
	if a.ctx.Err() == nil {
		a.log.Error("the worker has refused an event, even to be put aside")
	}
	return false
}

func (a *account) post(event *enginepb.Event) {
	if event != nil {
		event.Account = a.id
		a.engine.hub.post(event)
	}
}

// connection follows the state of the connection. The states that end it for good, or until Open, are whatsmeow's too.
func (a *account) connection(event any) {
	switch event := event.(type) {
	case *events.Connected, *events.KeepAliveRestored:
		a.online.Store(true)
		a.reportConnected()
		a.engine.work.Go(a.catchUp)
	case *events.Disconnected:
		a.offline("connection lost")
	case *events.KeepAliveTimeout:
		if event.ErrorCount == 1 {
			a.offline("no answer to keep-alive")
		}
	case *events.StreamReplaced:
		a.park(&enginepb.Event_State{Kind: enginepb.Event_State_REPLACED})
	case *events.TemporaryBan:
		state := &enginepb.Event_State{Kind: enginepb.Event_State_BANNED, Code: int32(event.Code)}
		if event.Expire > 0 {
			state.ExpiresAt = time.Now().Add(event.Expire).UnixMilli()
		}
		a.park(state)
	case *events.ConnectFailure:
		a.park(&enginepb.Event_State{
			Kind: enginepb.Event_State_CONNECT_FAILURE, Code: int32(event.Reason), Detail: event.Message,
		})
	case *events.CATRefreshError:
		a.park(&enginepb.Event_State{Kind: enginepb.Event_State_CONNECT_FAILURE, Detail: event.Error.Error()})
	case *events.ClientOutdated:
		a.online.Store(false)
		a.engine.work.Go(a.update) // not here: asking for the version takes its time
	case *events.LoggedOut:
		a.engine.dismiss(a) // whatsmeow deletes the keys
		a.report(&enginepb.Event_State{Kind: enginepb.Event_State_LOGGED_OUT, Code: int32(event.Reason)})
	}
}

// reportConnected tells the own name too, and of two never the older one last.
func (a *account) reportConnected() {
	a.settings.naming.Lock()
	defer a.settings.naming.Unlock()
	a.report(&enginepb.Event_State{Kind: enginepb.Event_State_CONNECTED, PushName: a.client.Store.PushName})
}

// update connects again with a newer protocol version, if there is one.
func (a *account) update() {
	if a.engine.version.refresh(a.ctx, *a.named.Load()) {
		a.connect()
		return
	}
	a.park(&enginepb.Event_State{Kind: enginepb.Event_State_OUTDATED})
}

func (a *account) offline(detail string) {
	if a.online.Swap(false) {
		a.tried.Store(int64(leaseNow()))
	}
	a.report(&enginepb.Event_State{Kind: enginepb.Event_State_DISCONNECTED, Detail: detail})
}

// park reports a state out of which only Open leads.
func (a *account) park(state *enginepb.Event_State) {
	a.online.Store(false)
	a.parked.Store(true)
	a.report(state)
}

func (a *account) report(state *enginepb.Event_State) {
	if !a.active.Load() && state.Kind != enginepb.Event_State_LOGGED_OUT {
		return
	}
	a.engine.hub.post(stateEvent(a.id, state))
}

func stateEvent(account string, state *enginepb.Event_State) *enginepb.Event {
	return &enginepb.Event{Account: account, NeedsAck: true, Event: &enginepb.Event_State_{State: state}}
}
