package main

import (
	"context"
	"time"

	"exile/dbusapi/systemd"
)

// Starts that fail one after another come less often. systemd's RestartSteps= would do that from version 254 on, but for every
// restart, also after a crash of a daemon that guards the host again within a second. So a start that fails takes its time to end
// instead, when it is not the first.

// maxPause is the longest time from one failing start to the next, apart from RestartSec=. It is short because the start is still a job:
// sshd, which is ordered behind it, cannot be started before the job ends.
const maxPause = 10 * time.Second

// pause returns how long a failing start lasts at least that systemd made of its own accord for the nth time: 2, 4, 8 s and so
// on. For n = 0 somebody asked for the start and waits for the answer: 0.
func pause(n uint32) time.Duration {
	if n == 0 {
		return 0
	}
	return min(time.Second<<min(n, 16), maxPause)
}

// backOff waits until a failing start that began at start has lasted long enough, or ctx ends because somebody stops it. A daemon that
// guarded the host for a while is not a failing start, and ends at once.
func backOff(ctx context.Context, bus string, start time.Time) {
	ctx, cancel := context.WithTimeout(ctx, maxPause)
	defer cancel()
	n, err := systemd.Restarts(ctx, bus, "exiled.service")
	if err != nil {
		return
	}
	select {
	case <-time.After(time.Until(start.Add(pause(n)))):
	case <-ctx.Done():
	}
}
