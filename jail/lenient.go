package jail

import (
	"fmt"
	"net/netip"
	"time"

	"exile/jail/internal/netkey"
	"exile/jail/internal/text"
)

// leniency is the factor by which an address may guess more often that logged in with a key, or that has a session and
// guesses for names that have none.
const leniency = 3

// guestLadder has the ban times, by offence, of addresses with sessions: short, since an address may be shared.
var guestLadder = [...]time.Duration{10 * time.Minute, time.Hour, 4 * time.Hour, 24 * time.Hour}

// lenient counts addresses that may guess more than others.
type lenient struct {
	fast *threshold // everybody's
	slow *threshold // for guests, whose sessions may last long; nil: the detector has no slow window
}

func newLenient(cfg *Config, fast, slow Window) *lenient {
	fast.MaxRetry *= leniency
	l := &lenient{fast: newThreshold(cfg.counting(fast))}
	if slow.MaxRetry > 0 {
		slow.MaxRetry *= leniency
		l.slow = newThreshold(cfg.counting(slow))
	}
	return l
}

// Observe implements Detector for a guest: each window counts, and the first one full decides.
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

// ForgetAll implements Detector.
func (l *lenient) ForgetAll() {
	l.fast.ForgetAll()
	if l.slow != nil {
		l.slow.ForgetAll()
	}
}

// Expire is as that of Lister.
func (l *lenient) Expire(now time.Time) {
	l.fast.Expire(now)
	if l.slow != nil {
		l.slow.Expire(now)
	}
}

// explain says how many guesses of p count, and how many make a ban.
func (l *lenient) explain(p netip.Prefix, at time.Time) []string {
	windows := []*threshold{l.fast}
	if l.slow != nil {
		windows = append(windows, l.slow)
	}
	lines := make([]string, len(windows))
	for i, w := range windows {
		lines[i] = fmt.Sprintf("session: guesses for other names: %d of %d within %s", w.count(p, at), w.cfg.MaxRetry, text.Span(w.cfg.FindTime))
	}
	return lines
}

// count is how many attempts of p count at that time.
func (t *threshold) count(p netip.Prefix, at time.Time) (n int) {
	id, ok := t.hosts.Find(netkey.Of(p))
	if !ok {
		return 0
	}
	used, marks := t.hosts.At(id)
	for _, m := range marks[:*used] {
		if d := at.Sub(time.UnixMicro(m.at)); d.Abs() <= t.cfg.FindTime {
			n++
		}
	}
	return n
}

// maxExplained is how many sessions ExplainSessions lists.
const maxExplained = 8

// ExplainSessions returns lines for people that say who is logged in from addr, what that excuses, and what still counts.
func (j *Jail) ExplainSessions(addr netip.Addr, at time.Time) []string {
	addr = addr.Unmap().WithZone("")
	var lines []string
	best, _ := j.sessions.stands(addr, "", at)
	for s := range j.sessions.From(addr, at) {
		line := fmt.Sprintf("session: of %s since %s", text.Quote(s.User), s.Since.UTC().Format(time.RFC3339))
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
