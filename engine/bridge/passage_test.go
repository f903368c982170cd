package bridge

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"strings"
	"testing"
	"unicode/utf8"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"chatwren/engine/enginepb"
)

// careless is an engine whose methods pass on what strangers wrote, and panic at it.
type careless struct {
	enginepb.UnimplementedEngineServer
}

func (careless) Groups(_ context.Context, request *enginepb.GroupsRequest) (*enginepb.GroupsResponse, error) {
	if request.Account == "panic" {
		panic("a hostile group")
	}
	return &enginepb.GroupsResponse{Groups: []*enginepb.Group{{Jid: "\xff"}, {Jid: "1@g.us", Name: "a\x00\xff"}}}, nil
}

func (careless) Close(context.Context, *enginepb.CloseRequest) (*enginepb.CloseResponse, error) {
	return nil, unavailable(errors.New(strings.Repeat("\xff\x00\n", 100_000)))
}

func (careless) Logout(context.Context, *enginepb.LogoutRequest) (*enginepb.LogoutResponse, error) {
	return nil, context.DeadlineExceeded
}

func (careless) LogoutOrphans(context.Context, *enginepb.LogoutOrphansRequest) (*enginepb.LogoutOrphansResponse, error) {
	return &enginepb.LogoutOrphansResponse{LoggedOut: []string{"\xff"}}, nil
}

func (careless) Events(stream grpc.BidiStreamingServer[enginepb.AckBatch, enginepb.EventBatch]) error {
	return stream.Send(&enginepb.EventBatch{Events: []*enginepb.Event{
		messageEvent(func(m *enginepb.Event_Message) { m.Id, m.Chat, m.Sender = "\xff", "4915200009@lid", "4915200009:1@lid" }),
		{Account: strings.Repeat("a", 300), NeedsAck: true},
		{Account: "a", Event: &enginepb.Event_Undecryptable_{Undecryptable: &enginepb.Event_Undecryptable{Id: strings.Repeat("i", 250_000)}}},
		messageEvent(func(m *enginepb.Event_Message) { m.Text = "\xff" }),
	}})
}

func (careless) Download(_ *enginepb.DownloadRequest, stream grpc.ServerStreamingServer[enginepb.DownloadChunk]) error {
	if err := stream.Send(&enginepb.DownloadChunk{Chunk: make([]byte, largestBytes)}); err != nil {
		return err
	}
	return stream.Send(&enginepb.DownloadChunk{Chunk: make([]byte, largestBytes+1)})
}

func (careless) Upload(grpc.ClientStreamingServer[enginepb.UploadRequest, enginepb.UploadResponse]) error {
	panic("a hostile upload")
}

func TestNoMethodGoesAroundTheBoundary(t *testing.T) {
	t.Parallel()
	var said bytes.Buffer
	log := slog.New(slog.NewJSONHandler(&said, nil))
	server := grpc.NewServer()
	server.RegisterService(bounded(enginepb.Engine_ServiceDesc, log), careless{})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)
	conn, err := grpc.NewClient(listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	engine, ctx := enginepb.NewEngineClient(conn), t.Context()

	groups, err := engine.Groups(ctx, &enginepb.GroupsRequest{})
	if err != nil || len(groups.Groups) != 1 || groups.Groups[0].Name != "a\uFFFD\uFFFD" {
		t.Errorf("groups: %v, %v", groups, err)
	}
	if _, err = engine.Groups(ctx, &enginepb.GroupsRequest{Account: "panic"}); status.Code(err) != codes.Internal || strings.Contains(err.Error(), "hostile") {
		t.Errorf("a panic became %v", err)
	}
	_, err = engine.Close(ctx, &enginepb.CloseRequest{})
	if text := status.Convert(err).Message(); status.Code(err) != codes.Unavailable || len(text) > longestError || !utf8.ValidString(text) {
		t.Errorf("a long error became %s, %d bytes", status.Code(err), len(text))
	}
	if _, err = engine.Logout(ctx, &enginepb.LogoutRequest{}); status.Code(err) != codes.DeadlineExceeded {
		t.Errorf("a deadline became %v", err)
	}
	if _, err = engine.LogoutOrphans(ctx, &enginepb.LogoutOrphansRequest{}); status.Code(err) != codes.DataLoss {
		t.Errorf("an answer that cannot pass became %v", err)
	}

	events, err := engine.Events(ctx)
	if err != nil {
		t.Fatal(err)
	}
	passed, err := events.Recv()
	if err != nil || len(passed.Events) != 2 {
		t.Fatalf("two events can be passed on, or aside: %v, %v", passed, err)
	}
	if first := passed.Events[0]; first.GetUnreadable().GetKind() != "message" || first.Seq != 7 || !first.NeedsAck {
		t.Errorf("an event that cannot pass became %v", first)
	}
	if second := passed.Events[1]; second.GetMessage().GetText() != "\uFFFD" {
		t.Errorf("the event after two that were dropped: %v", second)
	}

	chunks, err := engine.Download(ctx, &enginepb.DownloadRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if chunk, err := chunks.Recv(); err != nil || len(chunk.Chunk) != largestBytes {
		t.Errorf("a chunk: %v", err)
	}
	if _, err := chunks.Recv(); status.Code(err) != codes.DataLoss {
		t.Errorf("a chunk that is too large became %v", err)
	}
	upload, err := engine.Upload(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := upload.CloseAndRecv(); status.Code(err) != codes.Internal {
		t.Errorf("a stream that panics became %v", err)
	}
	server.Stop()
	if lines := strings.Count(said.String(), "\n"); lines != 6 {
		t.Errorf("the log has %d lines:\n%s", lines, said.String())
	}
	if strings.Contains(said.String(), "4915200009") {
		t.Errorf("the log names a person:\n%s", said.String())
	}
}
