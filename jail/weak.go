package jail

import (
	"math"
	"net/netip"
	"time"

	"exile/journal"
)

// A PAM failure is weak evidence: with keyboard-interactive it comes from a child's PID, and with stacked modules it comes in
// logins that succeed. So it waits, and counts only if nothing stronger comes from its address within LoginGrace, before
// or behind it.

// settle notes that there was strong evidence about addr.
func (c *Connections) settle(addr netip.Addr, at int64) {
	c.strong.note(addr.As16(), at)
}

// settled reports whether there was strong evidence about addr within LoginGrace of that time.
func (c *Connections) settled(addr netip.Addr, at int64) bool {
	last, ok := c.strong.last(addr.As16())
	d := last - at
	return ok && d <= LoginGrace.Microseconds() && d >= -LoginGrace.Microseconds()
}

// delay queues weak evidence. When the queue is full its head is judged early: a flood must not make us blind.
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

// nameless reports whether the event tells the first guess of its connection and nobody's name, which the next line may have:
// "Received disconnect from ...: No supported authentication methods available", and then "Disconnected from authenticating
// user alice". What is known of alice must count.
func (cn *conn) nameless(ev *Event) bool {
	return ev.Counts && ev.Kind == Failure && ev.Evidence == Once && !ev.Last && !ev.Unknown && len(ev.User) == 0 &&
		cn.user == "" && cn.addr.IsValid() && cn.told == 0 && !cn.loggedIn
}

// hold counts a guess for nobody, and has it wait for its connection's next line.
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

// release tells the oldest guess that waits for a name, unless the next line told it.
func (c *Connections) release(out []Attempt) []Attempt {
	w := c.names[0]
	c.names[0] = weakEvidence{}
	c.names = c.names[1:]
	cn := c.conns.get(w.id)
	if cn == nil || cn.addr != w.attempt.Addr {
		w.attempt.Guesses = 1 // forgotten, or its PID serves somebody else by now
		return append(out, w.attempt)
	}
	if w.attempt.Guesses = cn.untold(); w.attempt.Guesses > 0 && !cn.loggedIn {
		out = append(out, w.attempt)
	}
	return out
}

// Advance appends to out the evidence that waited in vain for something stronger, or for a name, and forgets old connections. now
// must not be ahead of what has been read: while the source lags it is the time of the last entry.
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
	c.conns.expire(now.UnixMicro(), connectionKeep.Microseconds())
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
	cn := c.conns.get(w.id)
	if cn == nil || cn.addr != a.Addr {
		return append(out, a) // forgotten, or its PID serves somebody else by now
	}
	if cn.loggedIn {
		return out
	}
	cn.weak = uint16(min(int(cn.weak)+a.Guesses, maxCount))
	if a.Guesses = cn.untold(); a.Guesses > 0 {
		out = append(out, a)
	}
	return out
}

// excuse drops weak evidence about a user who has logged in, nobody says from where: at LogLevel QUIET that is all that tells
// a slip, or a stack of PAM modules, from a guess. In a dialog it came from a child of the process that logged in, so of
// several addresses it is the one whose PID follows next.
func (c *Connections) excuse(user string, login connID) {
	if user == "" {
		return // as the lines about unknown users say
	}
	var from netip.Addr
	nearest := uint32(math.MaxUint32)
	for i := range c.weak {
		w := &c.weak[i]
		// PIDs wrap around: one that is less follows far behind.
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

// Waits yields, of what waits for something stronger and of what waits for a name, the position of the oldest. Each is judged in
// the order of its lines.
func (c *Connections) Waits(yield func(journal.Position) bool) {
	for _, queue := range [...][]weakEvidence{c.weak, c.names} {
		if len(queue) > 0 && !yield(queue[0].attempt.Position) {
			return
		}
	}
}
