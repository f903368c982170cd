// Package daemon is what the commands share: how they log, and how they learn that their parent is gone.
package daemon

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"strconv"
)

const (
	lifelineVariable = "CHATWREN_LIFELINE_FD"
	levelVariable    = "CHATWREN_LOG_LEVEL"
)

// Log writes JSON lines to standard error, from the severity on that CHATWREN_LOG_LEVEL names (default: info).
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
	return slog.New(slog.NewJSONHandler(os.Stderr, &slog.HandlerOptions{Level: level})), nil
}

// Lifeline calls onEnd once the descriptor that CHATWREN_LIFELINE_FD names reaches its end: the parent, which holds the
// other end of that pipe, is gone, however it ended. Without the variable it does nothing.
func Lifeline(onEnd func()) error {
	text := os.Getenv(lifelineVariable)
	if text == "" {
		return nil
	}
	descriptor, err := strconv.ParseUint(text, 10, 31)
	if err != nil {
		return fmt.Errorf("%s is %q, not the number of a file descriptor", lifelineVariable, text)
	}
	pipe := os.NewFile(uintptr(descriptor), "lifeline")
	if _, err = pipe.Stat(); err != nil {
		return fmt.Errorf("%s names a descriptor that is not open", lifelineVariable)
	}
	go func() {
		_, _ = io.Copy(io.Discard, pipe)
		onEnd()
	}()
	return nil
}
