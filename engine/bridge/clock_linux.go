package bridge

import "golang.org/x/sys/unix"

// leaseClock counts on while the machine is suspended, which Go's own monotonic clock does not.
const leaseClock = unix.CLOCK_BOOTTIME
