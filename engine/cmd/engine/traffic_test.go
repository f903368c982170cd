package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"chatwren/engine/enginepb"
	"chatwren/engine/sandbox"
)

const (
	trafficAccounts = 4
	trafficMessages = 30 // each way, for each account
	trafficKills    = 3
	greeting        = "hello"
)

// traffic is a small worker: it opens accounts after each restart, sends each message until its outcome is known, and
// stores what comes in.
type traffic struct {
	t           testing.TB
	phones      string
	url, socket string
	environment []string
	accounts    []*client
	messages    int

	mu      sync.Mutex
	engine  *process
	stopped bool

	sent, resent, undecryptable atomic.Int64
	work                        sync.WaitGroup
}

type client struct {
	id, jid, number, contact string

	mu     sync.Mutex
	stored map[string]int // text of what came in, and how often
}

// newTraffic starts sandbox and engine, and links accounts that have a session with their contact.
func newTraffic(t testing.TB, accounts, messages int) *traffic {
	t.Helper()
	server, err := sandbox.Start(t.Context(), sandbox.Options{WhatsAppListen: "127.0.0.1:0", PhonesListen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	url := newDatabase(t)
	migrate(t, url)
	run := &traffic{
		t: t, phones: "http://" + server.PhonesAddress(), url: url, socket: filepath.Join(privateFolder(t), "s"),
		environment: []string{
			"CHATWREN_WHATSAPP_ADDRESS=" + server.WhatsAppAddress(),
			"CHATWREN_WHATSAPP_ROOT_KEY=" + hex.EncodeToString(server.RootKey()),
		},
		messages: messages,
	}
	run.engine = start(t, url, run.socket, run.environment)
	run.listen(run.engine)
	for i := range accounts {
		c := &client{id: uuid.NewString(), number: fmt.Sprintf("4915200%05d", i), contact: fmt.Sprintf("4915300%05d", i), stored: map[string]int{}}
		run.pair(c)
		run.mu.Lock()
		run.accounts = append(run.accounts, c)
		run.mu.Unlock()
	}
	for _, c := range run.accounts {
		run.greet(c)
	}
	return run
}

// begin lets messages flow both ways.
func (run *traffic) begin() {
	for _, c := range run.accounts {
		run.work.Go(func() { run.write(c) })
		run.work.Go(func() { run.send(c) })
	}
}

func (run *traffic) current() *process {
	run.mu.Lock()
	defer run.mu.Unlock()
	return run.engine
}

func (run *traffic) pair(c *client) {
	run.t.Helper()
	stream, err := run.engine.Pair(run.t.Context())
	if err != nil {
		run.t.Fatal(err)
	}
	send := func(request *enginepb.PairRequest) {
		if err := stream.Send(request); err != nil {
			run.t.Fatal(err)
		}
	}
	send(&enginepb.PairRequest{Request: &enginepb.PairRequest_Start_{Start: &enginepb.PairRequest_Start{Account: c.id, Epoch: 1}}})
	for {
		event, err := stream.Recv()
		if err != nil {
			run.t.Fatal(err)
		}
		switch event := event.Event.(type) {
		case *enginepb.PairEvent_Codes_:
			go run.ask(http.MethodPost, "/phones/"+c.number+"/scan", map[string]string{"qr": event.Codes.Codes[0].Text}, nil)
		case *enginepb.PairEvent_Confirm_:
			send(&enginepb.PairRequest{Request: &enginepb.PairRequest_Confirm_{Confirm: &enginepb.PairRequest_Confirm{Accept: true}}})
		case *enginepb.PairEvent_Success_:
			c.jid = event.Success.Jid
			run.open(run.engine, c)
			return
		default:
			run.t.Fatalf("pairing: %v", event)
		}
	}
}

func (run *traffic) open(engine *process, c *client) {
	response, err := engine.Open(context.Background(), &enginepb.OpenRequest{Account: c.id, Jid: c.jid, Epoch: 1, ValidForMs: 600_000})
	if err != nil || response.Result != enginepb.OpenResponse_OPENED {
		run.t.Errorf("open: %v, %v", response, err)
	}
}

func (run *traffic) over() bool {
	run.mu.Lock()
	defer run.mu.Unlock()
	return run.stopped || run.t.Failed()
}

func (run *traffic) listen(engine *process) {
	stream, err := engine.Events(context.Background())
	if err != nil {
		run.t.Fatal(err)
	}
	go func() {
		for {
			batch, err := stream.Recv()
			if err != nil {
				return
			}
			acks := &enginepb.AckBatch{}
			for _, event := range batch.Events {
				run.store(event)
				if event.NeedsAck {
					acks.Acks = append(acks.Acks, &enginepb.EventAck{Seq: event.Seq, Ok: true})
				}
			}
			_ = stream.Send(acks)
		}
	}()
}

func (run *traffic) store(event *enginepb.Event) {
	if event.GetUndecryptable() != nil || event.GetReceipt().GetType() == enginepb.Event_Receipt_RETRY {
		run.undecryptable.Add(1)
	}
	if event.GetMessage() == nil {
		return
	}
	run.mu.Lock()
	accounts := run.accounts
	run.mu.Unlock()
	for _, c := range accounts {
		if c.id == event.Account {
			c.mu.Lock()
			c.stored[event.GetMessage().Text]++
			c.mu.Unlock()
		}
	}
}

// restart kills the engine and starts another.
func (run *traffic) restart() {
	run.t.Helper()
	run.current().kill()
	engine := start(run.t, run.url, run.socket, run.environment)
	run.listen(engine)
	for _, c := range run.accounts {
		run.open(engine, c)
	}
	run.mu.Lock()
	run.engine = engine
	run.mu.Unlock()
}

// greet settles the session of an account with its contact. (What happens when both begin one: package signal.)
func (run *traffic) greet(c *client) {
	run.ask(http.MethodPost, "/phones/"+c.contact+"/messages", map[string]string{"to": c.number, "text": greeting}, nil)
	run.await("the greeting", func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.stored[greeting] > 0
	})
	response, err := run.engine.Send(context.Background(), &enginepb.SendRequest{
		Account: c.id, Epoch: 1, Id: "3EB0" + c.number, To: c.contact + "@s.whatsapp.net", Text: greeting,
	})
	if err != nil || response.GetSent() == nil {
		run.t.Fatalf("greeting: %v, %v", response, err)
	}
}

// write lets the contact of an account write to it.
func (run *traffic) write(c *client) {
	for i := range run.messages {
		run.ask(http.MethodPost, "/phones/"+c.contact+"/messages", map[string]string{"to": c.number, "text": fmt.Sprint("in ", i)}, nil)
	}
}

// send sends the messages of an account, each under its id until it is out.
func (run *traffic) send(c *client) {
	for i := range run.messages {
		request := &enginepb.SendRequest{
			Account: c.id, Epoch: 1, Id: fmt.Sprintf("3EB0%s%04d", c.number, i), To: c.contact + "@s.whatsapp.net",
			Text: fmt.Sprint("out ", i), TimeoutMs: 5000,
		}
		for attempt := 0; !run.over(); attempt++ {
			response, err := run.current().Send(context.Background(), request)
			if err == nil && response.GetSent() != nil {
				run.sent.Add(1)
				break
			}
			if err != nil || response.GetUnknown() != nil {
				run.resent.Add(1)
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
}

// awaitProgress waits until each account has sent so many more messages, on average.
func (run *traffic) awaitProgress(messages int) {
	goal := run.sent.Load() + int64(messages*len(run.accounts))
	run.await("progress", func() bool { return run.sent.Load() >= goal })
}

func (run *traffic) await(what string, holds func() bool) {
	run.t.Helper()
	for deadline := time.Now().Add(4 * patience); !holds(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			run.t.Fatalf("not in time: %s; the engine says: %s", what, run.current().errors.String())
		}
	}
}

// finish waits for the rest, and counts.
func (run *traffic) finish() {
	run.t.Helper()
	run.await("all sent", func() bool { return run.sent.Load() == int64(run.messages*len(run.accounts)) })
	for _, c := range run.accounts {
		run.await("all that came in", func() bool {
			c.mu.Lock()
			defer c.mu.Unlock()
			return len(c.stored) == run.messages+1
		})
	}
	run.mu.Lock()
	run.stopped = true
	run.mu.Unlock()
	run.work.Wait()
	twice := 0
	for _, c := range run.accounts {
		var shown []struct {
			ID, Text   string
			Deliveries int
		}
		run.await("all messages on the contact's phone", func() bool {
			run.ask(http.MethodGet, "/phones/"+c.contact+"/messages", nil, &shown)
			return len(shown) == 2*(run.messages+1)
		})
		ids := map[string]string{}
		for _, message := range shown {
			if message.Deliveries == 0 {
				continue // written by this phone
			}
			if other, known := ids[message.Text]; known {
				run.t.Errorf("%q is shown as %s and as %s", message.Text, other, message.ID)
			}
			ids[message.Text] = message.ID
			twice += message.Deliveries - 1
		}
		if len(ids) != run.messages+1 {
			run.t.Errorf("%d of %d texts are shown", len(ids), run.messages+1)
		}
	}
	if n := run.undecryptable.Load(); n != 0 {
		run.t.Errorf("%d undecryptable", n)
	}
	run.t.Logf("%d sent, %d times sent again, %d arrived again", run.sent.Load(), run.resent.Load(), twice)
}

func (run *traffic) ask(method, path string, body, into any) {
	encoded, err := json.Marshal(body)
	if err != nil {
		run.t.Error(err)
		return
	}
	request, err := http.NewRequest(method, run.phones+path, strings.NewReader(string(encoded)))
	if err != nil {
		run.t.Error(err)
		return
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		run.t.Error(err)
		return
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		run.t.Errorf("%s %s: %d %s %v", method, path, response.StatusCode, answer, err)
		return
	}
	if into != nil {
		if err := json.Unmarshal(answer, into); err != nil {
			run.t.Error(err)
		}
	}
}

// BenchmarkSends calls the engine's send for 1, 10 and 100 accounts at once, each as quickly as it is answered.
func BenchmarkSends(b *testing.B) {
	for accounts, messages := range map[int]int{1: 300, 10: 100, 100: 30} {
		b.Run(fmt.Sprintf("accounts=%d", accounts), func(b *testing.B) {
			run := newTraffic(b, accounts, messages)
			for b.Loop() {
				for _, c := range run.accounts {
					run.work.Go(func() { run.send(c) })
				}
				run.work.Wait()
			}
			b.ReportMetric(float64(run.sent.Load())/b.Elapsed().Seconds(), "sends/s")
		})
	}
}
