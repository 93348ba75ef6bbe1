package jail

import (
	"net/netip"
	"slices"
	"time"

	"exile/journal"
)

// Sessions remembers who is logged in and who lately came in with a key, from the lines of the service itself. Who is
// connected is never banned; who came in with a key may guess more than others before. It has room for 1024 sessions and
// 16384 addresses with keys; the oldest are forgotten first, of sessions those of the address that has the most.
type Sessions struct {
	trust time.Duration
	open  []session                  // oldest first
	keys  *recent[netip.Addr, int64] // last login with a key, µs
}

// session is one login that has not ended.
type session struct {
	boot  journal.ID
	pid   int32          // of the process that wrote the login's line; 0 when unknown
	from  netip.AddrPort // port 0 when unknown
	since time.Time
}

const (
	maxSessions = 1024
	maxKeys     = 16384
	// sessionAge is when a session whose end was never logged is taken for over.
	sessionAge = 7 * 24 * time.Hour
)

// NewSessions returns one that knows nobody. A login with a key is good for trust; 0: for nothing.
func NewSessions(trust time.Duration) *Sessions {
	return &Sessions{trust: trust, keys: newRecent[netip.Addr, int64](maxKeys)}
}

// Observe takes the next line of the service.
func (s *Sessions) Observe(ev Event, e *journal.Entry) {
	switch ev.Kind {
	case Success:
		if !ev.Addr.IsValid() {
			return
		}
		s.begin(session{e.Boot, e.PID, netip.AddrPortFrom(ev.Addr, ev.Port), e.Time})
		if ev.Method == "publickey" && s.trust > 0 {
			at := e.Time.UnixMicro()
			*s.keys.touch(ev.Addr, at) = at
		}
	case End:
		s.end(ev, e)
	default:
	}
}

// Open tells of a session that began before the log that is read: the process that leads it and where it comes from.
func (s *Sessions) Open(boot journal.ID, leader int32, from netip.Addr, since time.Time) {
	s.begin(session{boot, leader, netip.AddrPortFrom(from.Unmap().WithZone(""), 0), since})
}

// begin drops what the new session proves to be over: the one with its PID, and all of another boot.
func (s *Sessions) begin(n session) {
	s.open = slices.DeleteFunc(s.open, func(o session) bool {
		return o.boot != n.boot || o.pid != 0 && o.pid == n.pid || n.since.Sub(o.since) > sessionAge
	})
	if len(s.open) >= maxSessions {
		s.evict()
	}
	s.open = append(s.open, n)
}

// evict forgets the oldest session of the address that has the most: whoever opens many pushes out his own.
func (s *Sessions) evict() {
	many := make(map[netip.Addr]int)
	for i := range s.open {
		many[s.open[i].from.Addr()]++
	}
	of := 0
	for i := range s.open {
		if many[s.open[i].from.Addr()] > many[s.open[of].from.Addr()] {
			of = i
		}
	}
	s.open = slices.Delete(s.open, of, of+1)
}

// end closes the session that a line names by address and port, or, where it names none, by its PID: the lines about
// the network and about the session come from different processes.
func (s *Sessions) end(ev Event, e *journal.Entry) {
	from := netip.AddrPortFrom(ev.Addr, ev.Port)
	i := slices.IndexFunc(s.open, func(o session) bool {
		if ev.Addr.IsValid() && ev.Port != 0 && o.from.Port() != 0 {
			return o.from == from
		}
		return o.boot == e.Boot && o.pid != 0 && o.pid == e.PID && (!ev.Addr.IsValid() || ev.Addr == o.from.Addr())
	})
	if i >= 0 {
		s.open = slices.Delete(s.open, i, i+1)
	}
}

// Allowed implements Allow: whether addr has a session now.
func (s *Sessions) Allowed(addr netip.Addr, at time.Time) (why string, ok bool) {
	for i := range s.open {
		if s.open[i].from.Addr() == addr && s.open[i].lasts(at) {
			return "live session", true
		}
	}
	return "", false
}

// Trusted reports whether addr came in with a key not longer ago than a login is trusted.
func (s *Sessions) Trusted(addr netip.Addr, at time.Time) bool {
	last := s.keys.get(addr)
	return last != nil && at.UnixMicro()-*last <= s.trust.Microseconds()
}

// Touches reports whether a ban of p would hit somebody who is connected, and why not.
func (s *Sessions) Touches(p netip.Prefix, at time.Time) (why string, ok bool) {
	for i := range s.open {
		if p.Contains(s.open[i].from.Addr()) && s.open[i].lasts(at) {
			return "live session", true
		}
	}
	return "", false
}

func (s *session) lasts(at time.Time) bool { return at.Sub(s.since) <= sessionAge }
