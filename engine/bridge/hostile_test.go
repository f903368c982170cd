package bridge_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"

	"go.mau.fi/whatsmeow/appstate"
	"go.mau.fi/whatsmeow/proto/waCommon"
	"go.mau.fi/whatsmeow/proto/waE2E"
	"go.mau.fi/whatsmeow/proto/waMsgTransport"
	"go.mau.fi/whatsmeow/proto/waServerSync"
	"go.mau.fi/whatsmeow/proto/waWeb"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"chatwren/engine/enginepb"
)

// attack lets a phone send bytes as a message, with whatever else is given.
func attack(t testing.TB, from, to string, plain []byte, given map[string]any) {
	t.Helper()
	body := map[string]any{"to": to, "raw": plain}
	for key, value := range given {
		body[key] = value
	}
	phones(t, http.MethodPost, "/phones/"+from+"/messages", body, nil)
}

func encoded(t testing.TB, message proto.Message) []byte {
	t.Helper()
	plain, err := proto.Marshal(message)
	if err != nil {
		t.Fatal(err)
	}
	return plain
}

// base64 is a text for the sandbox that no JSON string can hold.
func base64(text string) any { return map[string]any{"base64": []byte(text)} }

func unreadableOf(account, kind string) func(*enginepb.Event) bool {
	return func(event *enginepb.Event) bool {
		return event.Account == account && event.GetUnreadable().GetKind() == kind && event.GetUnreadable() != nil
	}
}

// TestAHostileItemCostsItselfAlone has a stranger send what ended the stream of all accounts.
func TestAHostileItemCostsItselfAlone(t *testing.T) {
	t.Parallel()
	n := startNode(t)
	worker := n.listen()
	alice, bob, mallory := n.pair(newNumber()), newNumber(), newNumber()
	hi := encoded(t, &waE2E.Message{Conversation: proto.String("hi")})

	attack(t, mallory, alice.number, encoded(t, &waE2E.Message{Conversation: proto.String("hi \xff\x00!")}), map[string]any{"pushName": base64("M\xff\x00")})
	got := worker.await("a mended text", 1, messageWith(alice.id, "hi \uFFFD\uFFFD!")).GetMessage()
	if got.PushName != "M\uFFFD\uFFFD" || string(got.Raw) != string(encoded(t, &waE2E.Message{Conversation: proto.String("hi \xff\x00!")})) {
		t.Errorf("it is passed on as %v", got)
	}
	attack(t, mallory, alice.number, encoded(t, &waE2E.Message{ImageMessage: &waE2E.ImageMessage{
		Caption: proto.String("picture"), Mimetype: proto.String("\xff"), URL: proto.String(strings.Repeat("u", 100_000)), Width: proto.Uint32(math.MaxUint32),
		FileLength: proto.Uint64(math.MaxUint64), MediaKey: make([]byte, 100_000), JPEGThumbnail: make([]byte, 2<<20),
	}}), map[string]any{"timestamp": 99999999999999})
	got = worker.await("a picture", 1, messageWith(alice.id, "picture")).GetMessage()
	if got.Media.Width != 0 || got.Media.Handle.FileLength != 0 || len(got.Media.ThumbnailJpeg) != 0 || len(got.Media.Handle.Url) != 4096 || len(got.Raw) != 0 {
		t.Errorf("a picture is passed on as %v", got.Media)
	}
	for i, id := range []any{"a\x00", base64("\xff"), strings.Repeat("i", 3000)} {
		attack(t, mallory, alice.number, hi, map[string]any{"id": id})
		aside := worker.await("a message with a hostile id", i+1, unreadableOf(alice.id, "message"))
		if string(aside.GetUnreadable().Raw) != string(hi) || !aside.NeedsAck {
			t.Errorf("it is put aside as %v", aside)
		}
	}
	attack(t, mallory, alice.number, encoded(t, &waE2E.Message{Conversation: proto.String(strings.Repeat("h", 10<<20))}), nil)
	worker.await("10 MiB", 1, func(event *enginepb.Event) bool { return len(event.GetMessage().GetText()) == 262_144 })
	for _, stamp := range []any{-1, 0, "9223372036854775807", "-9223372036854775808"} {
		attack(t, mallory, alice.number, encoded(t, &waE2E.Message{Conversation: proto.String(fmt.Sprint("at ", stamp))}), map[string]any{"timestamp": stamp})
		if at := worker.await("a time", 1, messageWith(alice.id, fmt.Sprint("at ", stamp))).GetMessage().At; at < 0 || at > 253402300799999 {
			t.Errorf("%v became %d", stamp, at)
		}
	}
	phones(t, http.MethodPost, "/phones/"+mallory+"/receipts", map[string]any{
		"to": alice.number, "ids": []any{"x\x00", base64("\xff"), "known"}, "type": "read", "timestamp": 99999999999999,
	}, nil)
	worker.await("the receipt's one id", 1, receiptOf("known", enginepb.Event_Receipt_READ))
	phones(t, http.MethodPost, "/phones/"+mallory+"/receipts", map[string]any{"to": alice.number, "ids": []any{strings.Repeat("r", 100_000)}}, nil)
	phones(t, http.MethodPost, "/phones/"+mallory+"/receipts", map[string]any{"to": alice.number, "ids": []any{"known"}, "timestamp": "soon"}, nil)
	attack(t, mallory, alice.number, hi, map[string]any{"timestamp": "soon"})
	for _, refused := range []string{"Failed to parse receipt", "Failed to parse message"} {
		eventually(t, refused, func() bool { return strings.Contains(n.logs.String(), refused) })
	}
	phones(t, http.MethodPatch, "/phones/"+alice.number, map[string]any{"name": base64("a\x00c\xff")}, nil)
	worker.await("the own name", 1, func(event *enginepb.Event) bool { return event.GetPushName().GetName() == "a\uFFFDc\uFFFD" })

	phones(t, http.MethodPost, "/groups", map[string]any{"name": base64("g\x00\xff"), "owner": mallory, "participants": []string{alice.number}}, nil)
	groups, err := n.Groups(t.Context(), &enginepb.GroupsRequest{Account: alice.id, Epoch: 1})
	if err != nil || len(groups.Groups) != 1 || groups.Groups[0].Name != "g\uFFFD\uFFFD" {
		t.Errorf("groups: %v, %v", groups, err)
	}

	write(t, bob, alice.number, "still here")
	worker.await("a normal message", 1, messageWith(alice.id, "still here"))
	if aside := worker.all(unreadableOf(alice.id, "receipt")); len(aside) > 0 {
		t.Errorf("a receipt for nothing is put aside: %v", aside)
	}
	select {
	case <-worker.ended:
		t.Error("the stream ended")
	default:
	}
	if lost := worker.all(lossOf(alice.id)); len(lost) > 0 {
		t.Errorf("the connection was lost: %v", lost)
	}
}

// TestASnapshotThatWasNotAskedForIsNotUnpacked has a linked phone answer what nobody asked, with 256 MB in 256 kB.
func TestASnapshotThatWasNotAskedForIsNotUnpacked(t *testing.T) {
	t.Parallel()
	n := startNode(t)
	worker := n.listen()
	mallory, friend := n.pair(newNumber()), newNumber()
	var packed bytes.Buffer
	writer := gzip.NewWriter(&packed)
	if _, err := writer.Write(make([]byte, 1<<20)); err != nil {
		t.Fatal(err)
	}
	if err := writer.Close(); err != nil {
		t.Fatal(err)
	}
	attack(t, mallory.number, friend, encoded(t, &waE2E.Message{ProtocolMessage: &waE2E.ProtocolMessage{
		Type: waE2E.ProtocolMessage_PEER_DATA_OPERATION_REQUEST_RESPONSE_MESSAGE.Enum(),
		PeerDataOperationRequestResponseMessage: &waE2E.PeerDataOperationRequestResponseMessage{
			PeerDataOperationRequestType: waE2E.PeerDataOperationRequestType_COMPANION_SYNCD_SNAPSHOT_FATAL_RECOVERY.Enum(),
			PeerDataOperationResult: []*waE2E.PeerDataOperationRequestResponseMessage_PeerDataOperationResult{{
				SyncdSnapshotFatalRecoveryResponse: &waE2E.PeerDataOperationRequestResponseMessage_PeerDataOperationResult_SyncDSnapshotFatalRecoveryResponse{
					CollectionSnapshot: bytes.Repeat(packed.Bytes(), 256), IsCompressed: proto.Bool(true),
				},
			}},
		},
	}}), nil)
	write(t, mallory.number, friend, "after it")
	worker.await("the message after it", 1, messageWith(mallory.id, "after it"))
	if log := n.logs.String(); !strings.Contains(log, "that were not asked for") || strings.Contains(log, "recovery blob") {
		t.Errorf("it was unpacked: %s", log)
	}
}

// TestAMessageOfTooManyFieldsIsNotDecoded has a stranger send 60,000 messages in two bytes each, as contacts and within bytes
// of a message of another kind, and a linked phone as many addresses.
func TestAMessageOfTooManyFieldsIsNotDecoded(t *testing.T) {
	t.Parallel()
	n := startNode(t)
	worker := n.listen()
	alice, mallory := n.pair(newNumber()), newNumber()
	contacts := encoded(t, &waE2E.Message{ContactsArrayMessage: &waE2E.ContactsArrayMessage{
		Contacts: slices.Repeat([]*waE2E.ContactMessage{{}}, 60_000),
	}})
	mappings := bytes.Repeat([]byte{0x0a, 0}, 60_000)
	attack(t, mallory, alice.number, contacts, nil)
	attack(t, mallory, alice.number, encoded(t, &waMsgTransport.MessageTransport{Payload: &waMsgTransport.MessageTransport_Payload{
		ApplicationPayload: &waCommon.SubProtocol{Payload: mappings, Version: proto.Int32(2)},
	}}), map[string]any{"version": 3})
	attack(t, alice.number, mallory, encoded(t, &waE2E.Message{ProtocolMessage: &waE2E.ProtocolMessage{
		Type:                           waE2E.ProtocolMessage_LID_MIGRATION_MAPPING_SYNC.Enum(),
		LidMigrationMappingSyncMessage: &waE2E.LIDMigrationMappingSyncMessage{EncodedMappingPayload: mappings},
	}}), nil)
	write(t, mallory, alice.number, "after it")
	worker.await("the message after it", 1, messageWith(alice.id, "after it"))
	if got := strings.Count(n.logs.String(), "it has too many fields"); got < 3 {
		t.Errorf("%d were refused", got)
	}
}

// TestMessagesSentAgainAreWeighedTogether has a linked phone send, as what it was asked for again, two messages of 30,000.
func TestMessagesSentAgainAreWeighedTogether(t *testing.T) {
	t.Parallel()
	n := startNode(t)
	worker := n.listen()
	mallory, friend := n.pair(newNumber()), newNumber()
	again := &waE2E.PeerDataOperationRequestResponseMessage_PeerDataOperationResult{
		PlaceholderMessageResendResponse: &waE2E.PeerDataOperationRequestResponseMessage_PeerDataOperationResult_PlaceholderMessageResendResponse{
			WebMessageInfoBytes: encoded(t, &waWeb.WebMessageInfo{
				Key: &waCommon.MessageKey{}, Message: &waE2E.Message{ContactsArrayMessage: &waE2E.ContactsArrayMessage{
					Contacts: slices.Repeat([]*waE2E.ContactMessage{{}}, 30_000),
				}},
			}),
		},
	}
	attack(t, mallory.number, friend, encoded(t, &waE2E.Message{ProtocolMessage: &waE2E.ProtocolMessage{
		Type: waE2E.ProtocolMessage_PEER_DATA_OPERATION_REQUEST_RESPONSE_MESSAGE.Enum(),
		PeerDataOperationRequestResponseMessage: &waE2E.PeerDataOperationRequestResponseMessage{
			PeerDataOperationRequestType: waE2E.PeerDataOperationRequestType_PLACEHOLDER_MESSAGE_RESEND.Enum(),
			PeerDataOperationResult:      []*waE2E.PeerDataOperationRequestResponseMessage_PeerDataOperationResult{again, again},
		},
	}}), nil)
	write(t, mallory.number, friend, "after it")
	worker.await("the message after it", 1, messageWith(mallory.id, "after it"))
	if log := n.logs.String(); !strings.Contains(log, "it has too many fields") {
		t.Errorf("they were decoded: %s", log)
	}
}

// TestAPhoneSharesSoManyKeysInAMinute has a linked phone send more keys of its settings than it can have.
func TestAPhoneSharesSoManyKeysInAMinute(t *testing.T) {
	t.Parallel()
	n := startNode(t)
	worker := n.listen()
	mallory, friend := n.pair(newNumber()), newNumber()
	for range 2 {
		share := &waE2E.AppStateSyncKeyShare{}
		for range 600 {
			id := []byte(fmt.Sprint(rand.Uint64()))
			share.Keys = append(share.Keys, &waE2E.AppStateSyncKey{
				KeyID: &waE2E.AppStateSyncKeyId{KeyID: id},
				KeyData: &waE2E.AppStateSyncKeyData{
					KeyData: make([]byte, 32), Timestamp: proto.Int64(1),
					Fingerprint: &waE2E.AppStateSyncKeyFingerprint{CurrentIndex: proto.Uint32(1)},
				},
			})
		}
		attack(t, mallory.number, friend, encoded(t, &waE2E.Message{ProtocolMessage: &waE2E.ProtocolMessage{
			Type: waE2E.ProtocolMessage_APP_STATE_SYNC_KEY_SHARE.Enum(), AppStateSyncKeyShare: share,
		}}), nil)
	}
	write(t, mallory.number, friend, "after it")
	worker.await("the message after it", 1, messageWith(mallory.id, "after it"))
	if log := n.logs.String(); !strings.Contains(log, "too many keys of settings") {
		t.Error("all were stored")
	}
	eventually(t, "the first share is stored", func() bool {
		var kept int
		err := world.admin.QueryRow("SELECT count(*) FROM whatsmeow.whatsmeow_app_state_sync_keys WHERE jid = $1", mallory.jid).Scan(&kept)
		return err == nil && 600 <= kept && kept < 700
	})
}

// TestWhatTheWorkerRefusesIsPutAside has a worker that never stores one message.
func TestWhatTheWorkerRefusesIsPutAside(t *testing.T) {
	t.Parallel()
	n := startNode(t)
	poison := func(event *enginepb.Event) bool { return event.GetMessage().GetText() == "poison" }
	worker := n.listenWith(func(event *enginepb.Event) (bool, bool) { return true, !poison(event) })
	alice, bob := n.pair(newNumber()), newNumber()
	write(t, bob, alice.number, "poison")
	write(t, bob, alice.number, "after it")
	worker.await("the message after it", 1, messageWith(alice.id, "after it"))
	if offered := worker.all(poison); len(offered) != 3 {
		t.Errorf("it was offered %d times", len(offered))
	}
	if aside := worker.all(unreadableOf(alice.id, "message")); len(aside) != 1 || len(aside[0].GetUnreadable().Raw) == 0 {
		t.Errorf("put aside: %v", aside)
	}
	if lost := worker.all(lossOf(alice.id)); len(lost) > 0 {
		t.Errorf("the connection was made anew: %v", lost)
	}
	eventually(t, "WhatsApp has an acknowledgement of all", func() bool { return queued(t, alice.number) == 0 })
}

// TestWhatTheWorkerRefusesEvenAsideIsLeft: it is not acknowledged, and nothing is done for it until the next connection.
func TestWhatTheWorkerRefusesEvenAsideIsLeft(t *testing.T) {
	t.Parallel()
	n := startNode(t)
	worker := n.listenWith(func(event *enginepb.Event) (bool, bool) {
		return true, event.GetMessage().GetText() != "poison" && event.GetUnreadable() == nil
	})
	alice, bob := n.pair(newNumber()), newNumber()
	write(t, bob, alice.number, "poison")
	write(t, bob, alice.number, "after it")
	worker.await("the message after it", 1, messageWith(alice.id, "after it"))
	worker.close()
	good := n.listen()
	fault(t, alice.number, "drop", nil)
	good.await("the message, once WhatsApp delivers it again", 1, messageWith(alice.id, "poison"))
}

// samples are messages of each kind.
func samples() []*waE2E.Message {
	text := &waE2E.Message{Conversation: proto.String("a text")}
	wrapped := &waE2E.FutureProofMessage{Message: text}
	key := &waE2E.Message{ReactionMessage: &waE2E.ReactionMessage{Text: proto.String("👍")}}
	return []*waE2E.Message{
		text, key,
		{ExtendedTextMessage: &waE2E.ExtendedTextMessage{Text: proto.String("a link"), MatchedText: proto.String("https://example.com"), Title: proto.String("title"), ContextInfo: &waE2E.ContextInfo{StanzaID: proto.String("3EB0"), QuotedMessage: text}}},
		{ImageMessage: &waE2E.ImageMessage{Caption: proto.String("picture"), Mimetype: proto.String("image/jpeg"), DirectPath: proto.String("/x"), Width: proto.Uint32(9), FileLength: proto.Uint64(9)}},
		{VideoMessage: &waE2E.VideoMessage{Caption: proto.String("film"), Mimetype: proto.String("video/mp4"), Seconds: proto.Uint32(9)}},
		{AudioMessage: &waE2E.AudioMessage{Mimetype: proto.String("audio/ogg"), Seconds: proto.Uint32(9), PTT: proto.Bool(true)}},
		{DocumentMessage: &waE2E.DocumentMessage{FileName: proto.String("a.pdf"), Title: proto.String("a"), Mimetype: proto.String("application/pdf")}},
		{StickerMessage: &waE2E.StickerMessage{Mimetype: proto.String("image/webp")}},
		{ContactMessage: &waE2E.ContactMessage{DisplayName: proto.String("Bob"), Vcard: proto.String("BEGIN:VCARD")}},
		{ContactsArrayMessage: &waE2E.ContactsArrayMessage{DisplayName: proto.String("both"), Contacts: []*waE2E.ContactMessage{{DisplayName: proto.String("Bob")}}}},
		{LocationMessage: &waE2E.LocationMessage{DegreesLatitude: proto.Float64(1), DegreesLongitude: proto.Float64(2), Name: proto.String("here"), Address: proto.String("street")}},
		{LiveLocationMessage: &waE2E.LiveLocationMessage{DegreesLatitude: proto.Float64(1), Caption: proto.String("moving")}},
		{PollCreationMessage: &waE2E.PollCreationMessage{Name: proto.String("poll"), Options: []*waE2E.PollCreationMessage_Option{{OptionName: proto.String("yes")}}}},
		{ListMessage: &waE2E.ListMessage{Title: proto.String("list"), Description: proto.String("choose")}},
		{ListResponseMessage: &waE2E.ListResponseMessage{Title: proto.String("chosen")}},
		{ButtonsMessage: &waE2E.ButtonsMessage{ContentText: proto.String("press"), Buttons: []*waE2E.ButtonsMessage_Button{{ButtonID: proto.String("b")}}}},
		{ButtonsResponseMessage: &waE2E.ButtonsResponseMessage{Response: &waE2E.ButtonsResponseMessage_SelectedDisplayText{SelectedDisplayText: "pressed"}}},
		{TemplateButtonReplyMessage: &waE2E.TemplateButtonReplyMessage{SelectedDisplayText: proto.String("replied")}},
		{EphemeralMessage: wrapped}, {ViewOnceMessage: wrapped}, {ViewOnceMessageV2: wrapped}, {DocumentWithCaptionMessage: wrapped}, {EditedMessage: wrapped},
		{DeviceSentMessage: &waE2E.DeviceSentMessage{DestinationJID: proto.String("1@s.whatsapp.net"), Message: text}},
		{ProtocolMessage: &waE2E.ProtocolMessage{Type: waE2E.ProtocolMessage_REVOKE.Enum()}},
		{SenderKeyDistributionMessage: &waE2E.SenderKeyDistributionMessage{GroupID: proto.String("1@g.us"), AxolotlSenderKeyDistributionMessage: []byte{0x33, 1}}},
		{MessageContextInfo: &waE2E.MessageContextInfo{MessageSecret: make([]byte, 32)}, Conversation: proto.String("secret")},
	}
}

// mutated is a message that has been damaged: in a field, or in its bytes.
func mutated(chance *rand.Rand, message *waE2E.Message) []byte {
	message = proto.Clone(message).(*waE2E.Message)
	if chance.IntN(3) > 0 {
		damage(chance, message.ProtoReflect())
	}
	plain, _ := proto.Marshal(message)
	if len(plain) == 0 || chance.IntN(2) == 0 {
		return plain
	}
	at := chance.IntN(len(plain))
	switch chance.IntN(4) {
	case 0:
		plain[at] ^= 1 << chance.IntN(8)
	case 1:
		plain = plain[:at]
	case 2:
		plain = append(plain, plain[at:]...)
	case 3:
		for i := range min(8, len(plain)-at) {
			plain[at+i] = byte(chance.Uint32())
		}
	}
	return plain
}

// damage replaces about a third of the fields below a message by hostile values.
func damage(chance *rand.Rand, message protoreflect.Message) {
	texts := []string{"\xff", "a\x00b", "\xed\xa0\x80", strings.Repeat("\xff", 1000), strings.Repeat("h", 5000), "\n{\"level\":\"ERROR\"}\x1b[2J"}
	message.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		switch {
		case field.IsList() || field.IsMap():
		case field.Message() != nil:
			damage(chance, value.Message())
		case chance.IntN(3) > 0:
		case field.Kind() == protoreflect.StringKind:
			message.Set(field, protoreflect.ValueOfString(texts[chance.IntN(len(texts))]))
		case field.Kind() == protoreflect.BytesKind:
			message.Set(field, protoreflect.ValueOfBytes([]byte(texts[chance.IntN(len(texts))])))
		case field.Kind() == protoreflect.Uint32Kind:
			message.Set(field, protoreflect.ValueOfUint32(math.MaxUint32))
		case field.Kind() == protoreflect.Uint64Kind:
			message.Set(field, protoreflect.ValueOfUint64(math.MaxUint64))
		case field.Kind() == protoreflect.DoubleKind:
			message.Set(field, protoreflect.ValueOfFloat64(math.NaN()))
		}
		return true
	})
}

func noise(chance *rand.Rand) []byte {
	plain := make([]byte, chance.IntN(300))
	for i := range plain {
		plain[i] = byte(chance.Uint32())
	}
	return plain
}

func TestAThousandFuzzedMessagesCostThemselvesAlone(t *testing.T) {
	t.Parallel()
	n := startNode(t)
	worker := n.listen()
	alice, bob, mallory := n.pair(newNumber()), newNumber(), newNumber()
	chance := rand.New(rand.NewPCG(10, 0))
	kinds := samples()
	for i := range 1000 {
		plain := noise(chance)
		if i%8 > 0 {
			plain = mutated(chance, kinds[i%len(kinds)])
		}
		attack(t, mallory, alice.number, plain, nil)
		if i%100 == 99 {
			text := fmt.Sprint("still here ", i)
			write(t, bob, alice.number, text)
			worker.await(text, 1, messageWith(alice.id, text))
		}
	}
	if lost := worker.all(lossOf(alice.id)); len(lost) > 0 {
		t.Errorf("the connection was lost: %v", lost)
	}
}

// TestSettingsThatCannotBeReadCostTheirAccountAlone links phones whose settings ended the process of all accounts: a value
// that is shorter than its MAC, in each collection, or more of them than memory has room for.
func TestSettingsThatCannotBeReadCostTheirAccountAlone(t *testing.T) {
	t.Parallel()
	n := startNode(t)
	worker := n.listen()
	alice, bob := n.pair(newNumber()), newNumber()
	short := encoded(t, &waServerSync.SyncdPatch{Mutations: []*waServerSync.SyncdMutation{{
		Operation: waServerSync.SyncdMutation_SET.Enum(),
		Record: &waServerSync.SyncdRecord{
			Index: &waServerSync.SyncdIndex{Blob: make([]byte, 32)}, Value: &waServerSync.SyncdValue{Blob: []byte("short")},
			KeyID: &waServerSync.KeyId{ID: []byte{0, 0, 0, 0, 0, 1}},
		},
	}}})
	for name, patch := range map[string][]byte{
		"slice bounds out of range": short,
		"it has too many fields":    bytes.Repeat([]byte{0x12, 0}, 60_000),
	} {
		mallory := newNumber()
		for _, collection := range appstate.AllPatchNames {
			phones(t, http.MethodPost, "/phones/"+mallory+"/settings", map[string]any{"collection": collection, "raw": patch}, nil)
		}
		linked := n.pair(mallory)
		eventually(t, name, func() bool { return strings.Count(n.logs.String(), name) >= 2 })
		write(t, bob, mallory, "still linked, "+name)
		worker.await("a message for "+name, 1, messageWith(linked.id, "still linked, "+name))
		write(t, bob, alice.number, "still here, "+name)
		worker.await("another account's message", 1, messageWith(alice.id, "still here, "+name))
		if lost := worker.all(lossOf(linked.id)); len(lost) > 0 {
			t.Errorf("the connection was lost: %v", lost)
		}
	}
	rename(t, alice.number, "Alice anew")
	worker.await("an honest name", 1, renamedTo(alice.id, "Alice anew"))
	if strings.Contains(n.logs.String(), "fetch of app state") || strings.Contains(n.logs.String(), "sync app state") {
		t.Error("whatsmeow has complained that it could not fetch")
	}
}
