package jail

import (
	"net/netip"
	"time"
)

// leniency is how many times as often as others somebody may guess who came in with a key, or who has a session from there
// and guesses for names that have none.
const leniency = 3

// guestLadder has the ban times, by offence, of addresses with sessions: short, since more than the guilty may be behind one.
var guestLadder = [...]time.Duration{10 * time.Minute, time.Hour, 4 * time.Hour, 24 * time.Hour}

// lenient counts those who may guess more than others.
type lenient struct {
	fast *threshold // everybody's
	slow *threshold // for guests of an adaptive jail, whose sessions may last long; nil: there is no slow window
}

func newLenient(cfg Config) *lenient {
	fast := cfg
	fast.MaxRetry, fast.FindTime = cfg.Limit()
	fast.MaxRetry *= leniency
	fast.MaxTracked = min(cfg.MaxTracked, maxProtected)
	l := &lenient{fast: newThreshold(fast)}
	if cfg.Detection == Adaptive && cfg.Adaptive.SlowRetry >= 1 && cfg.Adaptive.SlowTime > fast.FindTime {
		slow := fast
		slow.MaxRetry, slow.FindTime = leniency*int(cfg.Adaptive.SlowRetry), cfg.Adaptive.SlowTime
		l.slow = newThreshold(slow)
	}
	return l
}

// Observe implements Detector for a guest: each window counts, and the first that is full decides.
func (l *lenient) Observe(a Attempt, out []Verdict) []Verdict {
	before := len(out)
	out = l.fast.Observe(a, out)
	if l.slow != nil && len(out) == before {
		out = l.slow.Observe(a, out)
	}
	if len(out) > before {
		v := &out[before]
		v.Reason.Kind, v.Ladder = BySession, guestLadder[:]
		l.Forget(v.Prefix)
	}
	return out
}

// Forget implements Detector.
func (l *lenient) Forget(p netip.Prefix) {
	l.fast.Forget(p)
	if l.slow != nil {
		l.slow.Forget(p)
	}
}

// Expire implements Lister, as the others do.
func (l *lenient) Expire(now time.Time) {
	l.fast.Expire(now)
	if l.slow != nil {
		l.slow.Expire(now)
	}
}
