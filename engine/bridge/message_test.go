package bridge_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"chatwren/engine/enginepb"
)

func TestTextGoesOutAndComesIn(t *testing.T) {
	t.Parallel()
	n := startNode(t)
	worker := n.listen()
	alice, bob := n.pair(newNumber()), newNumber()

	id := n.mustSend(alice, bob, "hello Bob")
	shown := awaitOnPhone(t, bob, id)
	if shown.Text != "hello Bob" || shown.From != alice.number || shown.Deliveries != 1 {
		t.Errorf("Bob's phone shows %+v", shown)
	}
	receipt := worker.await("read receipt", 1, receiptOf(id, enginepb.Event_Receipt_READ)).GetReceipt()
	if !strings.HasSuffix(receipt.Chat, "@lid") || receipt.ChatAlt != bob+"@s.whatsapp.net" {
		t.Errorf("read in %q, that is %q", receipt.Chat, receipt.ChatAlt)
	}

	write(t, bob, alice.number, "hello Alice")
	got := worker.await("message", 1, messageWith(alice.id, "hello Alice")).GetMessage()
	if got.SenderPhone != bob || got.ChatPhone != bob || got.FromMe || got.Group || got.Id == "" || got.At == 0 {
		t.Errorf("inbound: %v", got)
	}
}

func TestWhatTheOwnPhoneWritesIsFromMe(t *testing.T) {
	t.Parallel()
	n := startNode(t)
	worker := n.listen()
	alice, bob := n.pair(newNumber()), newNumber()
	write(t, alice.number, bob, "from my phone")
	got := worker.await("message", 1, messageWith(alice.id, "from my phone")).GetMessage()
	if !got.FromMe || got.ChatPhone != bob || got.SenderPhone != alice.number {
		t.Errorf("own message: %v", got)
	}
}

func TestSameIDTwiceIsShownOnce(t *testing.T) {
	t.Parallel()
	n := startNode(t)
	alice, bob := n.pair(newNumber()), newNumber()
	id := n.mustSend(alice, bob, "once")
	if response := n.text(alice, address(bob), id, "once"); response.GetSent() == nil {
		t.Fatalf("sent again: %v", response)
	}
	eventually(t, "a second arrival", func() bool { return awaitOnPhone(t, bob, id).Deliveries == 2 })
	if shown := onPhone(t, bob); len(shown) != 1 {
		t.Errorf("Bob's phone shows %d messages", len(shown))
	}
}

func (n *node) upload(l linked, kind enginepb.MediaKind, file []byte) *enginepb.MediaHandle {
	n.t.Helper()
	stream, err := n.Upload(n.t.Context())
	if err != nil {
		n.t.Fatal(err)
	}
	requests := []*enginepb.UploadRequest{{Request: &enginepb.UploadRequest_Start_{
		Start: &enginepb.UploadRequest_Start{Account: l.id, Epoch: 1, Kind: kind},
	}}}
	for len(file) > 0 {
		size := min(len(file), 100_000)
		requests = append(requests, &enginepb.UploadRequest{Request: &enginepb.UploadRequest_Chunk{Chunk: file[:size]}})
		file = file[size:]
	}
	for _, request := range requests {
		if err := stream.Send(request); err != nil {
			n.t.Fatal(err)
		}
	}
	response, err := stream.CloseAndRecv()
	if err != nil {
		n.t.Fatal(err)
	}
	if response.GetHandle() == nil {
		n.t.Fatalf("upload: %v", response)
	}
	return response.GetHandle()
}

func (n *node) download(l linked, handle *enginepb.MediaHandle) ([]byte, error) {
	stream, err := n.Download(n.t.Context(), &enginepb.DownloadRequest{Account: l.id, Handle: handle})
	if err != nil {
		return nil, err
	}
	var file bytes.Buffer
	for {
		chunk, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return file.Bytes(), nil
		}
		if err != nil {
			return nil, err
		}
		file.Write(chunk.Chunk)
	}
}

func TestMediaArrivesAsItWas(t *testing.T) {
	t.Parallel()
	n := startNode(t)
	n.listen()
	alice := n.pair(newNumber())
	file := bytes.Repeat([]byte("not really a picture "), 40_000)
	hash := sha256.Sum256(file)
	for _, c := range []struct {
		kind  enginepb.MediaKind
		media *enginepb.Media
		text  string
	}{
		{enginepb.MediaKind_IMAGE, &enginepb.Media{Mimetype: "image/jpeg", Width: 640, Height: 480, ThumbnailJpeg: []byte("thumb")}, "look"},
		{enginepb.MediaKind_VIDEO, &enginepb.Media{Mimetype: "video/mp4", Width: 640, Height: 480, Seconds: 3}, "watch"},
		{enginepb.MediaKind_AUDIO, &enginepb.Media{Mimetype: "audio/ogg", Seconds: 3}, ""},
		{enginepb.MediaKind_DOCUMENT, &enginepb.Media{Mimetype: "application/pdf", FileName: "a b.pdf"}, ""},
		{enginepb.MediaKind_DOCUMENT, &enginepb.Media{Mimetype: "application/pdf", FileName: "a b.pdf"}, "read"},
	} {
		t.Run(fmt.Sprint(c.kind, " ", c.text), func(t *testing.T) {
			bob := newNumber()
			c.media.Handle = n.upload(alice, c.kind, file)
			id := newMessageID()
			response := n.send(&enginepb.SendRequest{
				Account: alice.id, Epoch: 1, Id: id, To: address(bob), Text: c.text, Media: c.media,
			})
			if response.GetSent() == nil {
				t.Fatalf("not sent: %v", response)
			}
			shown := awaitOnPhone(t, bob, id)
			if shown.Text != c.text || shown.Media == nil || shown.Media.Mimetype != c.media.Mimetype ||
				shown.Media.Size != len(file) || shown.Media.SHA256 != hex.EncodeToString(hash[:]) {
				t.Errorf("Bob's phone shows %+v %+v", shown, shown.Media)
			}
			again, err := n.download(alice, c.media.Handle)
			if err != nil || !bytes.Equal(again, file) {
				t.Errorf("downloaded %d bytes, %v", len(again), err)
			}
		})
	}
}

func TestMediaThatIsGoneIsNotFound(t *testing.T) {
	t.Parallel()
	n := startNode(t)
	alice := n.pair(newNumber())
	handle := n.upload(alice, enginepb.MediaKind_DOCUMENT, []byte("short"))
	handle.DirectPath = strings.Replace(handle.DirectPath, "/media/", "/media/gone-", 1)
	handle.FileEncSha256 = make([]byte, 32)
	if _, err := n.download(alice, handle); status.Code(err) != codes.NotFound {
		t.Errorf("download of nothing: %v", err)
	}
}

func TestGroups(t *testing.T) {
	t.Parallel()
	n := startNode(t)
	worker := n.listen()
	alice, bob, charlie := n.pair(newNumber()), newNumber(), newNumber()
	var group struct{ ID string }
	phones(t, http.MethodPost, "/groups", map[string]any{
		"name": "Walkers", "owner": alice.number, "participants": []string{bob, charlie},
	}, &group)

	worker.await("change of the list", 1, func(event *enginepb.Event) bool {
		return event.Account == alice.id && event.GetGroupChange() != nil && event.GetGroupChange().Group == ""
	})
	response, err := n.Groups(t.Context(), &enginepb.GroupsRequest{Account: alice.id, Epoch: 1})
	if err != nil {
		t.Fatal(err)
	}
	if len(response.Groups) != 1 || response.Groups[0].Jid != group.ID || response.Groups[0].Name != "Walkers" {
		t.Fatalf("groups: %v", response)
	}
	members := map[string]bool{}
	for _, member := range response.Groups[0].Participants {
		members[member.Phone] = member.Admin
		if member.Lid == "" {
			t.Errorf("a member without LID: %v", member)
		}
	}
	if len(members) != 3 || !members[alice.number] || members[bob] {
		t.Errorf("members: %v", members)
	}

	id := newMessageID()
	if response := n.text(alice, group.ID, id, "hello all"); response.GetSent() == nil {
		t.Fatalf("not sent: %v", response)
	}
	awaitOnPhone(t, bob, id)
	awaitOnPhone(t, charlie, id)
	worker.await("read receipt", 2, receiptOf(id, enginepb.Event_Receipt_READ))

	write(t, bob, group.ID, "hello from Bob")
	got := worker.await("message", 1, messageWith(alice.id, "hello from Bob")).GetMessage()
	if !got.Group || got.Chat != group.ID || got.SenderPhone != bob || got.ChatPhone != "" {
		t.Errorf("inbound: %v", got)
	}
}

func TestCheckNumbers(t *testing.T) {
	t.Parallel()
	n := startNode(t)
	alice, bob, charlie := n.pair(newNumber()), newNumber(), newNumber()
	phones(t, http.MethodPatch, "/phones/"+charlie, map[string]any{"registered": false}, nil)
	response, err := n.CheckNumbers(t.Context(), &enginepb.CheckNumbersRequest{
		Account: alice.id, Epoch: 1, Phones: []string{bob, charlie},
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(response.Results) != 2 {
		t.Fatalf("results: %v", response)
	}
	first, second := response.Results[0], response.Results[1]
	if first.Phone != bob || !first.Registered || first.Jid != address(bob) || first.RegisteredPhone != bob {
		t.Errorf("Bob: %v", first)
	}
	if second.Phone != charlie || second.Registered || second.Jid != "" {
		t.Errorf("Charlie: %v", second)
	}
	if _, err = n.CheckNumbers(t.Context(), &enginepb.CheckNumbersRequest{
		Account: alice.id, Epoch: 1, Phones: []string{"+49"},
	}); status.Code(err) != codes.InvalidArgument {
		t.Errorf("malformed number: %v", err)
	}
}

func TestMarkRead(t *testing.T) {
	t.Parallel()
	n := startNode(t)
	worker := n.listen()
	alice, bob := n.pair(newNumber()), newNumber()
	write(t, bob, alice.number, "read me")
	got := worker.await("message", 1, messageWith(alice.id, "read me")).GetMessage()
	if _, err := n.MarkRead(t.Context(), &enginepb.MarkReadRequest{
		Account: alice.id, Epoch: 1, Ids: []string{got.Id}, Chat: got.Chat, Sender: got.Sender,
	}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the read receipt on Bob's phone", func() bool {
		for _, message := range onPhone(t, bob) {
			if message.ID == got.Id && message.Receipt == "read" {
				return true
			}
		}
		return false
	})
}

func TestInfo(t *testing.T) {
	t.Parallel()
	n := startNode(t)
	info, err := n.Info(t.Context(), &enginepb.InfoRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if info.Version != "1.2.3" || info.Server != world.sandbox.WhatsAppAddress() || !strings.HasPrefix(info.ProtocolVersion, "2.") {
		t.Errorf("info: %v", info)
	}
}
