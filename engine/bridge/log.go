package bridge

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"time"

	waBinary "go.mau.fi/whatsmeow/binary"
	waLog "go.mau.fi/whatsmeow/util/log"
)

// protocolLog writes whatsmeow's warnings and errors. Stanzas are named by tag and id: what they carry is not for logs.
type protocolLog struct{ log *slog.Logger }

func newProtocolLog(log *slog.Logger) waLog.Logger { return protocolLog{log} }

func (l protocolLog) Sub(module string) waLog.Logger {
	return protocolLog{l.log.With("module", module)}
}

func (l protocolLog) Errorf(format string, args ...any) { l.write(slog.LevelError, format, args) }
func (l protocolLog) Warnf(format string, args ...any)  { l.write(slog.LevelWarn, format, args) }

func (protocolLog) Infof(string, ...any)  {}
func (protocolLog) Debugf(string, ...any) {}

// write logs as from the place in whatsmeow that has something to say: repeats are counted by place.
func (l protocolLog) write(level slog.Level, format string, args []any) {
	if !l.log.Enabled(context.Background(), level) || slices.ContainsFunc(args, isNoFailure) {
		return
	}
	var place [1]uintptr
	runtime.Callers(3, place[:]) // neither Callers, nor this, nor Errorf
	record := slog.NewRecord(time.Now(), level, fmt.Sprintf(format, bare(args)...), place[0])
	_ = l.log.Handler().Handle(context.Background(), record)
}

// isNoFailure tells the error by which whatsmeow is kept from what the account does itself.
func isNoFailure(arg any) bool {
	err, failed := arg.(error)
	return failed && errors.Is(err, errSettings)
}

func bare(args []any) []any {
	out := make([]any, len(args))
	for i, arg := range args {
		switch value := arg.(type) {
		case *waBinary.Node:
			out[i] = fmt.Sprintf("<%s id=%v>", value.Tag, value.Attrs["id"])
		default:
			out[i] = value
		}
	}
	return out
}
