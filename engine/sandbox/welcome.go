package sandbox

import (
	"bytes"
	"compress/zlib"
	"slices"

	"go.mau.fi/whatsmeow/proto/waCommon"
	"go.mau.fi/whatsmeow/proto/waE2E"
	"go.mau.fi/whatsmeow/proto/waHistorySync"
	"go.mau.fi/whatsmeow/proto/waWeb"
	"google.golang.org/protobuf/proto"
)

// maxHistory is how many messages a phone tells a new companion of. They go in the message itself, so they must be few.
const maxHistory = 200

// welcome gives a new companion what a phone gives it: the key of its app state, the state itself, and the history.
func (p *phone) welcome(companion address) {
	p.actor.post(func() {
		p.sendPeer(companion, p.stateKeyShare())
		p.ensureState()
		for _, part := range p.historyParts() {
			p.sendHistory(companion, part)
		}
	})
}

// historyParts are the chunks in which a phone tells of its past: the chats with their messages, then people's names.
func (p *phone) historyParts() []*waHistorySync.HistorySync {
	chats := map[string]*waHistorySync.Conversation{}
	names := map[string]string{}
	bootstrap := &waHistorySync.HistorySync{
		SyncType: waHistorySync.HistorySync_INITIAL_BOOTSTRAP.Enum(), ChunkOrder: proto.Uint32(1), Progress: proto.Uint32(100),
	}
	messages := p.history()
	messages = messages[max(0, len(messages)-maxHistory):]
	slices.Reverse(messages) // the latest first, in each chat
	for i := range messages {
		m := &messages[i]
		other := m.partner(p.number)
		chat := chats[other]
		if chat == nil {
			chat = &waHistorySync.Conversation{ID: proto.String(p.server.chatJID(other)), ConversationTimestamp: proto.Uint64(uint64(m.At.Unix()))}
			if g := p.server.group(other); g != nil {
				chat.Name = proto.String(g.Name)
			} else {
				bootstrap.PhoneNumberToLidMappings = append(bootstrap.PhoneNumberToLidMappings, &waHistorySync.PhoneNumberToLIDMapping{
					PnJID: proto.String(address{other, 0}.pn().String()), LidJID: proto.String(address{other, 0}.lid().String()),
				})
			}
			chats[other] = chat
			bootstrap.Conversations = append(bootstrap.Conversations, chat)
		}
		chat.Messages = append(chat.Messages, &waHistorySync.HistorySyncMsg{Message: p.webMessage(m)})
		names[m.From] = p.server.settingsOf(m.From).Name
	}
	people := &waHistorySync.HistorySync{
		SyncType: waHistorySync.HistorySync_PUSH_NAME.Enum(), ChunkOrder: proto.Uint32(1), Progress: proto.Uint32(100),
	}
	for number, name := range names {
		people.Pushnames = append(people.Pushnames, &waHistorySync.Pushname{
			ID: proto.String(address{number, 0}.pn().String()), Pushname: proto.String(name),
		})
	}
	return []*waHistorySync.HistorySync{bootstrap, people}
}

// chatJID is the JID of a chat: with a number, or a group.
func (s *Server) chatJID(id string) string {
	if validNumber(id) {
		return address{id, 0}.lid().String()
	}
	return id
}

// partner is who a message of this phone's is exchanged with: a number, or a group.
func (m *message) partner(number string) string {
	if m.From != number && validNumber(m.To) {
		return m.From
	}
	return m.To
}

// webMessage is a message in the form in which phones tell companions of earlier ones.
func (p *phone) webMessage(m *message) *waWeb.WebMessageInfo {
	key := &waCommon.MessageKey{
		RemoteJID: proto.String(p.server.chatJID(m.partner(p.number))), FromMe: proto.Bool(m.From == p.number), ID: proto.String(m.ID),
	}
	info := &waWeb.WebMessageInfo{
		Key: key, MessageTimestamp: proto.Uint64(uint64(m.At.Unix())), PushName: proto.String(p.server.settingsOf(m.From).Name),
		Message: &waE2E.Message{Conversation: proto.String(m.Text)},
	}
	if !validNumber(m.To) && m.From != p.number {
		participant := address{m.From, 0}.lid().String()
		key.Participant, info.Participant = &participant, &participant
	}
	return info
}

func (p *phone) sendHistory(companion address, part *waHistorySync.HistorySync) {
	raw, err := proto.Marshal(part)
	if err != nil {
		p.server.log.Error("history cannot be sent", "phone", p.number, "error", err)
		return
	}
	var packed bytes.Buffer
	writer := zlib.NewWriter(&packed)
	_, _ = writer.Write(raw) // a buffer takes everything
	_ = writer.Close()
	p.sendPeer(companion, &waE2E.ProtocolMessage{
		Type: waE2E.ProtocolMessage_HISTORY_SYNC_NOTIFICATION.Enum(),
		HistorySyncNotification: &waE2E.HistorySyncNotification{
			SyncType: waE2E.HistorySyncType(part.GetSyncType()).Enum(), ChunkOrder: part.ChunkOrder, Progress: part.Progress,
			InitialHistBootstrapInlinePayload: packed.Bytes(),
		},
	})
}

// servePeer answers a request that a companion makes to its own phone.
func (p *phone) servePeer(m *parcel, content *waE2E.Message) {
	request := content.GetProtocolMessage()
	if request.GetAppStateSyncKeyRequest() != nil {
		p.sendPeer(m.from, p.stateKeyShare())
	}
	wanted := request.GetPeerDataOperationRequestMessage().GetPlaceholderMessageResendRequest()
	if len(wanted) == 0 {
		return
	}
	answer := &waE2E.PeerDataOperationRequestResponseMessage{
		PeerDataOperationRequestType: waE2E.PeerDataOperationRequestType_PLACEHOLDER_MESSAGE_RESEND.Enum(),
		StanzaID:                     proto.String(m.id),
	}
	for _, one := range wanted {
		for _, known := range p.history() {
			if known.ID != one.GetMessageKey().GetID() || known.Media != nil || known.Deleted {
				continue
			}
			raw, err := proto.Marshal(p.webMessage(&known))
			if err != nil {
				continue
			}
			answer.PeerDataOperationResult = append(answer.PeerDataOperationResult,
				&waE2E.PeerDataOperationRequestResponseMessage_PeerDataOperationResult{
					PlaceholderMessageResendResponse: &waE2E.PeerDataOperationRequestResponseMessage_PeerDataOperationResult_PlaceholderMessageResendResponse{
						WebMessageInfoBytes: raw,
					},
				})
		}
	}
	p.sendPeer(m.from, &waE2E.ProtocolMessage{
		Type:                                    waE2E.ProtocolMessage_PEER_DATA_OPERATION_REQUEST_RESPONSE_MESSAGE.Enum(),
		PeerDataOperationRequestResponseMessage: answer,
	})
}
