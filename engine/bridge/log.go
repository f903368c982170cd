package bridge

import (
	"fmt"
	"log/slog"

	waBinary "go.mau.fi/whatsmeow/binary"
	waLog "go.mau.fi/whatsmeow/util/log"
)

// protocolLog writes whatsmeow's warnings and errors. Stanzas are named by tag and id: what they carry is not for logs.
type protocolLog struct{ log *slog.Logger }

func newProtocolLog(log *slog.Logger) waLog.Logger { return protocolLog{log} }

func (l protocolLog) Sub(module string) waLog.Logger {
	return protocolLog{l.log.With("module", module)}
}

func (l protocolLog) Errorf(format string, args ...any) {
	l.log.Error(fmt.Sprintf(format, bare(args)...))
}

func (l protocolLog) Warnf(format string, args ...any) {
	l.log.Warn(fmt.Sprintf(format, bare(args)...))
}

func (protocolLog) Infof(string, ...any)  {}
func (protocolLog) Debugf(string, ...any) {}

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
