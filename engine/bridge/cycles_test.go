package bridge_test

import (
	"os"
	"runtime"
	"runtime/pprof"
	"strings"
	"testing"

	"chatwren/engine/enginepb"
)

// An account that is opened and closed leaves nothing behind: no goroutine, no file descriptor, no memory to speak of.
// It runs beside no other test, since it counts those of the whole process: engine, sandbox and worker.
func TestCyclesLeaveNothingBehind(t *testing.T) {
	const (
		warmUp, cycles = 5, 50
		spare          = 10        // goroutines and connections that pools of this process may gain: a leak would be 50
		perCycle       = 20 * 1024 // bytes: events and log lines that the test itself collects, the sandbox's messages
	)
	n := startNode(t)
	worker := n.listen()
	alice, bob := n.pair(newNumber()), newNumber()
	done := 1 // logins so far
	run := func(times int) {
		for range times {
			if _, err := n.Close(t.Context(), &enginepb.CloseRequest{Account: alice.id, Epoch: 1}); err != nil {
				t.Fatal(err)
			}
			if result := n.open(alice, 1, long); result != enginepb.OpenResponse_OPENED {
				t.Fatalf("open: %v", result)
			}
			done++
			worker.await("connection", done, stateOf(alice.id, enginepb.Event_State_CONNECTED))
			n.mustSend(alice, bob, "hello")
		}
	}
	run(warmUp)
	goroutines, files, heap := settled(t, 0)
	run(cycles)
	after, filesAfter, heapAfter := settled(t, goroutines+spare)
	t.Logf("after %d cycles: %d goroutines were %d, %d file descriptors were %d, heap %d kB was %d kB",
		cycles, after, goroutines, filesAfter, files, heapAfter/1024, heap/1024)
	if after > goroutines+spare {
		var stacks strings.Builder
		_ = pprof.Lookup("goroutine").WriteTo(&stacks, 1)
		t.Errorf("%d goroutines were %d: %s", after, goroutines, &stacks)
	}
	if filesAfter > files+spare {
		t.Errorf("%d file descriptors were %d", filesAfter, files)
	}
	if heapAfter > heap+cycles*perCycle {
		t.Errorf("heap of %d bytes was %d", heapAfter, heap)
	}
}

// settled counts goroutines, file descriptors and bytes in use, once there are no more goroutines than `goal`, or their
// number stays the same.
func settled(t *testing.T, goal int) (goroutines, files int, heap int64) {
	t.Helper()
	same, last := 0, 0
	eventually(t, "the number of goroutines stays", func() bool {
		goroutines = runtime.NumGoroutine()
		if goroutines == last {
			same++
		} else {
			same, last = 0, goroutines
		}
		return goroutines <= goal || same == 50
	})
	open, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	runtime.GC()
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	return goroutines, len(open), int64(memory.HeapAlloc)
}
