// Package jail decides who is exiled: it turns the events of a filter into attempts, attempts into decisions. It is
// arithmetic: no clock, no I/O, no goroutine, no lock; every time it uses came in an entry or an argument, so the same
// entries always give the same decisions.
package jail

import (
	"net/netip"
	"time"

	"exile/journal"
)

// Kind says what one line means.
type Kind uint8

// The kinds of events.
const (
	None    Kind = iota // nothing to us
	Failure             // a guess that failed
	Probe               // somebody came and did not try to log in, or broke the protocol (mode ddos)
	NoMatch             // no common algorithm (mode extra)
	Success             // a login
	End                 // the end of a login's session
)

// String is the kind's name in statistics.
func (k Kind) String() string {
	return [...]string{"other", "failure", "probe", "no-match", "success", "end"}[k]
}

// Evidence is the sort of trace that a guess leaves. Each sort alone is a lower bound on the guesses of its connection.
type Evidence uint8

// The sorts of evidence.
const (
	Guess     Evidence = iota // every line is a guess of its own: "Failed password"
	Dialog                    // likewise, and told twice: by the server, "Failed keyboard-interactive/pam" ...
	DialogPAM                 // ... and by its PAM: "error: PAM: Authentication failure"
	Once                      // all such lines of a connection are one guess: "Invalid user", "Connection closed by invalid user"
	Limit                     // likewise, and says only that guesses were made that other lines tell: "Too many authentication failures"
)

// Event is what one line says. It is valid as long as the entry that it was read from.
type Event struct {
	Kind     Kind
	Evidence Evidence
	Weak     bool       // counts only when nothing stronger follows (PAM lines)
	Counts   bool       // the kind counts in the filter's mode
	Count    int        // guesses that the line stands for: at least 1 ("PAM 4 more ...", "message repeated 3 times")
	Addr     netip.Addr // unmapped and without zone; the zero Addr: the line names none, its connection knows
	Port     uint16     // of the remote end; 0 when not named
	User     []byte     // as the remote sent it: for display only, always quoted
	Unknown  bool       // the host has no such user, says the service
	Method   string     // password, publickey, ...; empty when not named
	Rule     string     // which rule of the filter it was, a constant; empty for a line that no rule knows
	PID      int32      // of the process that serves the connection, when the line names it; 0: the one that logged
	Alone    bool       // the process that logged serves many connections: the line belongs to none of those seen
	Last     bool       // the connection is over
	OrEnd    bool       // a Probe, unless the connection had logged in: then it is the End of its session, see Connections.Resolve
}

// strong reports whether the event tells by itself, and not through PAM, how a connection's logins went.
func (ev *Event) strong() bool {
	switch ev.Kind {
	case Failure:
		return !ev.Weak && ev.Evidence != Limit
	case Success, End:
		return true
	default:
		return false
	}
}

// password reports whether the event tells that a password was refused: clients offer keys and tickets by themselves.
func (ev *Event) password() bool {
	return ev.Kind == Failure && ev.Evidence < Once && ev.Method != "publickey"
}

// Penalty is the Rule of lines that say that the service itself judged a source, and refuses it without asking for a
// password.
const Penalty = "penalty"

// ByHand is the name of the jail that there is where no other is enabled: for bans by hand.
const ByHand = "manual"

// Throttled is the Rule of lines that say that the service refuses connections because too many have not logged in.
const Throttled = "max-startups"

// Filter reads the lines of one service. It does not keep what it is given and does not allocate.
type Filter interface {
	Parse(message []byte) Event
}

// Attempt is evidence of guessing that is new, or a login. Each guess is in exactly one Attempt.
type Attempt struct {
	Time     time.Time // of the entry that showed it
	Addr     netip.Addr
	User     string // empty when the log names none
	Unknown  bool   // the host has no such user
	Method   string
	Guesses  int  // at least 1; 0 for a login, and for a password that was refused behind what told the guess
	Success  bool // a login
	Forgiven int  // for a login: the guesses of its connection, told before, that it takes back: a slip of its user
	Rule     string
	Position journal.Position // of the entry

	// Passwordless says that no password was refused, as far as was told: a key was, or the connection ended before.
	Passwordless bool
}

// Allow says who is never banned.
type Allow interface {
	// Allowed reports whether addr is protected at that time, and why: "ignoreip 192.0.2.0/24".
	Allowed(addr netip.Addr, at time.Time) (why string, ok bool)
}

// Toucher is an Allow that also knows whom a ban of a whole prefix would hit. Jail asks for it by assertion, and bans
// only the address where somebody is protected around it.
type Toucher interface {
	// Touches reports whether p holds, or lies in, something protected, and what.
	Touches(p netip.Prefix) (why string, ok bool)
}

// Host is a prefix that is counted and not banned.
type Host struct {
	Prefix   netip.Prefix
	Failures int
	First    time.Time // of the failures that count
	Last     time.Time
}

// Lister is a Detector that can show whom it counts. Jail asks for it by assertion.
type Lister interface {
	// Expire forgets what no longer counts at that time.
	Expire(now time.Time)
	// Failing is the number of prefixes that are counted.
	Failing() int
	// Evicted is the number of prefixes that were forgotten early, oldest first, because there were too many.
	Evicted() uint64
	// Hosts returns at most limit of them in order, those behind after.
	Hosts(after netip.Prefix, limit int) []Host
}

// Detector decides when an address has guessed enough. It is not told of attempts of addresses that are never banned.
type Detector interface {
	// Observe takes the next attempt, in order of time but for small steps back, and appends what follows from it to
	// out: nothing, a ban, or the ban of an address and of a prefix around it.
	Observe(a Attempt, out []Verdict) []Verdict
	// Forget drops what is remembered of the addresses in p: somebody lifted their ban.
	Forget(p netip.Prefix)
}

// Releaser is a Detector that does not count what comes from an address while it is banned. Jail asks for it by
// assertion.
type Releaser interface {
	// Release says that the ban of exactly that prefix ended early, or was not made: its attempts count from now on. Its
	// offences stay.
	Release(p netip.Prefix)
}

// Verdict is what a detector decided.
type Verdict struct {
	Prefix   netip.Prefix
	Duration time.Duration // 0: the jail's bantime and escalation decide
	Failures int           // attempts behind it
	Offence  int           // 1 for the first time; 0: the jail's history decides
	Reason   Reason
	Evidence []Trace         // the entries behind it, if the detector knows them, oldest first, at most 16; valid until its next
	Ladder   []time.Duration // the longest ban times by offence, where the jail's history decides; nil: no limit. Not to be changed
}

// Trace names an entry that led to a decision.
type Trace struct {
	Time     time.Time
	Position journal.Position
	Rule     string
}

// Decision is a ban, or one that was not made because the address is protected.
type Decision struct {
	Jail      string
	Prefix    netip.Prefix
	At        time.Time // of the deciding entry
	Until     time.Time // zero: permanent
	Failures  int
	Offence   int // the how-manieth; 0: not the detector's to say, and Until is that of a first one
	Reason    Reason
	Evidence  []Trace
	Protected string          // why nothing is banned: "ignoreip 192.0.2.0/24", `live session of "alice"`; empty: it is
	Account   string          // that was tried last, of those that the host has; empty: none of those
	Ladder    []time.Duration // see Verdict
	// Unstoppable is, of what is protected, that somebody guesses for others' names whom no ban can reach: a local user, or
	// somebody beside a session that a ban would cut.
	Unstoppable bool
}
