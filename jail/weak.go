package jail

import (
	"math"
	"net/netip"
	"time"

	"exile/jail/internal/netkey"
	"exile/journal"
)

// A PAM failure is weak evidence: with keyboard-interactive it has a child's PID, and with stacked modules it occurs in logins
// that succeed. So it waits, and counts only if there is no stronger evidence from its address within LoginGrace, before or
// after it.

// settle notes strong evidence about addr.
func (c *Connections) settle(addr netip.Addr, at int64) {
	c.strong.Note(netkey.OfAddr(addr), at)
}

// settled reports whether there is strong evidence about addr within LoginGrace of that time.
func (c *Connections) settled(addr netip.Addr, at int64) bool {
	last, ok := c.strong.Last(netkey.OfAddr(addr))
	d := last - at
	return ok && d <= LoginGrace.Microseconds() && d >= -LoginGrace.Microseconds()
}

// delay queues weak evidence. If the queue is full, its head is judged early: a flood must not make us blind.
func (c *Connections) delay(id connID, cn *conn, ev *Event, e *journal.Entry, out []Attempt) []Attempt {
	if !ev.Counts || !cn.addr.IsValid() || c.settled(cn.addr, e.Time.UnixMicro()) {
		return out
	}
	if len(c.weak) >= maxWeak {
		out = c.ripen(out)
	}
	a := newAttempt(ev, e, string(ev.user()))
	a.Addr, a.Guesses = cn.addr, clampCount(ev.Count)
	c.weak = append(c.weak, weakEvidence{id: id, attempt: a, port: ev.Port})
	return out
}

// nameless reports whether the event is the first guess of its connection and has no name, while the next line may have one:
// "Received disconnect from ...: No supported authentication methods available", and then "Disconnected from authenticating
// user alice". What is known of alice must count.
func (cn *conn) nameless(ev *Event) bool {
	return ev.Counts && ev.Kind == Failure && ev.Evidence == Once && !ev.Last && !ev.Unknown && len(ev.User) == 0 &&
		cn.user == "" && cn.addr.IsValid() && cn.told == 0 && !cn.loggedIn
}

// hold counts a guess without a name, which waits for its connection's next line.
func (c *Connections) hold(id connID, cn *conn, ev *Event, e *journal.Entry, out []Attempt) []Attempt {
	if len(c.names) >= maxWeak {
		out = c.release(out)
	}
	cn.count(ev)
	a := newAttempt(ev, e, "")
	a.Addr = cn.addr
	c.names = append(c.names, weakEvidence{id: id, attempt: a})
	return out
}

// release reports the oldest guess that waits for a name, unless a later line reported it.
func (c *Connections) release(out []Attempt) []Attempt {
	w := c.names[0]
	c.names[0] = weakEvidence{}
	c.names = c.names[1:]
	cn := c.conns.Get(w.id)
	if cn == nil || cn.addr != w.attempt.Addr {
		w.attempt.Guesses = 1 // forgotten, or the PID now serves another client
		return append(out, w.attempt)
	}
	if w.attempt.Guesses = cn.untold(); w.attempt.Guesses > 0 && !cn.loggedIn {
		out = append(out, w.attempt)
	}
	return out
}

// Advance appends to out the evidence that waited in vain for stronger evidence, or for a name, and forgets old connections.
// now must not be ahead of what was read: while the source lags it is the time of the last entry.
func (c *Connections) Advance(now time.Time, out []Attempt) []Attempt {
	for len(c.weak) > 0 {
		d := now.Sub(c.weak[0].attempt.Time)
		if d <= LoginGrace && d >= -LoginGrace {
			break
		}
		out = c.ripen(out)
	}
	for len(c.names) > 0 && now.Sub(c.names[0].attempt.Time).Abs() > nameGrace {
		out = c.release(out)
	}
	c.conns.Expire(now.UnixMicro(), connectionKeep.Microseconds())
	return out
}

// ripen judges the oldest weak evidence.
func (c *Connections) ripen(out []Attempt) []Attempt {
	w := c.weak[0]
	c.weak[0] = weakEvidence{}
	c.weak = c.weak[1:]
	a := w.attempt
	if a.Guesses == 0 || c.settled(a.Addr, a.Time.UnixMicro()) {
		return out
	}
	cn := c.conns.Get(w.id)
	if cn == nil || cn.addr != a.Addr {
		return append(out, a) // forgotten, or the PID now serves another client
	}
	if cn.loggedIn {
		return out
	}
	cn.weak = uint16(min(int(cn.weak)+a.Guesses, MaxGuesses))
	if a.Guesses = cn.untold(); a.Guesses > 0 {
		out = append(out, a)
	}
	return out
}

// excuse drops weak evidence about a user who logged in from an address that no line names. At LogLevel QUIET only that tells
// a typing error, or a stack of PAM modules, from a guess. In a dialog the evidence came from a child of the process that
// logged in: of several addresses, it is the one with the next PID.
func (c *Connections) excuse(user string, login connID) {
	if user == "" {
		return // lines about unknown users have no name either
	}
	var from netip.Addr
	nearest := uint32(math.MaxUint32)
	for i := range c.weak {
		w := &c.weak[i]
		// PIDs wrap around: a smaller one follows much later.
		if d := uint32(w.id.pid - login.pid); w.attempt.User == user && w.id.boot == login.boot && w.attempt.Guesses > 0 && d < nearest {
			nearest, from = d, w.attempt.Addr
		}
	}
	for i := range c.weak {
		if c.weak[i].attempt.User == user && c.weak[i].attempt.Addr == from {
			c.weak[i].attempt.Guesses = 0
		}
	}
}

// Waits yields the position of the oldest evidence that waits for stronger, and of the oldest guess that waits for a name.
// Each queue is judged in the order of its lines.
func (c *Connections) Waits(yield func(journal.Position) bool) {
	for _, queue := range [...][]weakEvidence{c.weak, c.names} {
		if len(queue) > 0 && !yield(queue[0].attempt.Position) {
			return
		}
	}
}
