package bridge

import (
	"context"
	"runtime/debug"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"chatwren/engine/enginepb"
)

var (
	errNotOpen      = status.Error(codes.FailedPrecondition, "the account is not open here")
	errFenced       = status.Error(codes.FailedPrecondition, "the account is held under another epoch, or its lease ran out")
	errNotConnected = status.Error(codes.FailedPrecondition, "the account is not connected")
)

const library = "go.mau.fi/whatsmeow"

// door is the engine as gRPC offers it.
type door struct {
	enginepb.UnimplementedEngineServer
	engine *Engine
}

// Info says what this process is.
func (s *door) Info(context.Context, *enginepb.InfoRequest) (*enginepb.InfoResponse, error) {
	response := &enginepb.InfoResponse{
		Version:         s.engine.options.Version,
		ProtocolVersion: s.engine.version.current().String(),
		Server:          s.engine.options.WhatsAppAddress,
	}
	if build, ok := debug.ReadBuildInfo(); ok {
		for _, module := range build.Deps {
			if module.Path == library {
				response.Whatsmeow = module.Version
			}
		}
	}
	return response, nil
}

// Open connects an account.
func (s *door) Open(ctx context.Context, request *enginepb.OpenRequest) (*enginepb.OpenResponse, error) {
	jid, err := parseDeviceJID(request.Jid)
	switch {
	case err != nil:
		return nil, status.Error(codes.InvalidArgument, err.Error())
	case request.Account == "" || request.ValidForMs <= 0:
		return nil, status.Error(codes.InvalidArgument, "want an account and a lease")
	}
	result, err := s.engine.open(ctx, request.Account, jid, request.Epoch, milliseconds(request.ValidForMs))
	if err != nil {
		return nil, unavailable(err)
	}
	return &enginepb.OpenResponse{Result: result}, nil
}

// Renew extends leases.
func (s *door) Renew(_ context.Context, request *enginepb.RenewRequest) (*enginepb.RenewResponse, error) {
	response := &enginepb.RenewResponse{}
	for _, lease := range request.Leases {
		if !s.engine.renew(lease.Account, lease.Epoch, milliseconds(lease.ValidForMs)) {
			response.Unknown = append(response.Unknown, lease.Account)
		}
	}
	return response, nil
}

// Close disconnects an account.
func (s *door) Close(_ context.Context, request *enginepb.CloseRequest) (*enginepb.CloseResponse, error) {
	s.engine.close(request.Account, request.Epoch)
	return &enginepb.CloseResponse{}, nil
}

// connected is the account for a call that needs WhatsApp.
func (e *Engine) connected(id string, epoch int64) (*account, error) {
	a, highest := e.account(id)
	switch {
	case highest > epoch:
		return nil, errFenced
	case a == nil:
		return nil, errNotOpen
	case !a.holds(epoch):
		return nil, errFenced
	case !a.ready():
		return nil, errNotConnected
	}
	return a, nil
}

func unavailable(err error) error { return status.Error(codes.Unavailable, err.Error()) }

func milliseconds(n int64) time.Duration { return time.Duration(n) * time.Millisecond }
