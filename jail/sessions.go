package jail

import (
	"hash/maphash"
	"iter"
	"net/netip"
	"time"

	"exile/jail/internal/bounded"
	"exile/jail/internal/netkey"
	"exile/jail/internal/text"
	"exile/journal"
)

// Sessions remembers who is logged in and who recently logged in with a key, from the lines of the service itself. It has
// room for 1024 sessions and 16384 addresses with keys; if there are more, those of the user with the most go first.
type Sessions struct {
	trust     time.Duration
	strangers *Strangers
	seed      maphash.Seed  // of the numbers of users
	nets      netkey.Secret // of the numbers of networks
	admins    map[string]struct{}
	open      *bounded.Owned[sessionID, session]
	hosts     map[netip.Addr]int                // how many sessions each address has
	keys      *bounded.Owned[netip.Addr, int64] // last login with a key, µs
	changes   uint64
}

// sessionID identifies a session.
type sessionID struct {
	boot journal.ID
	pid  int32          // of the process that logged the login; 0: unknown
	from netip.AddrPort // port 0: unknown
}

// session is one login that has not ended.
type session struct {
	from  netip.AddrPort
	user  string // empty: the log has none
	since time.Time
}

// Session is somebody who is logged in.
type Session struct {
	User  string         // as the service logged it; empty: it did not
	From  netip.AddrPort // port 0: unknown
	Since time.Time
	Admin bool
}

const (
	maxSessions = 1024
	maxKeys     = 16384
	// sessionAge is when a session counts as over even if no end was logged.
	sessionAge = 7 * 24 * time.Hour
)

// NewSessions returns an empty memory. A login with a key is trusted for that long; 0: not at all.
func NewSessions(trust time.Duration, strangers *Strangers) *Sessions {
	s := &Sessions{
		trust: trust, strangers: strangers, seed: maphash.MakeSeed(), nets: netkey.NewSecret(), hosts: make(map[netip.Addr]int),
		keys: bounded.NewOwned[netip.Addr, int64](maxKeys, bounded.HashAny[netip.Addr](), nil),
	}
	s.open = bounded.NewOwned[sessionID](maxSessions, bounded.HashAny[sessionID](), func(v *session) {
		s.changes++
		if s.hosts[v.from.Addr()]--; s.hosts[v.from.Addr()] == 0 {
			delete(s.hosts, v.from.Addr())
		}
	})
	return s
}

// SetAdmins says who the administrators are: an address with an open session of one of them cannot be banned.
func (s *Sessions) SetAdmins(names []string) {
	s.admins = make(map[string]struct{}, len(names))
	for _, name := range names {
		s.admins[name] = struct{}{}
	}
	s.changes++
}

// Changes rises with every session that begins or ends.
func (s *Sessions) Changes() uint64 { return s.changes }

// Observe takes the next line of the service.
func (s *Sessions) Observe(ev Event, e *journal.Entry) {
	switch ev.Kind {
	case Success:
		if !ev.Addr.IsValid() || ev.Brief {
			return
		}
		from := netip.AddrPortFrom(ev.Addr, ev.Port)
		s.begin(sessionID{e.Boot, e.PID, from}, ev.user(), e.Time)
		if ev.Method == "publickey" && s.trust > 0 {
			at := e.Time.UnixMicro()
			*s.keys.Touch(ev.Addr, at, s.owner(ev.user(), ev.Addr)) = at
		}
	case End:
		s.end(ev, e)
	default:
	}
}

// owner returns a user, with the neighbourhood of an address.
func (s *Sessions) owner(user []byte, from netip.Addr) bounded.Owner {
	net := uint64(s.nets.ID(s.strangers.Unit(from, 24, 64)))
	if len(user) == 0 {
		return bounded.Owner{Network: net}
	}
	return bounded.Owner{User: uint32(maphash.Bytes(s.seed, user)) | 1, Network: net}
}

// Open adds a session that began before the log that is read: the process that leads it, its user and its address. A session
// known from the log stays as it is.
func (s *Sessions) Open(boot journal.ID, leader int32, user string, from netip.Addr, since time.Time) {
	from = from.Unmap().WithZone("")
	for n := range s.open.All {
		if n.Key.boot == boot && n.Key.pid == leader && n.Value.Value.from.Addr() == from {
			return
		}
	}
	s.begin(sessionID{boot, leader, netip.AddrPortFrom(from, 0)}, []byte(user), since)
}

// begin drops the sessions that the new one proves to be over: the one with its PID, and all of another boot.
func (s *Sessions) begin(id sessionID, user []byte, since time.Time) {
	for n := range s.open.All {
		if n.Key.boot != id.boot || n.Key.pid != 0 && n.Key.pid == id.pid || since.Sub(n.Value.Value.since) > sessionAge {
			s.open.Delete(n.Key)
		}
	}
	s.open.Delete(id)
	*s.open.Touch(id, since.UnixMicro(), s.owner(user, id.from.Addr())) = session{id.from, string(user), since}
	s.hosts[id.from.Addr()]++
	s.changes++
}

// end closes the session that a line names by address and port or, if it names none, by its PID: lines about the network and
// lines about the session come from different processes.
func (s *Sessions) end(ev Event, e *journal.Entry) {
	from := netip.AddrPortFrom(ev.Addr, ev.Port)
	for n := range s.open.All {
		if n.Key.ends(&ev, from, e) {
			s.open.Delete(n.Key)
			return
		}
	}
}

// ends reports whether the event, read from e, is the end of the session.
func (id *sessionID) ends(ev *Event, from netip.AddrPort, e *journal.Entry) bool {
	if ev.Addr.IsValid() && ev.Port != 0 && id.from.Port() != 0 {
		return id.from == from
	}
	return id.boot == e.Boot && id.pid != 0 && id.pid == e.PID && (!ev.Addr.IsValid() || ev.Addr == id.from.Addr())
}

// standing is how the open sessions of an address excuse a guess.
type standing uint8

const (
	stranger standing = iota // not at all: it has none
	guest                    // the name has no session from there: the guess counts, leniently
	excused                  // the name has a session from there: its user mistyped
	admin                    // in any case
)

// stands returns how sessions from addr excuse a guess for user, and whose session does.
func (s *Sessions) stands(addr netip.Addr, user string, at time.Time) (best standing, whose string) {
	for n := range s.From(addr, at) {
		now := guest
		switch {
		case n.Admin:
			now = admin
		case n.User == user && user != "":
			now = excused
		}
		if now > best {
			best, whose = now, n.User
		}
	}
	return best, whose
}

// From yields the open sessions of addr.
func (s *Sessions) From(addr netip.Addr, at time.Time) iter.Seq[Session] {
	return func(yield func(Session) bool) {
		if s.hosts[addr] == 0 {
			return
		}
		for n := range s.All(at) {
			if n.From.Addr() == addr && !yield(n) {
				return
			}
		}
	}
}

// All yields the open sessions, the oldest first.
func (s *Sessions) All(at time.Time) iter.Seq[Session] {
	return func(yield func(Session) bool) {
		for n := range s.open.All {
			v := &n.Value.Value
			if at.Sub(v.since) > sessionAge {
				continue
			}
			_, isAdmin := s.admins[v.user]
			if !yield(Session{v.user, v.from, v.since, isAdmin}) {
				return
			}
		}
	}
}

// Trusted reports whether addr logged in with a key within the time that such a login is trusted.
func (s *Sessions) Trusted(addr netip.Addr, at time.Time) bool {
	last := s.keys.Get(addr)
	return last != nil && s.trusts(last.Value, at)
}

// TrustedIn reports whether an address of p is trusted. It looks at all that are.
func (s *Sessions) TrustedIn(p netip.Prefix, at time.Time) bool {
	for n := range s.keys.All {
		if s.trusts(n.Value.Value, at) && p.Contains(n.Key) {
			return true
		}
	}
	return false
}

// trusts reports whether a login in that µs is still trusted.
func (s *Sessions) trusts(login int64, at time.Time) bool {
	return at.UnixMicro()-login <= s.trust.Microseconds()
}

// keyLogin says, for people, what protects a trusted address.
const keyLogin = "login with a key"

// Touches reports whether a ban of p would hit an open session, and whose.
func (s *Sessions) Touches(p netip.Prefix, at time.Time) (why string, ok bool) {
	for n := range s.All(at) {
		if p.Contains(n.From.Addr()) {
			return n.live(), true
		}
	}
	return "", false
}

func (s *Session) live() string { return liveSession(s.User) }

// liveSession says, for people, what protects an address.
func liveSession(user string) string {
	if user == "" {
		return "live session"
	}
	return "live session of " + text.Quote(user)
}
