package bridge_test

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/hex"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"go.mau.fi/whatsmeow"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"chatwren/engine/bridge"
	"chatwren/engine/enginepb"
	"chatwren/engine/enginetest"
	"chatwren/engine/sandbox"
)

const (
	databaseVariable = "CHATWREN_TEST_DATABASE_URL"
	patience         = 30 * time.Second // bounds every wait; no measure of speed
	long             = time.Hour        // a lease that no test outlives
)

// world is what all tests share: one sandbox, since a process trusts one root key, and one database.
var world struct {
	sandbox  *sandbox.Server
	database string // URL
	admin    *sql.DB
}

func TestMain(m *testing.M) {
	whatsmeow.KeepAliveIntervalMin, whatsmeow.KeepAliveIntervalMax = time.Second, 2*time.Second
	code, err := withWorld(m.Run)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(code)
}

func withWorld(run func() int) (code int, err error) {
	url := os.Getenv(databaseVariable)
	if url == "" {
		return 1, fmt.Errorf("%s is not set: these tests need a PostgreSQL in which they may create a database", databaseVariable)
	}
	name := fmt.Sprintf("bridge_test_%d", os.Getpid())
	server, err := openSQL(url, "")
	if err != nil {
		return 1, err
	}
	defer server.Close()
	if _, err = server.Exec("CREATE DATABASE " + name); err != nil {
		return 1, err
	}
	defer func() { _, _ = server.Exec("DROP DATABASE " + name + " WITH (FORCE)") }()
	if world.database, err = withDatabase(url, name); err != nil {
		return 1, err
	}
	if err = bridge.Migrate(context.Background(), world.database); err != nil {
		return 1, err
	}
	if err = os.Setenv(bridge.TestDatabaseVariable, world.database); err != nil {
		return 1, err
	}
	if world.admin, err = openSQL(world.database, ""); err != nil {
		return 1, err
	}
	defer world.admin.Close()
	state, err := os.MkdirTemp("", "bridge-test-")
	if err != nil {
		return 1, err
	}
	defer os.RemoveAll(state)
	world.sandbox, err = sandbox.Start(context.Background(), sandbox.Options{
		WhatsAppListen: "127.0.0.1:0", PhonesListen: "127.0.0.1:0", StateDir: state,
	})
	if err != nil {
		return 1, err
	}
	defer world.sandbox.Close()
	return run(), nil
}

func openSQL(url, searchPath string) (*sql.DB, error) {
	config, err := pgx.ParseConfig(url)
	if err != nil {
		return nil, err
	}
	if searchPath != "" {
		config.RuntimeParams["search_path"] = searchPath
	}
	db := stdlib.OpenDB(*config)
	return db, db.Ping()
}

// withDatabase names another database in a URL.
func withDatabase(url, name string) (string, error) {
	config, err := pgx.ParseConfig(url)
	if err != nil {
		return "", err
	}
	return dsn(config, config.Host, name), nil
}

func dsn(config *pgx.ConnConfig, host, name string) string {
	text := fmt.Sprintf("host='%s' port=%d user='%s' dbname='%s' sslmode=disable", host, config.Port, config.User, name)
	if config.Password != "" {
		text += fmt.Sprintf(" password='%s'", config.Password)
	}
	return text
}

// node is an engine in this process, with its worker's end of the door.
type node struct {
	t      testing.TB
	engine *bridge.Engine
	server *grpc.Server
	conn   *grpc.ClientConn
	enginepb.EngineClient
	logs *logs
}

type nodeOption func(*bridge.Options)

func overAddress(address string) nodeOption {
	return func(options *bridge.Options) { options.WhatsAppAddress = address }
}

func overDatabase(url string) nodeOption {
	return func(options *bridge.Options) { options.DatabaseURL = url }
}

func ownedBy(worker string) nodeOption {
	return func(options *bridge.Options) { options.Worker = worker }
}

func startNode(t testing.TB, changes ...nodeOption) *node {
	t.Helper()
	record := &logs{}
	options := bridge.Options{
		DatabaseURL:     world.database,
		Worker:          "test",
		Version:         "1.2.3",
		WhatsAppAddress: world.sandbox.WhatsAppAddress(),
		RootKey:         hex.EncodeToString(world.sandbox.RootKey()),
		Log:             slog.New(slog.NewJSONHandler(record, nil)),
	}
	for _, change := range changes {
		change(&options)
	}
	engine, err := bridge.New(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	folder, err := os.MkdirTemp("", "door-")
	if err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(folder, "s")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	engine.Register(server)
	go func() { _ = server.Serve(listener) }()
	conn, err := grpc.NewClient("unix:"+socket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	n := &node{t: t, engine: engine, server: server, conn: conn, EngineClient: enginepb.NewEngineClient(conn), logs: record}
	t.Cleanup(func() {
		n.stop()
		_ = os.RemoveAll(folder)
		if t.Failed() {
			t.Logf("log of the engine:\n%s", record)
		}
	})
	return n
}

// stop ends the engine as SIGTERM would. Repeated, it does nothing.
func (n *node) stop() {
	if n.engine != nil {
		_ = n.conn.Close()
		n.server.Stop()
		n.engine.Close()
		n.engine = nil
	}
}

// logs collects what an engine logs.
type logs struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logs) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(line)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// newNumber is a number that no other test uses.
func newNumber() string { return fmt.Sprintf("49151%08d", rand.IntN(100_000_000)) }

func newAccountID() string { return uuid.NewString() }

var messageCounter struct {
	mu sync.Mutex
	n  int
}

func newMessageID() string {
	messageCounter.mu.Lock()
	defer messageCounter.mu.Unlock()
	messageCounter.n++
	return fmt.Sprintf("3EB0%016X", uint64(os.Getpid())<<32|uint64(messageCounter.n))
}

func address(number string) string { return number + "@s.whatsapp.net" }

// linked is an account of a node, linked to a simulated phone.
type linked struct {
	id, number, jid, lid string
}

// pair links a phone's number to a new account, under epoch 1.
func (n *node) pair(number string) linked {
	n.t.Helper()
	l := linked{id: newAccountID(), number: number}
	n.pairAs(&l, 1)
	return l
}

func (n *node) pairAs(l *linked, epoch int64) {
	n.t.Helper()
	ctx, cancel := context.WithTimeout(n.t.Context(), patience)
	defer cancel()
	stream, err := n.Pair(ctx)
	if err != nil {
		n.t.Fatal(err)
	}
	send := func(request *enginepb.PairRequest) {
		if err := stream.Send(request); err != nil {
			n.t.Fatal(err)
		}
	}
	send(startPairing(l.id, epoch, ""))
	for {
		event, err := stream.Recv()
		if err != nil {
			n.t.Fatal("pairing: ", err)
		}
		switch event := event.Event.(type) {
		case *enginepb.PairEvent_Codes_:
			scanned := make(chan struct{})
			go func() {
				defer close(scanned)
				scan(n.t, l.number, event.Codes.Codes[0].Text) // answers once the device is linked
			}()
			defer func() { <-scanned }()
		case *enginepb.PairEvent_Confirm_:
			send(confirmPairing(true))
		case *enginepb.PairEvent_Success_:
			l.jid, l.lid = event.Success.Jid, event.Success.Lid
			n.renew(*l, epoch, long)
			return
		default:
			n.t.Fatalf("pairing: unexpected %v", event)
		}
	}
}

func startPairing(account string, epoch int64, phone string) *enginepb.PairRequest {
	return &enginepb.PairRequest{Request: &enginepb.PairRequest_Start_{
		Start: &enginepb.PairRequest_Start{Account: account, Epoch: epoch, Phone: phone},
	}}
}

func confirmPairing(accept bool) *enginepb.PairRequest {
	return &enginepb.PairRequest{Request: &enginepb.PairRequest_Confirm_{
		Confirm: &enginepb.PairRequest_Confirm{Accept: accept},
	}}
}

func (n *node) renew(l linked, epoch int64, validFor time.Duration) []string {
	n.t.Helper()
	response, err := n.Renew(n.t.Context(), &enginepb.RenewRequest{Leases: []*enginepb.RenewRequest_Lease{
		{Account: l.id, Epoch: epoch, ValidForMs: validFor.Milliseconds()},
	}})
	if err != nil {
		n.t.Fatal(err)
	}
	return response.Unknown
}

func (n *node) open(l linked, epoch int64, validFor time.Duration) enginepb.OpenResponse_Result {
	n.t.Helper()
	response, err := n.Open(n.t.Context(), &enginepb.OpenRequest{
		Account: l.id, Jid: l.jid, Epoch: epoch, ValidForMs: validFor.Milliseconds(),
	})
	if err != nil {
		n.t.Fatal(err)
	}
	return response.Result
}

// Send sends one message by a stream of its own.
func (n *node) Send(ctx context.Context, request *enginepb.SendRequest) (*enginepb.SendResponse, error) {
	return enginetest.Send(ctx, n.EngineClient, request)
}

// text sends a text under epoch 1 with a time limit of 10 s.
func (n *node) text(l linked, to, id, text string) *enginepb.SendResponse {
	n.t.Helper()
	return n.send(&enginepb.SendRequest{Account: l.id, Epoch: 1, Id: id, To: to, Text: text, TimeoutMs: 10_000})
}

func (n *node) send(request *enginepb.SendRequest) *enginepb.SendResponse {
	n.t.Helper()
	response, err := n.Send(context.Background(), request)
	if err != nil {
		n.t.Fatal(err)
	}
	return response
}

// sending sends a text under epoch 1 in the background. Nil comes out if the engine ends before.
func (n *node) sending(l linked, to, text string, timeoutMs int64) <-chan *enginepb.SendResponse {
	outcome := make(chan *enginepb.SendResponse, 1)
	request := &enginepb.SendRequest{
		Account: l.id, Epoch: 1, Id: newMessageID(), To: address(to), Text: text, TimeoutMs: timeoutMs,
	}
	go func() {
		response, _ := n.Send(context.Background(), request)
		outcome <- response
	}()
	return outcome
}

// mustSend sends a text and waits until the phone of its recipient shows it.
func (n *node) mustSend(l linked, to, text string) (id string) {
	n.t.Helper()
	id = newMessageID()
	if response := n.text(l, address(to), id, text); response.GetSent() == nil {
		n.t.Fatalf("not sent: %v", response)
	}
	awaitOnPhone(n.t, to, id)
	return id
}
