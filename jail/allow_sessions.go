package jail

import (
	"hash/maphash"
	"iter"
	"net/netip"
	"time"

	"exile/journal"
)

// Sessions remembers who is logged in and who lately came in with a key, from the lines of the service itself. It has room
// for 1024 sessions and 16384 addresses with keys; when there are more, those of the user who has the most go first.
type Sessions struct {
	trust     time.Duration
	strangers *Strangers
	seed      maphash.Seed // of the numbers of users
	nets      nameKey      // of the numbers of networks
	admins    map[string]struct{}
	open      *shared[sessionID, session]
	hosts     map[netip.Addr]int         // how many sessions each address has
	keys      *shared[netip.Addr, int64] // last login with a key, µs
	changes   uint64
}

// sessionID tells sessions apart.
type sessionID struct {
	boot journal.ID
	pid  int32          // of the process that wrote the login's line; 0 when unknown
	from netip.AddrPort // port 0 when unknown
}

// session is one login that has not ended.
type session struct {
	from  netip.AddrPort
	user  string // empty: the log names none
	since time.Time
}

// Session is somebody who is logged in.
type Session struct {
	User  string         // as the service logged it; empty: it names none
	From  netip.AddrPort // port 0: unknown
	Since time.Time
	Admin bool
}

const (
	maxSessions = 1024
	maxKeys     = 16384
	// sessionAge is when a session whose end was never logged is taken for over.
	sessionAge = 7 * 24 * time.Hour
)

// NewSessions returns one that knows nobody. A login with a key is good for trust; 0: for nothing.
func NewSessions(trust time.Duration, strangers *Strangers) *Sessions {
	s := &Sessions{
		trust: trust, strangers: strangers, seed: maphash.MakeSeed(), nets: newNameKey(), hosts: make(map[netip.Addr]int),
		keys: newShared[netip.Addr, int64](maxKeys, nil),
	}
	s.open = newShared[sessionID](maxSessions, func(v *session) {
		s.changes++
		if s.hosts[v.from.Addr()]--; s.hosts[v.from.Addr()] == 0 {
			delete(s.hosts, v.from.Addr())
		}
	})
	return s
}

// SetAdmins says who the administrators are: nothing bans the address of an open session of one of them.
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
		if !ev.Addr.IsValid() {
			return
		}
		from := netip.AddrPortFrom(ev.Addr, ev.Port)
		s.begin(sessionID{e.Boot, e.PID, from}, ev.user(), e.Time)
		if ev.Method == "publickey" && s.trust > 0 {
			at := e.Time.UnixMicro()
			*s.keys.touch(ev.Addr, at, s.sharer(ev.user(), ev.Addr)) = at
		}
	case End:
		s.end(ev, e)
	default:
	}
}

// sharer is a user and the neighbourhood of an address.
func (s *Sessions) sharer(user []byte, from netip.Addr) sharer {
	net := s.nets.netID(s.strangers.Unit(from, 24, 64))
	if len(user) == 0 {
		return sharer{net: net}
	}
	return sharer{uint32(maphash.Bytes(s.seed, user)) | 1, net}
}

// Open tells of a session that began before the log that is read: the process that leads it, whose it is and where it comes
// from. One that the log told of stays as it is.
func (s *Sessions) Open(boot journal.ID, leader int32, user string, from netip.Addr, since time.Time) {
	from = from.Unmap().WithZone("")
	for n := range s.open.all {
		if n.key.boot == boot && n.key.pid == leader && n.value.value.from.Addr() == from {
			return
		}
	}
	s.begin(sessionID{boot, leader, netip.AddrPortFrom(from, 0)}, []byte(user), since)
}

// begin drops what the new session proves to be over: the one with its PID, and all of another boot.
func (s *Sessions) begin(id sessionID, user []byte, since time.Time) {
	for n := range s.open.all {
		if n.key.boot != id.boot || n.key.pid != 0 && n.key.pid == id.pid || since.Sub(n.value.value.since) > sessionAge {
			s.open.delete(n.key)
		}
	}
	s.open.delete(id)
	*s.open.touch(id, since.UnixMicro(), s.sharer(user, id.from.Addr())) = session{id.from, string(user), since}
	s.hosts[id.from.Addr()]++
	s.changes++
}

// end closes the session that a line names by address and port, or, where it names none, by its PID: the lines about
// the network and about the session come from different processes.
func (s *Sessions) end(ev Event, e *journal.Entry) {
	from := netip.AddrPortFrom(ev.Addr, ev.Port)
	for n := range s.open.all {
		if n.key.ends(&ev, from, e) {
			s.open.delete(n.key)
			return
		}
	}
}

// ends reports whether the event, which e said, is the end of the session.
func (id *sessionID) ends(ev *Event, from netip.AddrPort, e *journal.Entry) bool {
	if ev.Addr.IsValid() && ev.Port != 0 && id.from.Port() != 0 {
		return id.from == from
	}
	return id.boot == e.Boot && id.pid != 0 && id.pid == e.PID && (!ev.Addr.IsValid() || ev.Addr == id.from.Addr())
}

// standing is what the open sessions of an address excuse.
type standing uint8

const (
	stranger standing = iota // nothing: it has none
	guest                    // guesses for other names count, leniently
	excused                  // a guess for a name that has a session from there is a slip of its user
	admin                    // everything
)

// stands returns what sessions from addr mean for a guess for user, and whose session it is.
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

// From yields the sessions that addr has now.
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
		for n := range s.open.all {
			v := &n.value.value
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

// Trusted reports whether addr came in with a key not longer ago than a login is trusted.
func (s *Sessions) Trusted(addr netip.Addr, at time.Time) bool {
	last := s.keys.get(addr)
	return last != nil && s.trusts(last.value, at)
}

// TrustedIn reports whether an address of p did. It looks at all that did.
func (s *Sessions) TrustedIn(p netip.Prefix, at time.Time) bool {
	for n := range s.keys.all {
		if s.trusts(n.value.value, at) && p.Contains(n.key) {
			return true
		}
	}
	return false
}

// trusts reports whether a login in that µs is one for which an address is trusted.
func (s *Sessions) trusts(login int64, at time.Time) bool {
	return at.UnixMicro()-login <= s.trust.Microseconds()
}

// keyLogin is what protects an address that is trusted, for people.
const keyLogin = "login with a key"

// Touches reports whether a ban of p would hit somebody who is connected, and whom.
func (s *Sessions) Touches(p netip.Prefix, at time.Time) (why string, ok bool) {
	for n := range s.All(at) {
		if p.Contains(n.From.Addr()) {
			return n.live(), true
		}
	}
	return "", false
}

func (s *Session) live() string { return liveSession(s.User) }

// liveSession is what protects an address, for people.
func liveSession(user string) string {
	if user == "" {
		return "live session"
	}
	return "live session of " + quote(user)
}
