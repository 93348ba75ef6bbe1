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
	None    Kind = iota // nothing that matters here
	Failure             // a guess that failed
	Probe               // a client that did not try to log in, or broke the protocol (mode ddos)
	NoMatch             // no common algorithm (mode extra)
	Success             // a login
	End                 // the end of a login's session
)

// String is the kind's name in statistics.
func (k Kind) String() string {
	return [...]string{"other", "failure", "probe", "no-match", "success", "end"}[k]
}

// Evidence is the kind of trace that a guess leaves. Each kind alone is a lower bound on the guesses of its connection.
type Evidence uint8

// The kinds of evidence.
const (
	Guess     Evidence = iota // each line is a guess of its own: "Failed password"
	Dialog                    // likewise, but logged twice: by the server, "Failed keyboard-interactive/pam" ...
	DialogPAM                 // ... and by its PAM: "error: PAM: Authentication failure"
	Once                      // all such lines of a connection together are one guess: "Invalid user", "Connection closed by invalid user"
	Limit                     // likewise, and only says that there were guesses, which have lines of their own: "Too many authentication failures"
)

// Event is what one line says. It is valid as long as the entry it was read from.
type Event struct {
	Kind     Kind
	Evidence Evidence
	Weak     bool       // counts only when nothing stronger follows (PAM lines)
	Counts   bool       // the filter's mode counts this kind
	Count    int        // guesses the line stands for: at least 1 ("PAM 4 more ...", "message repeated 3 times")
	Addr     netip.Addr // unmapped and without zone; the zero Addr: the line names none, its connection knows
	Port     uint16     // of the remote end; 0 when not named
	User     []byte     // as the remote sent it: for display only, and always quoted
	Unknown  bool       // the service says that the host has no such user
	Method   string     // password, publickey, ...; empty when not named
	Rule     string     // the rule of the filter, a constant; empty for a line that no rule matches
	PID      int32      // of the process that serves the connection, if the line names it; 0: the one that logged
	Alone    bool       // the process that logged serves many connections: the line belongs to no connection seen before
	Last     bool       // the connection is over
	Brief    bool       // a Success of which no End is logged: it is no session
	Ignored  bool       // the filter knows the line, and that it means nothing
	OrEnd    bool       // a Probe or, if the connection had logged in, the End of its session: see Connections.Resolve
}

// strong reports whether the event itself, and not PAM, tells how a connection's logins went.
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

// password reports whether the event says that a password was refused: clients offer keys and tickets on their own.
func (ev *Event) password() bool {
	return ev.Kind == Failure && ev.Evidence < Once && ev.Method != "publickey"
}

// Penalty is the Rule of lines that say that the service refuses a source on its own judgement, without asking for a
// password.
const Penalty = "penalty"

// ByHand is the name of the jail for manual bans where no other jail is enabled.
const ByHand = "manual"

// Refused is the Rule of lines that say that an attempt to log in was refused, and from where.
const Refused = "failed"

// Throttled is the Rule of lines that say that the service refuses connections because too many are not logged in yet.
const Throttled = "max-startups"

// Filter reads the lines of one service. It does not keep its argument and does not allocate.
type Filter interface {
	Parse(message []byte) Event
}

// EntryFilter is a Filter for which it matters who logged a line. Jail asks for it by assertion.
type EntryFilter interface {
	ParseEntry(e *journal.Entry) Event
}

// Attempt is new evidence of guessing, or a login. Each guess is in exactly one Attempt.
type Attempt struct {
	Time     time.Time // of the entry that showed it
	Addr     netip.Addr
	User     string // empty when the log names none
	Unknown  bool   // the host has no such user
	Method   string
	Guesses  int  // at least 1; 0 for a login, and for a refused password whose guess an earlier attempt reported
	Success  bool // a login
	Forgiven int  // for a login: the earlier guesses of its connection, which it takes back: the user mistyped
	Rule     string
	Position journal.Position // of the entry

	// Passwordless says that no password is known to be refused: a key was, or the connection ended before.
	Passwordless bool
}

// Allow says who is never banned.
type Allow interface {
	// Allowed reports whether addr is protected at that time, and why: "ignoreip 192.0.2.0/24".
	Allowed(addr netip.Addr, at time.Time) (why string, ok bool)
}

// Toucher is an Allow that also knows whom a ban of a whole prefix would hit. Jail asks for it by assertion, and bans only
// the address if somebody around it is protected.
type Toucher interface {
	// Touches reports whether p holds, or lies in, something protected, and what.
	Touches(p netip.Prefix) (why string, ok bool)
}

// Host is a prefix that has failures and is not banned.
type Host struct {
	Prefix   netip.Prefix
	Failures int
	First    time.Time // of these failures
	Last     time.Time
}

// Window is how many attempts within what time make a ban.
type Window struct {
	MaxRetry int
	FindTime time.Duration
}

// Windowed is a Detector with windows of its own. Jail asks for it by assertion, and counts in them those whom it does not
// show to the detector: the protected, and guests. Otherwise it counts in that of the configuration.
type Windowed interface {
	// Windows returns the window that fills first as a rule, and a longer one; MaxRetry 0: there is none.
	Windows() (fast, slow Window)
}

// Lister is a Detector that can show whom it counts. Jail asks for it by assertion.
type Lister interface {
	// Expire forgets what no longer counts at that time.
	Expire(now time.Time)
	// Failing is the number of prefixes with failures.
	Failing() int
	// Evicted is the number of prefixes forgotten early, oldest first, because there were too many.
	Evicted() uint64
	// Hosts yields all of them, in no order.
	Hosts(yield func(Host) bool)
}

// Detector decides when an address has guessed enough. It does not see the attempts of protected addresses.
type Detector interface {
	// Observe takes the next attempt and appends to out what follows from it: nothing, a ban, or the ban of an address and of
	// a prefix around it. Attempts come in order of time, but for small steps back.
	Observe(a Attempt, out []Verdict) []Verdict
	// Forget drops what it knows of the addresses in p: somebody lifted their ban.
	Forget(p netip.Prefix)
	// ForgetAll drops what it knows of all addresses.
	ForgetAll()
}

// Releaser is a Detector that does not count what an address does while it is banned. Jail asks for it by assertion.
type Releaser interface {
	// Release says that the ban of exactly that prefix ended early, or was not made: its attempts count from now on. Its
	// offences remain.
	Release(p netip.Prefix)
}

// Verdict is what a detector decided.
type Verdict struct {
	Prefix   netip.Prefix
	Duration time.Duration // 0: the jail's bantime and escalation decide
	Failures int           // attempts that led to it
	Offence  int           // 1 for the first time; 0: the jail's history decides
	Reason   Reason

	// OfNetwork says that the offence is that of the whole prefix: a single address in it may have done little.
	OfNetwork bool
	Evidence  []Trace         // the entries that led to it, if the detector knows them, oldest first, at most 16; valid until its next
	Ladder    []time.Duration // the longest ban times by offence, where the jail's history decides; nil: no limit. Not to be changed
}

// Trace names an entry that led to a decision.
type Trace struct {
	Time     time.Time
	Position journal.Position
	Rule     string
}

// Decision is a ban, or one that is not made because the address is protected.
type Decision struct {
	Jail      string
	Prefix    netip.Prefix
	At        time.Time // of the deciding entry
	Until     time.Time // zero: permanent
	Failures  int
	Offence   int // 1 is the first; 0: the detector does not say, and Until is that of a first one
	Reason    Reason
	Evidence  []Trace
	Protected string          // why nothing is banned: "ignoreip 192.0.2.0/24", `live session of "alice"`; empty: it is
	Account   string          // the last account tried that the host has; empty: none
	Ladder    []time.Duration // see Verdict
	// Unstoppable says that the protected address guesses for other people's names and no ban can reach it: it is local, or
	// a ban would cut a session.
	Unstoppable bool
}
