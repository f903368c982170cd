package sandbox

import (
	"go.mau.fi/whatsmeow"
	"go.mau.fi/whatsmeow/proto/waE2E"
)

// attachment is the part of a message that points to media.
type attachment struct {
	whatsmeow.DownloadableMessage
	mimetype, fileName string
	length             uint64
	seconds            uint32
}

// unwrap removes the envelopes around a message that do not matter to what it says.
func unwrap(content *waE2E.Message) *waE2E.Message {
	for {
		var inner *waE2E.Message
		for _, wrapper := range []*waE2E.FutureProofMessage{
			content.GetEphemeralMessage(), content.GetViewOnceMessage(), content.GetViewOnceMessageV2(),
			content.GetDocumentWithCaptionMessage(), content.GetEditedMessage(),
		} {
			if wrapper.GetMessage() != nil {
				inner = wrapper.GetMessage()
			}
		}
		if inner == nil {
			return content
		}
		content = inner
	}
}

// visible returns what a phone shows of a message: its text or caption, and its attachment if it has one.
func visible(content *waE2E.Message) (text string, media *attachment, ok bool) {
	switch {
	case content.Conversation != nil:
		return content.GetConversation(), nil, true
	case content.ExtendedTextMessage != nil:
		return content.GetExtendedTextMessage().GetText(), nil, true
	case content.ImageMessage != nil:
		m := content.GetImageMessage()
		return m.GetCaption(), &attachment{m, m.GetMimetype(), "", m.GetFileLength(), 0}, true
	case content.VideoMessage != nil:
		m := content.GetVideoMessage()
		return m.GetCaption(), &attachment{m, m.GetMimetype(), "", m.GetFileLength(), m.GetSeconds()}, true
	case content.AudioMessage != nil:
		m := content.GetAudioMessage()
		return "", &attachment{m, m.GetMimetype(), "", m.GetFileLength(), m.GetSeconds()}, true
	case content.DocumentMessage != nil:
		m := content.GetDocumentMessage()
		return m.GetCaption(), &attachment{m, m.GetMimetype(), m.GetFileName(), m.GetFileLength(), 0}, true
	case content.StickerMessage != nil:
		m := content.GetStickerMessage()
		return "", &attachment{m, m.GetMimetype(), "", m.GetFileLength(), 0}, true
	}
	return "", nil, false
}

// expiration returns after how many seconds a message disappears, 0 for one that stays.
func expiration(content *waE2E.Message) uint32 {
	for _, info := range []*waE2E.ContextInfo{
		content.GetExtendedTextMessage().GetContextInfo(), content.GetImageMessage().GetContextInfo(),
		content.GetVideoMessage().GetContextInfo(), content.GetAudioMessage().GetContextInfo(),
		content.GetDocumentMessage().GetContextInfo(),
	} {
		if seconds := info.GetExpiration(); seconds != 0 {
			return seconds
		}
	}
	return 0
}

// applyChange acts on a message about an earlier message or about the chat itself: an edit, a deletion, a timer.
func (p *phone) applyChange(shown *message, change *waE2E.ProtocolMessage) {
	if change.GetType() == waE2E.ProtocolMessage_EPHEMERAL_SETTING {
		p.setDisappearing(shown, change.GetEphemeralExpiration())
		return
	}
	p.mu.Lock()
	target := p.byKey[(&message{ID: change.GetKey().GetID(), From: shown.From, To: shown.To}).key()]
	if target == nil {
		p.mu.Unlock()
		return
	}
	switch change.GetType() {
	case waE2E.ProtocolMessage_REVOKE:
		target.Deleted, target.Text, target.Media = true, "", nil
	case waE2E.ProtocolMessage_MESSAGE_EDIT:
		if text, _, ok := visible(unwrap(change.GetEditedMessage())); ok {
			target.Edited, target.Text = true, text
		}
	}
	changed := *target
	p.mu.Unlock()
	p.publish(changed)
}

// setDisappearing notes the timer of the chat in which a message stands.
func (p *phone) setDisappearing(in *message, seconds uint32) {
	other := in.partner(p.number)
	if err := p.change(func(settings *phoneSettings) {
		timers := map[string]uint32{}
		for number, timer := range settings.Disappearing {
			timers[number] = timer
		}
		delete(timers, other)
		if seconds != 0 {
			timers[other] = seconds
		}
		settings.Disappearing = timers
	}); err != nil {
		p.server.log.Warn("a timer is not kept", "phone", p.number, "error", err)
	}
}
