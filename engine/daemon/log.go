package daemon

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

const (
	longestValue = 2000 // bytes of one value
	mostOfAKind  = 20   // warnings and errors from one place in the code within kindTime
	kindTime     = time.Minute
)

// Log writes JSON lines to standard error, from the severity on that CHATWREN_LOG_LEVEL names (default: info).
//
// What is logged may be a stranger's: values are bounded, and what drives a terminal or turns its direction stands there
// as an escape. Warnings and errors that repeat are counted and left out. Package log writes there as well.
func Log() (*slog.Logger, error) {
	var level slog.Level
	if text := os.Getenv(levelVariable); text != "" {
		if text == "warning" { // Python's word for it
			text = "warn"
		}
		if err := level.UnmarshalText([]byte(text)); err != nil {
			return nil, fmt.Errorf("%s is %q, not debug, info, warning or error", levelVariable, os.Getenv(levelVariable))
		}
	}
	log := newLog(os.Stderr, level)
	slog.SetDefault(log)
	return log, nil
}

func newLog(out io.Writer, level slog.Level) *slog.Logger {
	handler := slog.NewJSONHandler(printable{out}, &slog.HandlerOptions{Level: level, ReplaceAttr: bounded})
	return slog.New(repeats{handler, &kinds{seen: map[place]kind{}}})
}

// bounded cuts a text that is too long.
func bounded(_ []string, attr slog.Attr) slog.Attr {
	var text string
	if err, ok := attr.Value.Any().(error); ok {
		text = err.Error()
	} else if attr.Value.Kind() == slog.KindString {
		text = attr.Value.String()
	}
	if len(text) > longestValue {
		cut := strings.ToValidUTF8(text[:longestValue], "")
		attr.Value = slog.StringValue(fmt.Sprintf("%s... and %d bytes more", cut, len(text)-len(cut)))
	}
	return attr
}

// printable escapes what is left to escape in lines of JSON, which hold such characters in texts alone.
type printable struct{ out io.Writer }

func (p printable) Write(line []byte) (int, error) {
	escaped := make([]byte, 0, len(line))
	for _, one := range string(line) {
		switch {
		case one == '\n' || unicode.IsPrint(one):
			escaped = utf8.AppendRune(escaped, one)
		case one > 0xffff:
			high, low := utf16.EncodeRune(one)
			escaped = fmt.Appendf(escaped, `\u%04x\u%04x`, high, low)
		default:
			escaped = fmt.Appendf(escaped, `\u%04x`, one)
		}
	}
	if _, err := p.out.Write(escaped); err != nil {
		return 0, err
	}
	return len(line), nil
}

// repeats leaves out warnings and errors beyond mostOfAKind within kindTime. The last that is logged says so, and the
// first after that time how many were left out.
type repeats struct {
	slog.Handler
	kinds *kinds
}

func (r repeats) Handle(ctx context.Context, record slog.Record) error {
	if record.Level >= slog.LevelWarn {
		var at place
		if source := record.Source(); source != nil {
			at = place{source.File, source.Line}
		}
		before, leftOut := r.kinds.count(at, record.Time)
		switch {
		case before >= mostOfAKind:
			return nil
		case before == mostOfAKind-1:
			record.AddAttrs(slog.String("moreLikeIt", "left out and counted"))
		case leftOut > 0:
			record.AddAttrs(slog.Int("leftOutBefore", leftOut))
		}
	}
	return r.Handler.Handle(ctx, record)
}

func (r repeats) WithAttrs(attrs []slog.Attr) slog.Handler {
	return repeats{r.Handler.WithAttrs(attrs), r.kinds}
}

func (r repeats) WithGroup(name string) slog.Handler {
	return repeats{r.Handler.WithGroup(name), r.kinds}
}

// kinds counts by the place in the code.
type kinds struct {
	mutex sync.Mutex
	seen  map[place]kind
}

type place struct {
	file string
	line int
}

type kind struct {
	began time.Time
	count int
}

// count notes one more: how many were before it within kindTime, and when it is the first, how many were left out of the
// time before.
func (k *kinds) count(at place, now time.Time) (before, leftOut int) {
	k.mutex.Lock()
	defer k.mutex.Unlock()
	seen, known := k.seen[at]
	if !known || now.Sub(seen.began) >= kindTime {
		k.seen[at] = kind{began: now, count: 1}
		return 0, max(0, seen.count-mostOfAKind)
	}
	k.seen[at] = kind{began: seen.began, count: seen.count + 1}
	return seen.count, 0
}
