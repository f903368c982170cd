package bridge

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"time"

	"go.mau.fi/whatsmeow"
	"go.mau.fi/whatsmeow/proto/waE2E"
	"go.mau.fi/whatsmeow/socket"
	"go.mau.fi/whatsmeow/types"
	"google.golang.org/grpc"

	"chatwren/engine/enginepb"
)

const (
	sendTimeout = 20 * time.Second
	// sendGrace is how long a send may take to notice that it was given up. It can hang in a lock of whatsmeow's, or of
	// its store's, that does.
	sendGrace = time.Second
	// staleGroup is what WhatsApp answers to a group message that names its members by number where the group names them by
	// LID now, or the other way round: what is known of the group is out of date.
	staleGroup = 421
)

// mostSends bounds what a stream of sends has under way: the worker has at most half as many.
const mostSends = 2048

// mostOutcomes bounds a batch of outcomes, by number; each has some hundred bytes.
const mostOutcomes = 512

// Send passes messages to WhatsApp and says what became of each.
func (s *door) Send(stream grpc.BidiStreamingServer[enginepb.SendBatch, enginepb.OutcomeBatch]) error {
	ctx := stream.Context()
	places := make(chan struct{}, mostSends)
	outcomes := make(chan *enginepb.OutcomeBatch_One, mostSends) // whoever has a place has room here
	ended := make(chan error, 1)
	go func() {
		for {
			batch, err := stream.Recv()
			if err != nil {
				ended <- err
				return
			}
			for _, one := range batch.Sends {
				select {
				case places <- struct{}{}:
				case <-ctx.Done():
					return
				}
				go func() {
					outcomes <- &enginepb.OutcomeBatch_One{Number: one.Number, Outcome: s.outcome(ctx, one.Request)}
				}()
			}
		}
	}()
	for {
		batch := &enginepb.OutcomeBatch{}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ended:
			return nil
		case one := <-outcomes:
			batch.Outcomes = append(batch.Outcomes, one)
		}
		for more := true; more && len(batch.Outcomes) < mostOutcomes; {
			select {
			case one := <-outcomes:
				batch.Outcomes = append(batch.Outcomes, one)
			default:
				more = false
			}
		}
		for range batch.Outcomes {
			<-places
		}
		if err := stream.Send(batch); err != nil {
			return err
		}
	}
}

// outcome passes one message to WhatsApp and says what became of it. A panic costs this one alone.
func (s *door) outcome(ctx context.Context, request *enginepb.SendRequest) (response *enginepb.SendResponse) {
	defer func() {
		if problem := recover(); problem != nil {
			s.engine.log.Error("a send panicked", "panic", fmt.Sprint(problem), "stack", string(debug.Stack()))
			response = unknown("the engine failed at this message")
		}
	}()
	timeout := sendTimeout
	if request.GetTimeoutMs() > 0 {
		timeout = time.Duration(request.TimeoutMs) * time.Millisecond
	}
	to, err := recipient(request.GetTo())
	if err != nil {
		return invalid(err)
	}
	if request.Id == "" {
		return invalid(errors.New("a message needs an id"))
	}
	message, err := outbound(request.Text, request.Media)
	if err != nil {
		return invalid(err)
	}
	a, refused := s.engine.sender(request.Account, request.Epoch)
	if refused != nil {
		return refused
	}
	return a.send(ctx, request.Epoch, to, request.Id, message, timeout)
}

// sender is the account to send with, or why there is none.
func (e *Engine) sender(id string, epoch int64) (*account, *enginepb.SendResponse) {
	a, highest := e.account(id)
	switch {
	case highest > epoch:
		return nil, notSent(enginepb.SendResponse_NotSent_FENCED, "a newer epoch is known")
	case a == nil:
		return nil, notSent(enginepb.SendResponse_NotSent_NOT_OPEN, "")
	}
	return a, a.refusal(epoch)
}

// refusal says why nothing may or can be sent now; nil if it can.
func (a *account) refusal(epoch int64) *enginepb.SendResponse {
	switch {
	case !a.holds(epoch):
		return notSent(enginepb.SendResponse_NotSent_FENCED, errLease.Error())
	case !a.ready():
		return notSent(enginepb.SendResponse_NotSent_NOT_CONNECTED, "")
	}
	return nil
}

// ready says whether the connection can take a message. whatsmeow calls itself logged in before WhatsApp takes any, and
// still does after the connection broke.
func (a *account) ready() bool { return a.online.Load() && a.client.IsLoggedIn() }

// send waits for its turn and sends. What may not be sent is refused here, before it stands in whatsmeow's own queue,
// which nothing leads out of. One time limit holds for both: what ends later, the caller has taken for unknown.
func (a *account) send(ctx context.Context, epoch int64, to types.JID, id string, message *waE2E.Message, timeout time.Duration) *enginepb.SendResponse {
	until := time.Now().Add(timeout)
	patience := time.NewTimer(timeout / 2) // with less than half of it left, many would go out whose ack comes too late
	defer patience.Stop()
	select {
	case a.turn <- struct{}{}:
	case <-patience.C:
		return notSent(enginepb.SendResponse_NotSent_BUSY, "the message before it takes too long")
	case <-a.ctx.Done():
		return notSent(enginepb.SendResponse_NotSent_NOT_OPEN, "")
	case <-ctx.Done():
		return notSent(enginepb.SendResponse_NotSent_BUSY, "given up by the caller")
	}
	if refused := a.refusal(epoch); refused != nil {
		<-a.turn
		return refused
	}
	// From here on the caller's going away changes nothing: what is on its way should end with a known outcome. An ack that
	// does not come in time frees whatsmeow's lock, which it would hold for 75 s.
	sending, cancel := context.WithDeadline(a.ctx, until)
	x := &exchange{guard: a.guard, own: a.client.Store.GetLID().SignalAddressUser(), direct: a.direct(to)}
	done := make(chan *enginepb.SendResponse, 1)
	go func() {
		defer cancel()
		defer func() { <-a.turn }()
		defer func() {
			if problem := recover(); problem != nil { // what a recipient's devices have published may be hostile
				a.log.Error("a send panicked", "panic", fmt.Sprint(problem), "stack", string(debug.Stack()))
				done <- unknown("the engine failed at this message")
			}
		}()
		done <- a.transmit(sending, x, to, id, message)
	}()
	select {
	case response := <-done:
		return response
	case <-sending.Done():
	}
	select {
	case response := <-done:
		return response
	case <-time.After(sendGrace):
	}
	switch {
	case !x.drop():
		return unknown("no outcome in time")
	case a.ctx.Err() != nil:
		return notSent(enginepb.SendResponse_NotSent_NOT_OPEN, errGivenUp.Error())
	}
	return notSent(enginepb.SendResponse_NotSent_BUSY, errGivenUp.Error())
}

func (a *account) transmit(ctx context.Context, x *exchange, to types.JID, id string, message *waE2E.Message) *enginepb.SendResponse {
	defer x.end()
	send := func() (whatsmeow.SendResponse, error) {
		return a.client.SendMessage(withExchange(ctx, x), to, message, whatsmeow.SendRequestExtra{ID: id})
	}
	sent, err := send()
	if code, refused := refusalCode(err); refused && code == staleGroup && to.Server == types.GroupServer {
		x.again()
		if _, unknown := a.client.GetGroupInfo(ctx, to); unknown == nil { // whatsmeow goes by what it asked for last
			sent, err = send()
		}
	}
	if err == nil && x.asked > 0 && x.drop() {
		err = errNotEncrypted // WhatsApp took a message that no device can read
	}
	if err != nil {
		return failure(err, sent.DebugTimings.Send > 0 && !x.drop())
	}
	return &enginepb.SendResponse{Outcome: &enginepb.SendResponse_Sent_{
		Sent: &enginepb.SendResponse_Sent{ServerTime: sent.Timestamp.UnixMilli()},
	}}
}

// direct says whether `to` is one contact that is not the account itself.
func (a *account) direct(to types.JID) bool {
	return to.Server != types.GroupServer && to.User != a.client.Store.GetJID().User && to.User != a.client.Store.GetLID().User
}

// refusalCode is the number with which WhatsApp refused a message, if an error says that it did.
func refusalCode(err error) (code int, refused bool) {
	if !errors.Is(err, whatsmeow.ErrServerReturnedError) {
		return 0, false
	}
	_, problem := fmt.Sscanf(strings.TrimPrefix(err.Error(), whatsmeow.ErrServerReturnedError.Error()), "%d", &code)
	return code, problem == nil
}

// failure types an error of whatsmeow's. onWire: the frame was handed to the socket, so that it may be out, unless the
// socket was found closed.
func failure(err error, onWire bool) *enginepb.SendResponse {
	code, refused := refusalCode(err)
	switch {
	case refused:
		return rejected(code, err)
	case errors.Is(err, errNotEncrypted):
		return notSent(enginepb.SendResponse_NotSent_LOCAL, err.Error())
	case errors.Is(err, errLease):
		return notSent(enginepb.SendResponse_NotSent_FENCED, err.Error())
	case errors.Is(err, whatsmeow.ErrServerReturnedError):
		return unknown(err.Error())
	case errors.Is(err, whatsmeow.ErrNotConnected), errors.Is(err, socket.ErrSocketClosed):
		return notSent(enginepb.SendResponse_NotSent_NOT_CONNECTED, err.Error())
	case errors.Is(err, socket.ErrFrameTooLarge):
		return invalid(err)
	case onWire:
		return unknown(err.Error())
	case strings.HasPrefix(err.Error(), "no LID found for"): // not typed by whatsmeow
		return &enginepb.SendResponse{Outcome: &enginepb.SendResponse_NotOnWhatsapp{
			NotOnWhatsapp: &enginepb.SendResponse_NotOnWhatsApp{},
		}}
	case errors.Is(err, context.Canceled): // with the account; a time limit that ends is another error
		return notSent(enginepb.SendResponse_NotSent_NOT_OPEN, err.Error())
	case errors.Is(err, errHeldUp):
		return notSent(enginepb.SendResponse_NotSent_BUSY, err.Error())
	case errors.Is(err, whatsmeow.ErrNotInGroup):
		return rejected(403, err)
	case errors.Is(err, whatsmeow.ErrGroupNotFound):
		return rejected(404, err)
	}
	var disconnected *whatsmeow.DisconnectedError
	if errors.As(err, &disconnected) {
		return notSent(enginepb.SendResponse_NotSent_NOT_CONNECTED, err.Error())
	}
	return notSent(enginepb.SendResponse_NotSent_LOCAL, err.Error())
}

func notSent(reason enginepb.SendResponse_NotSent_Reason, detail string) *enginepb.SendResponse {
	return &enginepb.SendResponse{Outcome: &enginepb.SendResponse_NotSent_{
		NotSent: &enginepb.SendResponse_NotSent{Reason: reason, Detail: detail},
	}}
}

func unknown(detail string) *enginepb.SendResponse {
	return &enginepb.SendResponse{Outcome: &enginepb.SendResponse_Unknown_{
		Unknown: &enginepb.SendResponse_Unknown{Detail: detail},
	}}
}

func rejected(code int, err error) *enginepb.SendResponse {
	return &enginepb.SendResponse{Outcome: &enginepb.SendResponse_Rejected_{
		Rejected: &enginepb.SendResponse_Rejected{Code: int32(code), Detail: err.Error()},
	}}
}

func invalid(err error) *enginepb.SendResponse {
	return &enginepb.SendResponse{Outcome: &enginepb.SendResponse_Invalid_{
		Invalid: &enginepb.SendResponse_Invalid{Detail: err.Error()},
	}}
}
