package daemon

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"
	"unicode"
)

// lines are the events in a log.
func lines(t *testing.T, log *bytes.Buffer) (events []map[string]any) {
	t.Helper()
	for line := range strings.Lines(log.String()) {
		var event map[string]any
		if err := json.Unmarshal([]byte(line), &event); err != nil {
			t.Fatalf("%v in %q", err, line)
		}
		events = append(events, event)
	}
	log.Reset()
	return events
}

func TestAStrangersTextNeitherMakesALineNorDrivesTheTerminal(t *testing.T) {
	var out bytes.Buffer
	log := newLog(&out, slog.LevelInfo)
	for _, text := range []string{
		"\r\n{\"msg\":\"all lost\"}", "\x1b[2J\x1b]0;title\x07", "\u009b31m", "\x7f\b\x00", "\u202egpj.exe", "\u2028line",
		"\u0085line", "\u2066\u200f", "\U000e0041", "\ufeff", "नमस्ते 😀",
	} {
		log.Info(text, "said", text, "error", errors.New(text), text, 1)
		written := strings.TrimSuffix(out.String(), "\n")
		for _, one := range written {
			if !unicode.IsPrint(one) {
				t.Errorf("%q holds %q", written, one)
			}
		}
		event := lines(t, &out)[0]
		if event["msg"] != text || event["said"] != text || event["error"] != text {
			t.Errorf("%q became %v", text, event)
		}
	}
	log.Info("\xff half", "error", errors.New("\xed\xa0\x80"))
	lines(t, &out)
}

func TestWhatIsLoggedIsBounded(t *testing.T) {
	var out bytes.Buffer
	long := strings.Repeat("é", 100_000)
	newLog(&out, slog.LevelInfo).Error(long, "said", long, "error", errors.New(long))
	if out.Len() > 3*longestValue+500 {
		t.Errorf("%d bytes", out.Len())
	}
	if said, _ := lines(t, &out)[0]["said"].(string); !strings.HasSuffix(said, "é... and 198000 bytes more") {
		t.Errorf("it ends with %q", said[len(said)-40:])
	}
}

func TestAKindOfWarningThatRepeatsIsCountedAndNoOtherIsKeptBack(t *testing.T) {
	var out bytes.Buffer
	log := newLog(&out, slog.LevelInfo)
	storm := func(log *slog.Logger) {
		for range 1000 {
			log.Warn("storm")
			log.Info("usual")
		}
	}
	storm(log)
	storm(log.With("account", "another"))
	log.Warn("something else")
	counts := map[any]int{}
	events := lines(t, &out)
	for _, event := range events {
		counts[event["msg"]]++
		if said := event["moreLikeIt"] != nil; said != (event["msg"] == "storm" && counts["storm"] == mostOfAKind) {
			t.Errorf("%v is number %d", event, counts["storm"])
		}
	}
	if counts["storm"] != mostOfAKind || counts["usual"] != 2000 || counts["something else"] != 1 {
		t.Errorf("logged: %v", counts)
	}
}

func TestTheFirstAfterAStormSaysHowManyWereLeftOut(t *testing.T) {
	k := kinds{seen: map[place]kind{}}
	began := time.Now()
	for range 1000 {
		k.count(place{}, began)
	}
	before, leftOut := k.count(place{}, began.Add(kindTime))
	if before != 0 || leftOut != 980 {
		t.Errorf("%d before it, %d left out", before, leftOut)
	}
	if _, leftOut = k.count(place{line: 2}, began.Add(kindTime)); leftOut != 0 {
		t.Errorf("%d of another kind left out", leftOut)
	}
}
