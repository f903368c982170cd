package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"chatwren/engine/enginepb"
	"chatwren/engine/enginetest"
)

const (
	databaseVariable = "CHATWREN_TEST_DATABASE_URL"
	childVariable    = "CHATWREN_ENGINE_TEST_CHILD" // this binary is the engine then
	patience         = 30 * time.Second
)

func TestMain(m *testing.M) {
	if os.Getenv(childVariable) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// newDatabase makes an empty database for one test.
func newDatabase(t testing.TB) (url string) {
	t.Helper()
	given := os.Getenv(databaseVariable)
	if given == "" {
		t.Fatalf("%s is not set: these tests need a PostgreSQL in which they may create a database", databaseVariable)
	}
	config, err := pgx.ParseConfig(given)
	if err != nil {
		t.Fatal(err)
	}
	name := fmt.Sprintf("engine_test_%d_%d", os.Getpid(), time.Now().UnixNano())
	server := stdlib.OpenDB(*config)
	if _, err := server.Exec("CREATE DATABASE " + name); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_, _ = server.Exec("DROP DATABASE " + name + " WITH (FORCE)")
		_ = server.Close()
	})
	url = fmt.Sprintf("host='%s' port=%d user='%s' dbname='%s' sslmode=disable", config.Host, config.Port, config.User, name)
	if config.Password != "" {
		url += fmt.Sprintf(" password='%s'", config.Password)
	}
	return url
}

func command(url string, environment []string, arguments ...string) *exec.Cmd {
	cmd := exec.Command(os.Args[0], arguments...)
	cmd.Env = append(os.Environ(), childVariable+"=1", "DATABASE_URL="+url)
	cmd.Env = append(cmd.Env, environment...)
	return cmd
}

func migrate(t testing.TB, url string) {
	t.Helper()
	if out, err := command(url, nil, "migrate").CombinedOutput(); err != nil {
		t.Fatalf("migrate: %v %s", err, out)
	}
}

// process is a running engine.
type process struct {
	t      testing.TB
	cmd    *exec.Cmd
	errors strings.Builder
	output strings.Builder // after the line that says it is ready
	read   chan struct{}
	enginepb.EngineClient
	conn *grpc.ClientConn
}

// Send sends one message by a stream of its own.
func (p *process) Send(ctx context.Context, request *enginepb.SendRequest) (*enginepb.SendResponse, error) {
	return enginetest.Send(ctx, p.EngineClient, request)
}

func start(t testing.TB, url, socket string, environment []string, files ...*os.File) *process {
	t.Helper()
	p := &process{t: t, read: make(chan struct{}), cmd: command(url, environment, "serve", "--socket", socket, "--worker", "test")}
	p.cmd.ExtraFiles = files
	p.cmd.Stderr = &p.errors
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.kill() })
	reader := bufio.NewReader(out)
	line, err := reader.ReadString('\n')
	if err != nil || line != "{\"ready\": true}\n" {
		close(p.read)
		_ = p.cmd.Wait()
		t.Fatalf("ready: %q, %v, %s", line, err, p.errors.String())
	}
	go func() {
		defer close(p.read)
		_, _ = io.Copy(&p.output, reader)
	}()
	if p.conn, err = grpc.NewClient("unix:"+socket, grpc.WithTransportCredentials(insecure.NewCredentials())); err != nil {
		t.Fatal(err)
	}
	p.EngineClient = enginepb.NewEngineClient(p.conn)
	return p
}

// kill ends the process as kill -9 does.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.read
	if p.output.Len() != 0 {
		p.t.Errorf("the engine printed %.300s", p.output.String())
	}
	_ = p.cmd.Wait()
	if p.conn != nil {
		_ = p.conn.Close()
	}
}

// ends says whether the process ends by itself, and well.
func (p *process) ends(t *testing.T, within time.Duration) {
	t.Helper()
	ended := make(chan error, 1)
	go func() { ended <- p.cmd.Wait() }()
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("it ended with %v: %s", err, p.errors.String())
		}
	case <-time.After(within):
		t.Errorf("it runs on after %v", within)
	}
}

// privateFolder is short, since a unix socket's path ends at 107 bytes.
func privateFolder(t testing.TB) string {
	t.Helper()
	folder, err := os.MkdirTemp("", "engine-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	return folder
}

func TestServeWantsAMigratedDatabase(t *testing.T) {
	t.Parallel()
	url := newDatabase(t)
	out, err := command(url, nil, "serve", "--socket", filepath.Join(privateFolder(t), "s"), "--worker", "w").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "run `chatwren-engine migrate`") {
		t.Errorf("%v: %s", err, out)
	}
}

func TestMigrateIsRepeatableAndConcurrent(t *testing.T) {
	t.Parallel()
	url := newDatabase(t)
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() { migrate(t, url) })
	}
	all.Wait()
	migrate(t, url)
	config, err := pgx.ParseConfig(url)
	if err != nil {
		t.Fatal(err)
	}
	db := stdlib.OpenDB(*config)
	defer db.Close()
	var inSchema, outside int
	count := "SELECT count(*) FILTER (WHERE schemaname = 'whatsmeow'), count(*) FILTER (WHERE schemaname = 'public') FROM pg_tables"
	if err := db.QueryRow(count).Scan(&inSchema, &outside); err != nil || inSchema == 0 || outside != 0 {
		t.Errorf("%d tables in whatsmeow, %d in public, %v", inSchema, outside, err)
	}
}

func TestServeMindsItsSocket(t *testing.T) {
	t.Parallel()
	url := newDatabase(t)
	migrate(t, url)
	folder := filepath.Join(privateFolder(t), "run")
	socket := filepath.Join(folder, "s")
	first := start(t, url, socket, nil)
	if found, err := os.Stat(folder); err != nil || found.Mode().Perm() != 0o700 {
		t.Errorf("folder of the socket: %v, %v", found, err)
	}
	if out, err := command(url, nil, "serve", "--socket", socket, "--worker", "w").CombinedOutput(); err == nil ||
		!strings.Contains(string(out), "another engine") {
		t.Errorf("a second engine on one socket: %v %s", err, out)
	}
	first.kill() // which leaves the socket behind
	second := start(t, url, socket, nil)
	if _, err := second.Info(t.Context(), &enginepb.InfoRequest{}); err != nil {
		t.Error(err)
	}
	if err := second.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	second.ends(t, patience)

	if err := os.Chmod(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	if out, err := command(url, nil, "serve", "--socket", socket, "--worker", "w").CombinedOutput(); err == nil ||
		!strings.Contains(string(out), "must be private") {
		t.Errorf("a socket that others reach: %v %s", err, out)
	}
}

func TestEndsWithItsParent(t *testing.T) {
	t.Parallel()
	url := newDatabase(t)
	migrate(t, url)
	near, far, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer near.Close()
	p := start(t, url, filepath.Join(privateFolder(t), "s"), []string{"CHATWREN_LIFELINE_FD=3"}, near)
	if _, err := p.Info(t.Context(), &enginepb.InfoRequest{}); err != nil {
		t.Error(err)
	}
	_ = far.Close()
	p.ends(t, 2*time.Second)
}

func TestUsage(t *testing.T) {
	t.Parallel()
	for _, arguments := range [][]string{{}, {"dance"}, {"serve"}} {
		if out, err := command("postgres://nowhere", nil, arguments...).CombinedOutput(); err == nil || len(out) == 0 {
			t.Errorf("%v: %v %s", arguments, err, out)
		}
	}
	if out, _ := command("postgres://u:secret@host:port/x", nil, "migrate").CombinedOutput(); strings.Contains(string(out), "secret") {
		t.Errorf("the password is shown: %s", out)
	}
}

// kill -9 at any moment, with traffic both ways: what was accepted arrives under one id, what came in is delivered, and
// nothing is undecryptable.
func TestKilledUnderTraffic(t *testing.T) {
	t.Parallel()
	run := newTraffic(t, trafficAccounts, trafficMessages)
	run.begin()
	for range trafficKills {
		run.awaitProgress(trafficMessages / (trafficKills + 1))
		run.restart()
	}
	run.finish()
}
