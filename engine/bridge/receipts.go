package bridge

import (
	waBinary "go.mau.fi/whatsmeow/binary"
	"go.mau.fi/whatsmeow/types/events"

	"chatwren/engine/enginepb"
)

// mostReceipts of an account may be with the worker at a time, so that it stores them together. whatsmeow reads the next
// stanza when its handler is done with one, and acknowledges it then: of one receipt after the other, an account's messages
// would wait for two of the worker's transactions each.
const mostReceipts = 64

// hostedDevice is the device whose address whatsmeow has changed in a receipt.
const hostedDevice = 99

// stanzaOf is what came as this receipt, as far as acknowledging it takes. Nil: its event does not tell.
func stanzaOf(event *events.Receipt) *waBinary.Node {
	if event.IsGroup || event.Sender.Device == hostedDevice {
		return nil // one of a group may be one of several events of its stanza
	}
	attrs := waBinary.Attrs{"id": event.MessageIDs[0], "from": event.Sender}
	if !event.MessageSender.IsEmpty() {
		attrs["recipient"] = event.MessageSender
	}
	if event.Type != "" {
		attrs["type"] = string(event.Type)
	}
	return &waBinary.Node{Tag: "receipt", Attrs: attrs}
}

// storeBeside passes a receipt on after what came before it, and acknowledges it to WhatsApp when the worker has stored it.
func (a *account) storeBeside(receipt *enginepb.Event, stanza *waBinary.Node) {
	receipt.Account = a.id
	if a.unstored.Acquire(a.ctx, 1) != nil {
		return
	}
	offered := a.engine.hub.offer(receipt)
	go func() {
		defer a.unstored.Release(1)
		if a.stored(offered) {
			a.client.DangerousInternals().SendAck(a.wire, stanza, 0)
		}
	}()
}
