package bridge_test

import (
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"chatwren/engine/bridge"
	"chatwren/engine/enginepb"
)

// BenchmarkExchange measures what a message costs with whatsmeow's own store and with the state held in memory:
// transactions and CPU of PostgreSQL, CPU of this process (which is engine, worker and sandbox), for one account.
//
//	.venv/bin/python -m chatwren.store.throwaway .venv/bin/python tools/go test -run - -bench Exchange -benchtime 400x ./bridge
func BenchmarkExchange(b *testing.B) {
	for _, kind := range []struct {
		name string
		run  func(b *testing.B, m *meter)
	}{
		{"send", sendToOne},
		{"send-to-many", sendToMany},
		{"first-contact", firstContact},
		{"group", sendToGroup},
		{"receive", receive},
	} {
		b.Run(kind.name+"/plain", func(b *testing.B) {
			defer bridge.UsePlainStore()()
			kind.run(b, newMeter(b))
		})
		b.Run(kind.name+"/held", func(b *testing.B) { kind.run(b, newMeter(b)) })
	}
}

func sendToOne(b *testing.B, m *meter) {
	bob := newNumber()
	m.node.mustSend(m.alice, bob, "hello")
	m.measure(func(i int) { m.send(address(bob)) })
}

// sendToMany writes to more contacts than are held in memory, each known from before.
func sendToMany(b *testing.B, m *meter) {
	numbers := make([]string, b.N)
	for i := range numbers {
		numbers[i] = newNumber()
		m.send(address(numbers[i]))
	}
	m.measure(func(i int) { m.send(address(numbers[i])) })
}

func firstContact(b *testing.B, m *meter) {
	m.measure(func(int) { m.send(address(newNumber())) })
}

func sendToGroup(b *testing.B, m *meter) {
	var group struct{ ID string }
	phones(b, http.MethodPost, "/groups", map[string]any{
		"name": "Walkers", "owner": m.alice.number, "participants": []string{newNumber(), newNumber(), newNumber(), newNumber()},
	}, &group)
	m.send(group.ID)
	m.measure(func(int) { m.send(group.ID) })
}

func receive(b *testing.B, m *meter) {
	bob := newNumber()
	write(b, bob, m.alice.number, "hello")
	m.worker.await("message", 1, messageWith(m.alice.id, "hello"))
	m.measure(func(i int) {
		text := fmt.Sprint("in ", i)
		write(b, bob, m.alice.number, text)
		m.worker.await("message", 1, messageWith(m.alice.id, text))
	})
}

// meter is an account, and what PostgreSQL and this process have used so far.
type meter struct {
	*testing.B
	node   *node
	worker *feed
	alice  linked
}

func newMeter(b *testing.B) *meter {
	n := startNode(b)
	worker := n.listen()
	return &meter{B: b, node: n, worker: worker, alice: n.pair(newNumber())}
}

func (m *meter) send(to string) {
	if response := m.node.text(m.alice, to, newMessageID(), "hello"); response.GetSent() == nil {
		m.Fatalf("not sent: %v", response)
	}
}

// measure does the work b.N times. PostgreSQL counts what a session did when it ends: the engine is started, stopped and
// counted without work, and with it.
func (m *meter) measure(work func(i int)) {
	m.restart()
	m.node.stop()
	begun := m.counters()
	m.restart()
	m.node.stop()
	idle := m.counters().minus(begun)
	begun = m.counters()
	m.restart()
	server, own := m.serverCPU(), processCPU(m)
	m.ResetTimer()
	for i := range m.N {
		work(i)
	}
	m.StopTimer()
	server, own = m.serverCPU()-server, processCPU(m)-own
	m.node.stop()
	used := m.counters().minus(begun).minus(idle)
	for unit, value := range map[string]float64{
		"tx/op":     float64(used.transactions),
		"wal-B/op":  float64(used.wal),
		"pg-ms/op":  server.Seconds() * 1000,
		"cpu-ms/op": own.Seconds() * 1000,
	} {
		m.ReportMetric(value/float64(m.N), unit)
	}
}

func (m *meter) restart() {
	m.node.stop()
	m.node = startNode(m.B)
	m.worker = m.node.listen()
	m.node.open(m.alice, 1, long)
	m.worker.await("connection", 1, stateOf(m.alice.id, enginepb.Event_State_CONNECTED))
}

// counted is what PostgreSQL says of the database: transactions, and bytes of its log.
type counted struct{ transactions, wal int64 }

func (c counted) minus(other counted) counted {
	return counted{c.transactions - other.transactions, c.wal - other.wal}
}

func (m *meter) counters() (c counted) {
	m.Helper()
	eventually(m, "the sessions of the engine are gone", func() bool { return len(m.backends()) == 0 })
	err := world.admin.QueryRow(`
		SELECT xact_commit + xact_rollback, pg_current_wal_lsn() - '0/0'::pg_lsn FROM pg_stat_database WHERE datname = current_database()`,
	).Scan(&c.transactions, &c.wal)
	if err != nil {
		m.Fatal(err)
	}
	return c
}

func (m *meter) backends() (pids []int) {
	m.Helper()
	rows, err := world.admin.Query("SELECT pid FROM pg_stat_activity WHERE application_name = 'chatwren-engine test'")
	if err != nil {
		m.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var pid int
		if err := rows.Scan(&pid); err != nil {
			m.Fatal(err)
		}
		pids = append(pids, pid)
	}
	return pids
}

// serverCPU is what the engine's sessions have used. It is 0 where PostgreSQL runs elsewhere.
func (m *meter) serverCPU() (used time.Duration) {
	const tick = 10 * time.Millisecond // USER_HZ is 100 on all of Linux
	for _, pid := range m.backends() {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			return 0
		}
		fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
		for _, field := range fields[11:13] { // utime, stime: proc(5)
			ticks, err := strconv.Atoi(field)
			if err != nil {
				m.Fatal(err)
			}
			used += time.Duration(ticks) * tick
		}
	}
	return used
}

func processCPU(t testing.TB) time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		t.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
