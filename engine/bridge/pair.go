package bridge

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"go.mau.fi/whatsmeow"
	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/types/events"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"chatwren/engine/enginepb"
)

const (
	firstAnswer   = 30 * time.Second // from dialling to the codes
	codesGrace    = 10 * time.Second // after which a server that does not end the phase is left
	confirmTime   = 15 * time.Second // for the caller to store the new device
	settleTries   = 2
	requestTime   = 20 * time.Second // for WhatsApp to answer in between
	pairingAtMost = 10 * time.Minute
	displayName   = "Chrome (Linux)" // WhatsApp takes only known browsers and systems
)

// settleTime is how long a first login may take after the pairing.
var settleTime = 15 * time.Second

// pairing is one run of Pair. All happens in its own goroutine; whatsmeow's handlers only hand it what they get.
type pairing struct {
	account *account
	owner   *ownership
	stream  grpc.BidiStreamingServer[enginepb.PairRequest, enginepb.PairEvent]
	epoch   int64
	phone   string

	events    chan any
	requests  chan *enginepb.PairRequest
	questions chan confirmation // from PrePairCallback
	answers   chan bool         // to PrePairCallback
	stop      context.CancelFunc
	done      chan struct{} // the last event is known
	gone      chan struct{} // nothing more comes of it

	qr      qrCodes
	asked   bool // a question waits for its answer
	paired  *events.PairSuccess
	settled int // logins begun after the pairing
}

// confirmation is PrePairCallback's question: may this device be saved?
type confirmation struct {
	jid                types.JID
	platform, business string
}

// Pair links a new device.
func (s *door) Pair(stream grpc.BidiStreamingServer[enginepb.PairRequest, enginepb.PairEvent]) error {
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	start := first.GetStart()
	if start.GetAccount() == "" {
		return status.Error(codes.InvalidArgument, "the first request of a pairing is its start")
	}
	if strings.Trim(start.Phone, "0123456789") != "" {
		return status.Error(codes.InvalidArgument, "phone: want digits")
	}
	e := s.engine
	owner := e.ownership(start.Account)
	if !e.claim(owner, start.Epoch) {
		return errFenced
	}
	ctx, stop := context.WithCancel(stream.Context())
	defer stop()
	p := &pairing{
		account:   e.newAccount(start.Account, e.database.container.NewDevice(), newLease(start.Epoch, pairingAtMost)),
		owner:     owner,
		stream:    stream,
		epoch:     start.Epoch,
		phone:     start.Phone,
		events:    make(chan any),
		requests:  make(chan *enginepb.PairRequest),
		questions: make(chan confirmation),
		answers:   make(chan bool, 1),
		stop:      stop,
		done:      make(chan struct{}),
		gone:      make(chan struct{}),
	}
	for !e.begin(owner, p) {
		if err := e.endPairing(ctx, owner); err != nil {
			p.account.end()
			return err
		}
	}
	success := false
	defer func() { p.finish(success) }()
	p.account.observe = p.observe
	p.account.client.PrePairCallback = p.mayPair
	go p.receive()
	p.account.connect()
	outcome, err := p.run(ctx)
	success = outcome.GetSuccess() != nil
	if err != nil {
		return err
	}
	return stream.Send(outcome)
}

// run goes through the pairing up to its last event.
func (p *pairing) run(ctx context.Context) (*enginepb.PairEvent, error) {
	phase := time.NewTimer(firstAnswer)
	defer phase.Stop()
	for {
		var outcome *enginepb.PairEvent
		var err error
		select {
		case <-ctx.Done():
			if err := p.stream.Context().Err(); err != nil {
				return nil, err
			}
			return pairFailure(enginepb.PairEvent_Failure_DISCONNECTED, "another call has ended it"), nil
		case <-p.account.ctx.Done():
			return pairFailure(enginepb.PairEvent_Failure_DISCONNECTED, "the account ended here"), nil
		case request := <-p.requests:
			outcome, err = p.obey(ctx, request)
		case question := <-p.questions:
			p.asked = true
			err = p.stream.Send(&enginepb.PairEvent{Event: &enginepb.PairEvent_Confirm_{Confirm: &enginepb.PairEvent_Confirm{
				Jid: question.jid.String(), Platform: question.platform, BusinessName: question.business,
			}}})
		case event := <-p.events:
			outcome, err = p.follow(ctx, event, phase)
		case <-phase.C:
			outcome = p.overdue(phase)
		}
		if err != nil || outcome != nil {
			return outcome, err
		}
	}
}

// observe gets the account's events, when the account is done with them.
func (p *pairing) observe(event any) {
	if success, ok := event.(*events.PairSuccess); ok {
		p.admit(success.ID)
	}
	select {
	case p.events <- event:
	case <-p.done:
	}
}

// admit makes the account an open one before its first login, so that nothing which comes with it is lost.
func (p *pairing) admit(jid types.JID) {
	p.owner.changing.Lock()
	defer p.owner.changing.Unlock()
	select {
	case <-p.done:
		return
	default:
	}
	if !p.account.engine.claim(p.owner, p.epoch) {
		p.account.end()
		return
	}
	p.account.become(jid, newLease(p.epoch, settleTries*settleTime+pairLease))
	p.account.engine.admit(p.owner, p.account)
}

// follow answers an event of whatsmeow's.
func (p *pairing) follow(ctx context.Context, event any, phase *time.Timer) (*enginepb.PairEvent, error) {
	switch event := event.(type) {
	case *events.QR:
		p.qr = newQRCodes(event.Codes, time.Now())
		phase.Reset(p.qr.total() + codesGrace)
		return p.showCodes(ctx)
	case *events.RotateADVSecret:
		p.qr.rotate(event.OldSecret, event.NewSecret)
		return nil, p.stream.Send(p.qr.event(time.Now()))
	case *events.PairPasskeyRequest:
		options, err := json.Marshal(event.PublicKey)
		if err != nil {
			return nil, err
		}
		return nil, p.stream.Send(&enginepb.PairEvent{Event: &enginepb.PairEvent_PasskeyRequest_{
			PasskeyRequest: &enginepb.PairEvent_PasskeyRequest{OptionsJson: options},
		}})
	case *events.PairPasskeyConfirmation:
		if event.SkipHandoffUX {
			return p.confirmPasskey(ctx), nil
		}
		return nil, p.stream.Send(&enginepb.PairEvent{Event: &enginepb.PairEvent_PasskeyConfirm_{
			PasskeyConfirm: &enginepb.PairEvent_PasskeyConfirm{Code: event.Code},
		}})
	case *events.PairPasskeyError:
		return pairFailure(enginepb.PairEvent_Failure_PROTOCOL, event.Error.Error()), nil
	case *events.PairError:
		if errors.Is(event.Error, whatsmeow.ErrPairRejectedLocally) {
			return pairFailure(enginepb.PairEvent_Failure_REFUSED, "not confirmed"), nil
		}
		return pairFailure(enginepb.PairEvent_Failure_PROTOCOL, event.Error.Error()), nil
	case *events.PairSuccess:
		p.paired = event
		phase.Reset(settleTime)
		return nil, nil
	case *events.Connected:
		if p.paired == nil {
			return nil, nil
		}
		p.account.become(p.paired.ID, newLease(p.epoch, pairLease))
		return &enginepb.PairEvent{Event: &enginepb.PairEvent_Success_{Success: &enginepb.PairEvent_Success{
			Jid: p.paired.ID.String(), Lid: p.paired.LID.String(),
		}}}, nil
	case *events.ClientOutdated:
		if p.paired != nil {
			return nil, nil // the account sees to it
		}
		if p.account.engine.version.refresh(ctx, *p.account.named.Load()) {
			p.account.connect()
			return nil, nil
		}
		return pairFailure(enginepb.PairEvent_Failure_OUTDATED, ""), nil
	case *events.Disconnected:
		switch {
		case p.paired != nil:
			return nil, nil // whatsmeow reconnects
		case p.qr.codes == nil:
			return pairFailure(enginepb.PairEvent_Failure_DISCONNECTED, "no connection"), nil
		}
		return pairFailure(enginepb.PairEvent_Failure_TIMEOUT, "WhatsApp ended the pairing"), nil
	case events.PermanentDisconnect:
		return pairFailure(enginepb.PairEvent_Failure_PROTOCOL, event.PermanentDisconnectDescription()), nil
	}
	return nil, nil
}

// obey does what the caller asks for.
func (p *pairing) obey(ctx context.Context, request *enginepb.PairRequest) (*enginepb.PairEvent, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTime)
	defer cancel()
	switch request := request.Request.(type) {
	case *enginepb.PairRequest_Confirm_:
		if p.asked {
			p.asked = false
			p.answers <- request.Confirm.Accept
		}
	case *enginepb.PairRequest_PasskeyResponse_:
		var assertion types.WebAuthnResponse
		if err := json.Unmarshal(request.PasskeyResponse.AssertionJson, &assertion); err != nil {
			return nil, status.Error(codes.InvalidArgument, "passkey: not a WebAuthn assertion")
		}
		if err := p.account.client.SendPasskeyResponse(ctx, &assertion); err != nil {
			return pairFailure(enginepb.PairEvent_Failure_PROTOCOL, err.Error()), nil
		}
	case *enginepb.PairRequest_PasskeyConfirmation_:
		return p.confirmPasskey(ctx), nil
	case *enginepb.PairRequest_Start_:
		return nil, status.Error(codes.InvalidArgument, "the pairing has been started")
	}
	return nil, nil
}

func (p *pairing) confirmPasskey(ctx context.Context) *enginepb.PairEvent {
	if err := p.account.client.SendPasskeyConfirmation(ctx); err != nil {
		return pairFailure(enginepb.PairEvent_Failure_PROTOCOL, err.Error())
	}
	return nil
}

// showCodes passes the QR codes on, and asks for a phone code now that WhatsApp listens.
func (p *pairing) showCodes(ctx context.Context) (*enginepb.PairEvent, error) {
	if err := p.stream.Send(p.qr.event(time.Now())); err != nil || p.phone == "" {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, requestTime)
	defer cancel()
	code, err := p.account.client.PairPhone(ctx, p.phone, true, whatsmeow.PairClientChrome, displayName)
	if err != nil {
		return pairFailure(enginepb.PairEvent_Failure_PROTOCOL, err.Error()), nil
	}
	// The phone would take the code for longer, but WhatsApp ends the phase with the last QR code.
	return nil, p.stream.Send(&enginepb.PairEvent{Event: &enginepb.PairEvent_PhoneCode_{PhoneCode: &enginepb.PairEvent_PhoneCode{
		Text: code, ValidForMs: p.qr.left(time.Now()).Milliseconds(),
	}}})
}

// overdue says what a phase that lasted too long means.
func (p *pairing) overdue(phase *time.Timer) *enginepb.PairEvent {
	switch {
	case p.paired != nil && p.settled+1 < settleTries:
		p.settled++
		phase.Reset(settleTime)
		p.account.connect()
		return nil
	case p.paired != nil || p.qr.codes == nil:
		return pairFailure(enginepb.PairEvent_Failure_DISCONNECTED, "no login in time")
	}
	return pairFailure(enginepb.PairEvent_Failure_TIMEOUT, "no code was used")
}

// mayPair is whatsmeow's PrePairCallback: the device is saved only if the caller has stored whose it is.
func (p *pairing) mayPair(jid types.JID, platform, businessName string) bool {
	timeout := time.After(confirmTime)
	select {
	case p.questions <- confirmation{jid, platform, businessName}:
	case <-p.done:
		return false
	case <-timeout:
		return false
	}
	select {
	case accepted := <-p.answers:
		return accepted
	case <-p.done:
		return false
	case <-timeout:
		return false
	}
}

// receive passes the caller's requests on until it sends no more.
func (p *pairing) receive() {
	for {
		request, err := p.stream.Recv()
		if err != nil {
			return // the end of the stream is seen by its context
		}
		select {
		case p.requests <- request:
		case <-p.done:
			return
		}
	}
}

// finish ends a pairing. A device that was saved without success stays in the database: the phone may list it, and with its
// keys alone can WhatsApp be told.
func (p *pairing) finish(success bool) {
	e := p.account.engine
	p.owner.changing.Lock()
	close(p.done)
	if !success && !e.dismiss(p.account) {
		p.account.end()
	}
	p.owner.changing.Unlock()
	if !success {
		p.account.keeper.saved()
	}
	e.mu.Lock()
	p.owner.pairing = nil
	e.mu.Unlock()
	close(p.gone)
}

func pairFailure(kind enginepb.PairEvent_Failure_Kind, detail string) *enginepb.PairEvent {
	return &enginepb.PairEvent{Event: &enginepb.PairEvent_Failure_{
		Failure: &enginepb.PairEvent_Failure{Kind: kind, Detail: detail},
	}}
}
