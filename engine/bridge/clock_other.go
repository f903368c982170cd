//go:build !linux

package bridge

import "golang.org/x/sys/unix"

// leaseClock counts on while the machine is suspended: on macOS the monotonic clock does.
const leaseClock = unix.CLOCK_MONOTONIC
