package jail

import (
	"net/netip"
	"time"

	"exile/jail/internal/bounded"
	"exile/jail/internal/netkey"
	"exile/journal"
)

// How long and how much is remembered of connections.
const (
	// LoginGrace is how long sshd lets a client try (LoginGraceTime): evidence of one guess is not spread wider.
	LoginGrace     = 2 * time.Minute
	connectionKeep = LoginGrace + 30*time.Second // from the last line
	nameGrace      = time.Second                 // how long a guess without a name waits for its connection's next line, which may have one
	orphanKeep     = 30 * time.Second            // how long evidence without an address waits for its connection's next line
	maxConnections = 16384
	maxWeak        = 16384
	maxUser        = 256 // bytes of a user's name; sshd logs 187
	// MaxGuesses is how many guesses one line, or one Attempt, can stand for.
	MaxGuesses = 10000
)

// Connections turns the events of a service into attempts to log in. One wrong password makes up to six lines. Each kind of
// evidence is a lower bound on the guesses of its connection, so the highest bound is taken; when it rises, an Attempt
// says by how much. No guess is reported twice, at any log level of the service.
type Connections struct {
	conns  *bounded.Store[connID, conn]
	strong bounded.Times[netkey.Key]                // addresses with evidence that is not weak
	logins *bounded.Store[netip.AddrPort, struct{}] // remote ends that logged in: the end of a session is no probe
	weak   []weakEvidence                           // waits for stronger evidence, oldest first
	names  []weakEvidence                           // waits for a name, likewise
}

// connID identifies a connection: by the process that serves it or, if the log has no PIDs, by the address.
type connID struct {
	boot journal.ID
	pid  int32
	addr netkey.Key // only without a PID
}

// conn is what is known of one connection.
type conn struct {
	addr     netip.Addr // zero: not known yet
	port     uint16     // 0: not known yet
	seen     int64      // last line, µs
	counts   [Limit + 1]uint16
	weak     uint16 // guesses that only PAM logged
	told     uint16 // guesses reported in attempts so far
	user     string
	rule     string // of the evidence that waits for an address
	unknown  bool
	refused  bool // a password was refused, for a name not known to be missing on the host
	toldOf   bool // and an attempt reported that
	several  bool // more than one user name was tried
	loggedIn bool
	over     bool
}

// weakEvidence is a PAM failure, which logins that succeed have too.
type weakEvidence struct {
	id      connID
	attempt Attempt
	port    uint16
}

// NewConnections returns an empty set of connections. Its memory is bounded: a few megabytes.
func NewConnections() *Connections {
	return &Connections{
		conns:  bounded.New[connID, conn](maxConnections, bounded.HashAny[connID]()),
		strong: bounded.NewTimes[netkey.Key](maxConnections),
		logins: bounded.New[netip.AddrPort, struct{}](maxConnections, bounded.HashAny[netip.AddrPort]()),
	}
}

// Evicted is the number of connections forgotten early because there were too many.
func (c *Connections) Evicted() uint64 { return c.conns.Evicted() }

// Resolve decides what an event is if that depends on its connection: call it before Observe. The process that logs the end
// of a session is not the one that logged its login, but the remote address and port are the same.
func (c *Connections) Resolve(ev Event, at time.Time) Event {
	if !ev.Addr.IsValid() || ev.Port == 0 {
		return ev
	}
	remote := netip.AddrPortFrom(ev.Addr, ev.Port)
	if ev.OrEnd && c.logins.Get(remote) != nil {
		ev.Kind, ev.Counts = End, false
	}
	switch ev.Kind {
	case Success:
		c.logins.Touch(remote, at.UnixMicro())
	case End:
		c.logins.Delete(remote)
	default:
	}
	return ev
}

// Observe appends to out the new attempts in ev, which was read from e. Weak evidence comes later, see Advance.
func (c *Connections) Observe(ev Event, e *journal.Entry, out []Attempt) []Attempt {
	if ev.Rule == "" {
		return out
	}
	at := e.Time.UnixMicro()
	c.conns.Expire(at, connectionKeep.Microseconds())
	if ev.Alone {
		return c.alone(&ev, e, out)
	}
	id := connID{boot: e.Boot, pid: e.PID}
	if ev.PID != 0 {
		id.pid = ev.PID
	}
	if id.pid == 0 {
		if !ev.Addr.IsValid() {
			return out
		}
		id.addr = netkey.OfAddr(ev.Addr)
	}
	cn := c.lookup(id, &ev, at)
	if ev.Kind == Success && (cn == nil || !cn.addr.IsValid()) {
		c.excuse(string(ev.user()), id)
	}
	if cn == nil {
		return out
	}
	if cn.addr.IsValid() && ev.strong() {
		c.settle(cn.addr, at)
	}
	if ev.Weak {
		return c.delay(id, cn, &ev, e, out)
	}
	if cn.nameless(&ev) {
		return c.hold(id, cn, &ev, e, out)
	}
	return cn.add(&ev, e, out)
}

// alone handles an event of a process that serves many connections.
func (c *Connections) alone(ev *Event, e *journal.Entry, out []Attempt) []Attempt {
	if !ev.Addr.IsValid() || !ev.Counts && ev.Kind != Success {
		return out
	}
	a := newAttempt(ev, e, string(ev.user()))
	a.Addr, a.Success = ev.Addr, ev.Kind == Success
	if !a.Success {
		a.Guesses = clampCount(ev.Count)
	}
	return append(out, a)
}

// lookup returns the connection that ev belongs to, a new one if need be, or nil. A process that now serves another address
// or port serves another connection: its PID was used again.
func (c *Connections) lookup(id connID, ev *Event, at int64) *conn {
	if !ev.Addr.IsValid() && !ev.Counts && c.conns.Get(id) == nil {
		return nil // it neither counts nor has an address
	}
	cn := c.conns.Touch(id, at)
	if !cn.accepts(ev, at) {
		*cn = conn{}
	}
	cn.seen = at
	if ev.Addr.IsValid() {
		cn.addr = ev.Addr
	}
	if ev.Port != 0 {
		cn.port = ev.Port
	}
	return cn
}

// accepts reports whether ev can be about this connection.
func (cn *conn) accepts(ev *Event, at int64) bool {
	switch {
	case !ev.Addr.IsValid():
		return !cn.over
	case !cn.addr.IsValid():
		return at-cn.seen <= orphanKeep.Microseconds() // dropping a new connection is fine: it is empty
	case cn.addr != ev.Addr:
		return false
	default:
		return ev.Port == 0 || cn.port == 0 || ev.Port == cn.port
	}
}

// add counts ev and reports what is new.
func (cn *conn) add(ev *Event, e *journal.Entry, out []Attempt) []Attempt {
	cn.over = cn.over || ev.Last
	switch {
	case ev.Kind == Success:
		return cn.success(ev, e, out)
	case ev.Counts && !cn.loggedIn:
		cn.refused = cn.refused || ev.password() && !cn.unknown
		cn.name(ev)
		cn.count(ev)
		if !ev.Addr.IsValid() {
			cn.rule = ev.Rule
		}
	}
	n, password := cn.untold(), cn.untoldPassword()
	if n == 0 && !password {
		return out
	}
	a := newAttempt(ev, e, cn.user)
	a.Addr, a.Guesses, a.Unknown = cn.addr, n, a.Unknown || cn.unknown
	a.Passwordless = a.Passwordless && !password
	if cn.rule != "" {
		a.Rule, cn.rule = cn.rule, ""
	}
	return append(out, a)
}

// name remembers the name of the user, and whether there were several.
func (cn *conn) name(ev *Event) {
	cn.unknown = cn.unknown || ev.Unknown
	user := ev.user()
	if len(user) == 0 || cn.user == string(user) {
		return
	}
	cn.several = cn.several || cn.user != ""
	cn.user = string(user)
}

func (cn *conn) count(ev *Event) {
	if ev.Evidence > Limit {
		return
	}
	n := &cn.counts[ev.Evidence]
	*n = uint16(min(int(*n)+clampCount(ev.Count), MaxGuesses))
	if ev.Evidence >= Once {
		*n = 1
	}
}

// guesses is the highest of the lower bounds. Plain guesses and those in a dialog add up.
func (cn *conn) guesses() uint16 {
	n := cn.counts[Guess] + max(cn.counts[Dialog], cn.counts[DialogPAM])
	return max(n, cn.counts[Once], cn.counts[Limit], cn.weak)
}

// untold returns how many guesses were not reported yet, and takes them as reported. While the address is unknown it is 0.
func (cn *conn) untold() int {
	n := cn.guesses()
	if !cn.addr.IsValid() || n <= cn.told {
		return 0
	}
	fresh := int(n - cn.told)
	cn.told = n
	return fresh
}

// untoldPassword reports whether a password was refused and no attempt reported that yet, and takes it as reported: "User
// root not allowed because ..." is the guess, and "Failed password for invalid user root" says that it was a password.
func (cn *conn) untoldPassword() bool {
	if !cn.addr.IsValid() || !cn.refused || cn.toldOf || cn.loggedIn {
		return false
	}
	cn.toldOf = true
	return true
}

// success takes back what the connection guessed, unless it tried several names: then nobody mistyped.
func (cn *conn) success(ev *Event, e *journal.Entry, out []Attempt) []Attempt {
	if !cn.addr.IsValid() || cn.loggedIn {
		return out
	}
	cn.name(ev)
	cn.loggedIn = true
	a := newAttempt(ev, e, cn.user)
	a.Addr, a.Success = cn.addr, true
	if !cn.several {
		a.Forgiven = int(cn.told)
	}
	return append(out, a)
}

func newAttempt(ev *Event, e *journal.Entry, user string) Attempt {
	return Attempt{
		Time: e.Time, User: user, Unknown: ev.Unknown, Method: ev.Method, Rule: ev.Rule, Position: e.Position,
		Passwordless: ev.Kind != Success && !ev.password(),
	}
}

// user is the part of the name that is kept.
func (ev *Event) user() []byte { return ev.User[:min(len(ev.User), maxUser)] }

func clampCount(n int) int { return min(max(n, 1), MaxGuesses) }
