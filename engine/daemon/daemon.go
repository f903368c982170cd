// Package daemon is what the commands share: how they log, and how they learn that their parent is gone.
package daemon

import (
	"fmt"
	"io"
	"os"
	"strconv"
)

const (
	lifelineVariable = "CHATWREN_LIFELINE_FD"
	levelVariable    = "CHATWREN_LOG_LEVEL"
)

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
