package jail

import (
	"fmt"
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

// explain says how many guesses of p count, and how many ban.
func (l *lenient) explain(p netip.Prefix, at time.Time) []string {
	windows := []*threshold{l.fast}
	if l.slow != nil {
		windows = append(windows, l.slow)
	}
	lines := make([]string, len(windows))
	for i, w := range windows {
		lines[i] = fmt.Sprintf("session: guesses for other names: %d of %d within %s", w.count(p, at), w.cfg.MaxRetry, days(w.cfg.FindTime))
	}
	return lines
}

// count is how many attempts of p count at that time.
func (t *threshold) count(p netip.Prefix, at time.Time) (n int) {
	id, ok := t.hosts.find(keyOf(p))
	if !ok {
		return 0
	}
	h, marks := t.hosts.at(id)
	for _, m := range marks[:h.n] {
		if d := at.Sub(time.UnixMicro(m.at)); d.Abs() <= t.cfg.FindTime {
			n++
		}
	}
	return n
}

// ExplainSessions says in lines for people who is logged in from addr, what that excuses, and what is left.
func (j *Jail) ExplainSessions(addr netip.Addr, at time.Time) []string {
	addr = addr.Unmap().WithZone("")
	var lines []string
	best, _ := j.sessions.stands(addr, "", at)
	for s := range j.sessions.From(addr, at) {
		line := fmt.Sprintf("session: of %s since %s", quote(s.User), s.Since.UTC().Format(time.RFC3339))
		if s.Admin {
			line += ", an administrator: nothing from there is banned"
		} else if s.User != "" {
			line += "; excuses guesses for that name"
		}
		if lines = append(lines, line); len(lines) == maxExplained {
			break
		}
	}
	switch {
	case best == guest && j.spares:
		lines = append(lines, j.lenient.explain(j.cfg.prefix(addr), at)...)
		lines = append(lines, "session: a ban leaves its connection open")
	case best == guest:
		lines = append(lines, "session: no ban while it lasts: the backend could not leave its connection open")
	}
	return lines
}
