package bridge

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"go.mau.fi/whatsmeow/proto/waE2E"
	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/types/events"
	"google.golang.org/protobuf/proto"

	"chatwren/engine/enginepb"
)

// inbound turns a message into the worker's terms; nil where there is nothing to read: keys, edits, reactions, statuses,
// channels.
func (a *account) inbound(event *events.Message) *enginepb.Event {
	info := event.Info
	if info.Chat.Server == types.NewsletterServer || info.Chat == types.StatusBroadcastJID || event.IsEdit {
		return nil
	}
	text, media := content(event.Message)
	if text == "" && media == nil {
		return nil
	}
	raw, err := proto.Marshal(event.RawMessage)
	if err != nil {
		a.log.Error("a message could not be kept in its raw form", "id", info.ID, "error", err.Error())
	}
	chat, chatAlt := info.Chat, info.RecipientAlt
	group := info.Chat.Server == types.GroupServer
	if info.IsIncomingBroadcast() || !group && !info.IsFromMe {
		chat, chatAlt = info.Sender, info.SenderAlt // a broadcast shows in the chat with its sender
	}
	message := &enginepb.Event_Message{
		Id:          info.ID,
		Chat:        chat.ToNonAD().String(),
		Sender:      info.Sender.ToNonAD().String(),
		SenderPhone: a.phone(a.ctx, info.Sender, info.SenderAlt),
		FromMe:      info.IsFromMe,
		Group:       group,
		PushName:    info.PushName,
		At:          info.Timestamp.UnixMilli(),
		Text:        text,
		Media:       media,
		Raw:         raw,
	}
	if !group {
		message.ChatPhone = a.phone(a.ctx, chat, chatAlt)
	}
	return &enginepb.Event{NeedsAck: true, Event: &enginepb.Event_Message_{Message: message}}
}

// longestShare is how many messages one event names at most. The events of all accounts take turns, and ten thousand
// messages take the database half a second.
const longestShare = 256

// receipts turns a receipt for messages of this account into the worker's terms, share by share; none for receipts between its
// own devices, or for what no message of this engine is called. An error: it cannot be said now whose it is.
func (a *account) receipts(event *events.Receipt) (shares []*enginepb.Event, err error) {
	if event.IsFromMe || event.Chat.Server == types.NewsletterServer || event.Chat == types.StatusBroadcastJID {
		return nil, nil
	}
	var kind enginepb.Event_Receipt_Type
	switch event.Type {
	case types.ReceiptTypeDelivered, types.ReceiptTypeInactive: // inactive: arrived on a device that nobody looks at
		kind = enginepb.Event_Receipt_DELIVERED
	case types.ReceiptTypeRead:
		kind = enginepb.Event_Receipt_READ
	case types.ReceiptTypePlayed:
		kind = enginepb.Event_Receipt_PLAYED
	case types.ReceiptTypeServerError:
		kind = enginepb.Event_Receipt_SERVER_ERROR
	case types.ReceiptTypeRetry: // whatsmeow answers it, and acknowledges it then
		kind = enginepb.Event_Receipt_RETRY
	default:
		return nil, nil
	}
	ids := event.MessageIDs[:min(len(event.MessageIDs), longestList)]
	ids = slices.DeleteFunc(slices.Clone(ids), func(id types.MessageID) bool { return !isName(id) })
	if len(ids) == 0 {
		return nil, nil
	}
	chat := event.Chat.ToNonAD()
	alternative, err := a.otherAddress(chat, event.SenderAlt.ToNonAD())
	if err != nil {
		return nil, err
	}
	for share := range slices.Chunk(ids, longestShare) {
		receipt := &enginepb.Event_Receipt{
			Ids:    share,
			Chat:   chat.String(),
			Sender: event.Sender.ToNonAD().String(),
			Type:   kind,
			At:     event.Timestamp.UnixMilli(),
		}
		if !alternative.IsEmpty() {
			receipt.ChatAlt = alternative.String()
		}
		shares = append(shares, &enginepb.Event{
			NeedsAck: kind != enginepb.Event_Receipt_RETRY,
			Event:    &enginepb.Event_Receipt_{Receipt: receipt},
		})
	}
	return shares, nil
}

// undecryptable reports a message that whatsmeow has asked its sender to send again.
func undecryptable(event *events.UndecryptableMessage) *enginepb.Event {
	if event.DecryptFailMode == events.DecryptFailHide || event.UnavailableType != events.UnavailableTypeUnknown {
		return nil // the official clients do not show these either
	}
	return &enginepb.Event{Event: &enginepb.Event_Undecryptable_{Undecryptable: &enginepb.Event_Undecryptable{
		Id:     event.Info.ID,
		Chat:   event.Info.Chat.ToNonAD().String(),
		Sender: event.Info.Sender.ToNonAD().String(),
		At:     event.Info.Timestamp.UnixMilli(),
	}}}
}

// groupChange names the group that changed; none where the list of groups did.
func (a *account) groupChange(event *events.GroupInfo) *enginepb.Event {
	change := &enginepb.Event_GroupChange{Group: event.JID.String()}
	own, ownLID := a.client.Store.GetJID(), a.client.Store.GetLID()
	for _, left := range event.Leave {
		if left.User == own.User || left.User == ownLID.User {
			change.Group = ""
		}
	}
	if event.Delete != nil {
		change.Group = ""
	}
	return &enginepb.Event{Event: &enginepb.Event_GroupChange_{GroupChange: change}}
}

// panicked stands for an event of whatsmeow's that could not be turned into the worker's terms.
func panicked(event any, problem any) *enginepb.Event {
	aside := &enginepb.Event_Unreadable{Kind: fmt.Sprintf("%T", event), Detail: fmt.Sprintf("it made the engine panic: %v", problem)}
	switch event := event.(type) {
	case *events.Message:
		aside.Kind, aside.Raw = "message", rawOf(event.RawMessage)
		aside.Detail += fmt.Sprintf("; id %.100q, from %.200q", event.Info.ID, event.Info.SourceString())
	case *events.Receipt:
		aside.Kind = "receipt"
		aside.Detail += fmt.Sprintf("; ids %.500q, from %.200q", event.MessageIDs, event.SourceString())
	}
	return &enginepb.Event{NeedsAck: true, Event: &enginepb.Event_Unreadable_{Unreadable: aside}}
}

// aside puts aside what was decrypted and is no message. False: the account has ended.
func (a *account) aside(raw []byte) bool {
	return a.active.Load() && a.store(&enginepb.Event{NeedsAck: true, Event: &enginepb.Event_Unreadable_{Unreadable: &enginepb.Event_Unreadable{
		Kind: "message", Raw: raw[:min(len(raw), largestBytes)], Detail: "what was decrypted is no message",
	}}})
}

// rawOf is a message in its encoded form, as much of it as is kept; none where it cannot be encoded.
func rawOf(message *waE2E.Message) (raw []byte) {
	defer func() {
		if recover() != nil {
			raw = nil
		}
	}()
	raw, _ = proto.Marshal(message)
	return raw[:min(len(raw), largestBytes)]
}

// otherAddress is the LID of a contact that is addressed by number, and the number of one that is addressed by LID, if
// WhatsApp has told it with the stanza or ever before; none for a group.
func (a *account) otherAddress(jid, told types.JID) (types.JID, error) {
	if jid.Server == types.DefaultUserServer && told.Server == types.HiddenUserServer ||
		jid.Server == types.HiddenUserServer && told.Server == types.DefaultUserServer {
		return told, nil
	}
	return a.client.Store.GetAltJID(a.ctx, jid)
}

// phone is the number behind an address, from whichever of its two forms is known; empty where WhatsApp hides it.
func (a *account) phone(ctx context.Context, address, alternative types.JID) string {
	for _, jid := range []types.JID{address, alternative} {
		if jid.Server == types.DefaultUserServer {
			return jid.User
		}
	}
	if address.Server != types.HiddenUserServer {
		return ""
	}
	number, err := a.client.Store.LIDs.GetPNForLID(ctx, address)
	if err != nil {
		a.log.Warn("a number could not be looked up", "error", err.Error())
	}
	return number.User
}

// content is what a person reads in a message: its text or caption, and its media.
func content(message *waE2E.Message) (text string, media *enginepb.Media) {
	switch {
	case message.GetConversation() != "":
		return message.GetConversation(), nil
	case message.GetExtendedTextMessage() != nil:
		return message.GetExtendedTextMessage().GetText(), nil
	case message.GetImageMessage() != nil:
		part := message.GetImageMessage()
		media = received(enginepb.MediaKind_IMAGE, part)
		media.Width, media.Height = int32(part.GetWidth()), int32(part.GetHeight())
		return part.GetCaption(), media
	case message.GetVideoMessage() != nil:
		return videoContent(message.GetVideoMessage())
	case message.GetPtvMessage() != nil:
		return videoContent(message.GetPtvMessage())
	case message.GetAudioMessage() != nil:
		part := message.GetAudioMessage()
		media = received(enginepb.MediaKind_AUDIO, part)
		media.Seconds = int32(part.GetSeconds())
		return "", media
	case message.GetDocumentMessage() != nil:
		part := message.GetDocumentMessage()
		media = received(enginepb.MediaKind_DOCUMENT, part)
		media.FileName = part.GetFileName()
		if media.FileName == "" {
			media.FileName = part.GetTitle()
		}
		return part.GetCaption(), media
	case message.GetStickerMessage() != nil:
		part := message.GetStickerMessage() // encrypted as images are
		media = received(enginepb.MediaKind_IMAGE, part)
		media.Width, media.Height = int32(part.GetWidth()), int32(part.GetHeight())
		return "", media
	}
	return otherText(message), nil
}

func videoContent(part *waE2E.VideoMessage) (string, *enginepb.Media) {
	media := received(enginepb.MediaKind_VIDEO, part)
	media.Width, media.Height = int32(part.GetWidth()), int32(part.GetHeight())
	media.Seconds = int32(part.GetSeconds())
	return part.GetCaption(), media
}

// otherText says in a line what the remaining kinds of message hold.
func otherText(message *waE2E.Message) string {
	switch {
	case message.GetLocationMessage() != nil:
		part := message.GetLocationMessage()
		place := fmt.Sprintf("geo:%g,%g", part.GetDegreesLatitude(), part.GetDegreesLongitude())
		return joined(part.GetName(), part.GetAddress(), place)
	case message.GetLiveLocationMessage() != nil:
		part := message.GetLiveLocationMessage()
		place := fmt.Sprintf("geo:%g,%g", part.GetDegreesLatitude(), part.GetDegreesLongitude())
		return joined(part.GetCaption(), place)
	case message.GetContactMessage() != nil:
		return message.GetContactMessage().GetDisplayName()
	case message.GetContactsArrayMessage() != nil:
		return message.GetContactsArrayMessage().GetDisplayName()
	case message.GetButtonsResponseMessage() != nil:
		return message.GetButtonsResponseMessage().GetSelectedDisplayText()
	case message.GetTemplateButtonReplyMessage() != nil:
		return message.GetTemplateButtonReplyMessage().GetSelectedDisplayText()
	case message.GetListResponseMessage() != nil:
		return message.GetListResponseMessage().GetTitle()
	case message.GetPollCreationMessage() != nil:
		return message.GetPollCreationMessage().GetName()
	case message.GetPollCreationMessageV3() != nil:
		return message.GetPollCreationMessageV3().GetName()
	}
	return ""
}

func joined(parts ...string) string {
	var kept []string
	for _, part := range parts {
		if part != "" {
			kept = append(kept, part)
		}
	}
	return strings.Join(kept, "\n")
}

// mediaPart is what WhatsApp's kinds of media message have in common.
type mediaPart interface {
	GetURL() string
	GetDirectPath() string
	GetMediaKey() []byte
	GetFileSHA256() []byte
	GetFileEncSHA256() []byte
	GetFileLength() uint64
	GetMimetype() string
}

func received(kind enginepb.MediaKind, part mediaPart) *enginepb.Media {
	media := &enginepb.Media{
		Handle: &enginepb.MediaHandle{
			Kind:          kind,
			Url:           part.GetURL(),
			DirectPath:    part.GetDirectPath(),
			MediaKey:      part.GetMediaKey(),
			FileSha256:    part.GetFileSHA256(),
			FileEncSha256: part.GetFileEncSHA256(),
			FileLength:    int64(part.GetFileLength()),
		},
		Mimetype: part.GetMimetype(),
	}
	if small, ok := part.(interface{ GetJPEGThumbnail() []byte }); ok {
		media.ThumbnailJpeg = small.GetJPEGThumbnail()
	}
	return media
}
