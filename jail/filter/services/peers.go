package services

import (
	"net/netip"
	"time"

	"exile/jail"
	"exile/jail/internal/bounded"
	"exile/journal"
)

// A service may log the address of a client when it connects, and only the connection's id when its login fails. This file remembers which
// address a connection has, by what entries of the same process said.

// role is what a pattern's lines tell of a connection.
type role uint8

const (
	neither role = iota
	opens        // its address
	shuts        // that it is over
)

// How much is remembered of connections. Time does not end one: a client could wait for that, and then guess unnamed.
const (
	maxPeers = 16384 // beyond that those of which nothing was heard longest are forgotten: 3 MB, for a filter of a jail
	// earlyTime is how long a failure waits for its connection's address. slapd's threads log both, and seldom in the wrong order, by less
	// than a millisecond.
	earlyTime = time.Second
	maxID     = 32 // bytes, see the tag CONNECTION
)

// peers are the connections of a filter. Their memory is bounded.
type peers struct {
	known *bounded.Store[connection, peer]
}

// connection identifies a connection: by its id, and by who logged it.
type connection struct {
	boot      journal.ID
	unit, log string
	pid       int32
	id        [maxID]byte
}

// peer is what is known of a connection.
type peer struct {
	addr    netip.Addr // zero: not known yet
	guesses int32      // that wait for it
	pattern int32      // of the last of these
	at      int64      // when that came, µs
}

func newPeers() *peers {
	return &peers{bounded.New[connection, peer](maxPeers, bounded.HashAny[connection]())}
}

// ofConnection returns what a line says when the address is that of its connection.
func (r reader) ofConnection(ev jail.Event, i int, id []byte, e *journal.Entry) jail.Event {
	key := connection{boot: e.Boot, unit: e.Unit, log: e.Log, pid: e.PID}
	copy(key.id[:], id)
	at, known := e.Time.UnixMicro(), r.peers.known
	switch r.patterns[i].role {
	case opens:
		return r.connect(known.Touch(key, at), ev, at)
	case shuts:
		known.Delete(key)
		return ev
	default:
	}
	if p := known.Get(key); p != nil && p.addr.IsValid() {
		known.Touch(key, at)
		ev.Addr = p.addr
		return ev
	}
	if ev.Counts {
		known.Touch(key, at).wait(&ev, i, at)
	}
	return waiting(ev)
}

// connect notes the address of a connection. A failure that was logged just before counts now.
func (r reader) connect(p *peer, ev jail.Event, at int64) jail.Event {
	early := *p
	*p = peer{addr: ev.Addr}
	if early.guesses == 0 || at-early.at > earlyTime.Microseconds() {
		return ev
	}
	failure := r.event(int(early.pattern))
	failure.Addr, failure.Count = ev.Addr, int(early.guesses)
	return failure
}

// wait notes a failure of a connection whose address is not known.
func (p *peer) wait(ev *jail.Event, pattern int, at int64) {
	if at-p.at > earlyTime.Microseconds() {
		p.guesses = 0
	}
	p.guesses, p.pattern, p.at = min(p.guesses+int32(ev.Count), jail.MaxGuesses), int32(pattern), at
}

// waiting is a line of a connection whose address is not known: it says nothing yet, and counts nowhere if that stays so.
func waiting(ev jail.Event) jail.Event {
	return jail.Event{Rule: ev.Rule, Count: ev.Count, User: ev.User, Alone: ev.Alone, Ignored: true}
}
