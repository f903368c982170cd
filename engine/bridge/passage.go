package bridge

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"chatwren/engine/enginepb"
)

// longestError is how many bytes of an error's text go out.
const longestError = 1000

// bounded is a service whose every answer passes the boundary, whichever method gives it, and whose methods' panics cost
// the one call.
func bounded(service grpc.ServiceDesc, log *slog.Logger) *grpc.ServiceDesc {
	methods := make([]grpc.MethodDesc, len(service.Methods))
	for i, method := range service.Methods {
		methods[i] = grpc.MethodDesc{MethodName: method.MethodName, Handler: func(
			server any, ctx context.Context, decode func(any) error, interceptor grpc.UnaryServerInterceptor,
		) (answer any, err error) {
			defer recovered(method.MethodName, log, &err)
			answer, err = method.Handler(server, ctx, decode, interceptor)
			if err != nil {
				return nil, err
			}
			return outgoing(answer)
		}}
	}
	streams := make([]grpc.StreamDesc, len(service.Streams))
	for i, stream := range service.Streams {
		streams[i] = stream
		streams[i].Handler = func(server any, serverStream grpc.ServerStream) (err error) {
			defer recovered(stream.StreamName, log, &err)
			return stream.Handler(server, boundedStream{serverStream, log})
		}
	}
	service.Methods, service.Streams = methods, streams
	return &service
}

// recovered makes a panic an error, and an error's text one that may go out.
func recovered(method string, log *slog.Logger, err *error) {
	if problem := recover(); problem != nil {
		log.Error("a call panicked", "method", method, "panic", fmt.Sprint(problem), "stack", string(debug.Stack()))
		*err = status.Error(codes.Internal, "the engine failed at this call")
	}
	if *err == nil {
		return
	}
	failed, typed := status.FromError(*err)
	if !typed {
		failed = status.FromContextError(*err)
	}
	*err = status.Error(failed.Code(), readable(failed.Message(), longestError))
}

func outgoing(answer any) (proto.Message, error) {
	fit, err := passable(answer.(proto.Message))
	if err != nil {
		return nil, status.Error(codes.DataLoss, "the answer cannot be passed on: "+err.Error())
	}
	return fit, nil
}

// boundedStream is a stream whose every message passes the boundary, of events each by itself.
type boundedStream struct {
	grpc.ServerStream
	log *slog.Logger
}

func (s boundedStream) SendMsg(message any) error {
	if batch, ok := message.(*enginepb.EventBatch); ok {
		fit := &enginepb.EventBatch{Events: make([]*enginepb.Event, 0, len(batch.Events))}
		for _, event := range batch.Events {
			if event = s.passing(event); event != nil {
				fit.Events = append(fit.Events, event)
			}
		}
		if len(fit.Events) == 0 {
			return nil
		}
		return s.ServerStream.SendMsg(fit)
	}
	fit, err := outgoing(message)
	if err != nil {
		return err
	}
	return s.ServerStream.SendMsg(fit)
}

// passing is an event as it may go out. One that cannot goes as unreadable; a notice that needs no ack is dropped, since
// nothing is lost with it and what is put aside would take the place of what is. Nil: nothing goes.
func (s boundedStream) passing(event *enginepb.Event) *enginepb.Event {
	fit, err := passable(event)
	if err != nil && !event.NeedsAck {
		s.log.Warn("a notice cannot be passed on", "account", event.Account, "why", err.Error())
		return nil
	}
	if err != nil {
		aside := unreadable(event, err.Error())
		// Without its detail, which names a person: a deletion finds that in the dead letter, and not in a log.
		s.log.Warn("an event cannot be passed on", "account", event.Account, "kind", aside.GetUnreadable().Kind,
			"why", err.Error())
		if fit, err = passable(aside); err != nil {
			s.log.Error("nor that it cannot", "account", event.Account, "why", err.Error())
			return nil // the stream is everybody's
		}
	}
	return fit.(*enginepb.Event)
}
