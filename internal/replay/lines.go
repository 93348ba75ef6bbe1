package replay

import (
	"bytes"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"time"

	"exile/internal/control"
	"exile/internal/human"
	"exile/jail"
	"exile/journal"
)

// Lines bans as fail2ban does, for comparisons: it counts lines that its filter takes for failures, each address alone, and bans at maxretry of
// them. What it does was read from fail2ban 1.0.2 (server/failmanager.py, server/filter.py); TestAsFail2ban compares.
type Lines struct {
	Filter   jail.Filter
	SSHD     bool // the lines are sshd's: those of fail2ban's sshd filter in mode normal count
	MaxRetry int
	FindTime time.Duration
	BanTime  time.Duration // jail.Permanent is for ever

	failures map[netip.Addr]failures
	sessions map[session]*heard
	order    []begun // of the sessions, and of some that have ended
	swept    int
}

// failures of an address. Times are in seconds since 1970.
type failures struct {
	first, last float64
	count       int
}

// session is what fail2ban takes for one connection: lines of one process.
type session struct {
	identifier string
	pid        int32
}

// begun is a session and what it was when it began.
type begun struct {
	id    session
	heard *heard
}

// heard is what is known of a session.
type heard struct {
	addr    netip.Addr
	users   map[string]bool
	pending bool // a failure that waits for its address
	since   time.Time
}

const (
	sessionTime = 5 * time.Minute // that fail2ban remembers a session
	maxSessions = 100             // that it remembers
	maxUsersOf  = 8
	sweepEvery  = 1 << 12
)

// sense is what a line means to fail2ban.
type sense struct {
	matches bool
	fails   bool // otherwise it only tells something of the session
	ends    bool // the session is forgotten
	gained  bool // somebody logged in
}

// Observe takes a line, and returns the address that it bans, if it does.
func (l *Lines) Observe(e *journal.Entry, passes func(netip.Addr) bool) (addr netip.Addr, count int, ban bool) {
	ev := jail.Parse(l.Filter, e)
	addr, fails := l.failure(&ev, e)
	if !fails || !passes(addr) {
		return addr, 0, false
	}
	l.sweep(e.Time)
	count = l.add(addr, seconds(e.Time))
	if count < l.MaxRetry {
		return addr, count, false
	}
	delete(l.failures, addr)
	return addr, count, true
}

func seconds(t time.Time) float64 { return float64(t.UnixMicro()) / 1e6 }

// failure returns the address that a line is a failure of.
func (l *Lines) failure(ev *jail.Event, e *journal.Entry) (netip.Addr, bool) {
	if !l.SSHD {
		return ev.Addr, ev.Counts && ev.Addr.IsValid()
	}
	s := senseOf(ev, e.Message)
	if !s.matches {
		return netip.Addr{}, false
	}
	return l.merge(ev, e, s)
}

// merge puts what a line says together with what earlier lines of its session said.
func (l *Lines) merge(ev *jail.Event, e *journal.Entry, s sense) (netip.Addr, bool) {
	id := session{e.Identifier, e.PID}
	h := l.sessions[id]
	if h != nil && e.Time.Sub(h.since) >= sessionTime {
		delete(l.sessions, id)
		h = nil
	}
	switch {
	case h == nil:
		h = &heard{since: e.Time}
		if !s.ends {
			l.remember(id, h)
		}
	case s.ends:
		delete(l.sessions, id)
	}
	if s.gained {
		h.pending = false
	}
	if ev.Addr.IsValid() {
		h.addr = ev.Addr
	}
	h.name(ev, e.Message)
	fails := s.fails || h.pending || len(h.users) > 1 // who tries several names has failed with all but one
	h.pending = fails && !h.addr.IsValid()
	return h.addr, fails && !h.pending
}

// name notes the name that a line has.
func (h *heard) name(ev *jail.Event, message []byte) {
	user := ev.User
	if _, who, ok := bytes.Cut(message, []byte("Too many authentication failures for ")); ok && len(user) == 0 {
		user, _, _ = bytes.Cut(who, []byte(" ["))
	}
	if len(user) == 0 || len(h.users) >= maxUsersOf {
		return
	}
	if h.users == nil {
		h.users = make(map[string]bool)
	}
	h.users[string(user)] = true
}

// remember keeps a session, and forgets the oldest if there are too many.
func (l *Lines) remember(id session, h *heard) {
	if l.sessions == nil {
		l.sessions = make(map[session]*heard)
	}
	for len(l.sessions) >= maxSessions {
		oldest := l.order[0]
		l.order = l.order[1:]
		if l.sessions[oldest.id] == oldest.heard { // otherwise it has ended
			delete(l.sessions, oldest.id)
		}
	}
	l.sessions[id] = h
	if len(l.order) >= 16*maxSessions {
		l.order = slices.DeleteFunc(l.order, func(b begun) bool { return l.sessions[b.id] != b.heard })
	}
	l.order = append(l.order, begun{id, h})
}

// senseOf says what fail2ban's sshd filter makes of a line, by the rule of ours that knows it.
func senseOf(ev *jail.Event, message []byte) sense {
	has := func(text string) bool { return bytes.Contains(message, []byte(text)) }
	failure := sense{matches: true, fails: true}
	told := sense{matches: true}
	switch ev.Rule {
	case jail.Refused:
		if ev.Method == "publickey" && !ev.Unknown {
			return told
		}
		return failure
	case "invalid-user", "root-refused", "refused", "pam-error", "not-allowed":
		return failure
	case "auth-fail", "change-user":
		return sense{matches: true, fails: true, ends: true}
	case "max-attempts":
		if has("maximum authentication attempts exceeded for ") || has("Disconnecting: ") {
			return failure
		}
	case "pam":
		if bytes.HasPrefix(message, []byte("pam_")) {
			return told
		}
	case "gave-up", "closed", "disconnect":
		if has("Connection closed by ") || has("Connection reset by ") || has("Disconnected from ") || has(":11: ") {
			return sense{matches: true, ends: true}
		}
	case "session-end":
		if has(":11: ") {
			return sense{matches: true, ends: true}
		}
	case "connection":
		return told
	case "accepted":
		return sense{matches: true, ends: true, gained: true}
	}
	return sense{}
}

// add counts a failure, and returns how many there are now. If they began more than findtime ago, their number is estimated from their rate.
func (l *Lines) add(addr netip.Addr, at float64) int {
	if l.failures == nil {
		l.failures = make(map[netip.Addr]failures)
	}
	find := l.FindTime.Seconds()
	f, known := l.failures[addr]
	switch {
	case !known || f.last+find <= at:
		f = failures{first: at, last: at}
	case at > f.last:
		if f.first < at-find {
			f.count = int(math.RoundToEven(float64(f.count) / (at - f.first) * find))
			f.first = at - find
		}
		f.last = at
	}
	f.count++
	l.failures[addr] = f
	return f.count
}

// sweep forgets, from time to time, the failures that are too old to count.
func (l *Lines) sweep(now time.Time) {
	if l.swept++; l.swept%sweepEvery != 0 {
		return
	}
	for addr, f := range l.failures {
		if f.last+l.FindTime.Seconds() <= seconds(now) {
			delete(l.failures, addr)
		}
	}
}

// counted says for people how many failures count.
func (l *Lines) counted(p netip.Prefix, now time.Time) string {
	n := 0
	for addr, f := range l.failures {
		if p.Contains(addr) && f.last+l.FindTime.Seconds() > seconds(now) {
			n = max(n, f.count)
		}
	}
	return fmt.Sprintf("%d of %s within %s", n, human.Count(l.MaxRetry, "lines"), human.Span(l.FindTime))
}

// Silent is a detector that decides nothing, for jails that ban by lines.
type Silent struct{}

// Observe implements jail.Detector.
func (Silent) Observe(_ jail.Attempt, out []jail.Verdict) []jail.Verdict { return out }

// Forget implements jail.Detector.
func (Silent) Forget(netip.Prefix) {}

// ForgetAll implements jail.Detector.
func (Silent) ForgetAll() {}

// countLines bans by lines in a jail that does.
func (r *Replay) countLines(j *Jail, e *journal.Entry) {
	addr, n, ban := j.Lines.Observe(e, func(a netip.Addr) bool {
		if !r.silent {
			r.count.Failures++
		}
		_, friend := j.Friends.Allowed(a, e.Time)
		return !friend && r.closed(j, a, micro(e.Time), false) == nil
	})
	if !ban {
		return
	}
	b := control.Ban{
		Jail: j.Name, Prefix: netip.PrefixFrom(addr, addr.BitLen()), Since: e.Time, Failures: n, Offence: 1, Origin: control.OriginJournal,
	}
	if j.Lines.BanTime != jail.Permanent {
		b.Until = b.Since.Add(j.Lines.BanTime)
	}
	if r.bench.explains {
		b.Reason = fmt.Sprintf("fail2ban: %s within %s", human.Count(n, "lines"), human.Span(j.Lines.FindTime))
	}
	if len(r.bans.Book.Covering(&j.Jail, b.Prefix)) == 0 {
		r.bans.Add(&j.Jail, b, e.Time)
	}
}
