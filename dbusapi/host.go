package dbusapi

import (
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// monotonic is a moment on both clocks, in microseconds.
type monotonic struct{ realtime, monotonic uint64 }

func newMonotonic() monotonic {
	var ts unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts) // cannot fail for this clock
	return monotonic{usec(time.Now()), uint64(ts.Nano() / 1000)}
}

func getMachineID(*call) ([]any, error) {
	id, err := os.ReadFile("/etc/machine-id")
	if err != nil {
		return nil, fmt.Errorf("read machine id: %w", err)
	}
	return []any{strings.TrimSpace(string(id))}, nil
}
