package daemon

import "time"

// stats count what happened since the start, or since they were reset.
type stats struct {
	entries, bans, unbans, protected, repairs, gaps uint64
	suppressed, skipped, evicted, undated           uint64
	kernelErrors, diskErrors, reloadFailures        uint64
	lastEntry, lastRepair                           time.Time
	lag                                             time.Duration
	dropped                                         map[string]uint64 // packets, by set
	started                                         time.Time         // of the daemon
}

// reset begins to count anew.
func (s *stats) reset() { *s = stats{lastEntry: s.lastEntry, lag: s.lag, started: s.started} }

// drop counts packets that the kernel dropped.
func (s *stats) drop(set string, n uint64) {
	if s.dropped == nil {
		s.dropped = make(map[string]uint64)
	}
	s.dropped[set] += n
}
