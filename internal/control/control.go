// Package control has the questions and commands that the bus, the Varlink socket and the metrics put to the daemon, as
// plain types. The daemon implements Reader and Writer; whoever speaks a protocol translates.
package control

import (
	"context"
	"errors"
	"io"
	"net/netip"
	"time"
)

// Errors that callers tell apart with errors.Is.
var (
	ErrNoSuchJail = errors.New("no such jail")
	ErrProtected  = errors.New("address is protected")
	ErrInvalid    = errors.New("invalid argument")
	ErrConfig     = errors.New("configuration is invalid")
	ErrBackend    = errors.New("the kernel refused")
)

// Origin says where a ban came from.
type Origin string

// The origins of bans.
const (
	OriginJournal Origin = "journal"
	OriginFile    Origin = "file" // a text log
	OriginManual  Origin = "manual"
	OriginReport  Origin = "report" // another daemon, over the bus
	OriginGroup   Origin = "group"  // a jail: a network wider than what it counts as one, for what several in it did
)

// Ban is one ban as people and programs see it.
type Ban struct {
	Jail     string
	Prefix   netip.Prefix
	Since    time.Time
	Until    time.Time // zero: permanent
	Failures int
	Offence  int // the how-manieth of this address
	Origin   Origin
	Reason   string // quoted where it holds text from outside
	Evidence string // only in an Event that tells of a new ban: the entries behind it, a line each: time, rule, cursor
}

// Simulating is the state of a jail that decides and tells of bans, and bans nobody.
const Simulating = "simulating"

// JailStatus is a jail and its counters.
type JailStatus struct {
	Name      string
	State     string // "running", or Simulating
	Units     []string
	Detection string // "adaptive", "threshold"
	Why       string // that detection was chosen: "built-in", or the place in a file, and the word there if it is another
	Rule      string // what makes a ban and how long it is, a phrase for people
	MaxRetry  int
	FindTime  time.Duration
	BanTime   time.Duration
	Protected []string // ignoreip as configured
	Banned    int      // now
	Failing   int      // addresses that are counted now
	Total     uint64   // bans since the statistics were reset
	Failures  uint64   // attempts counted, likewise
	LastBan   time.Time
	Origins   map[Origin]uint64 // Total by where the bans came from
	Lines     map[string]uint64 // lines by what they say: "failure", "success", ...; since the configuration was read
	Spared    uint64            // bans not made because the address is protected, likewise
	Evicted   uint64            // addresses and connections forgotten early because there were too many, likewise
	Denied    uint64            // bans behind which somebody logged in later: owners who were kept out; since the statistics were reset
	Forgeable bool              // it reads a text log in which any local user can write as the service
}

// What a Status says, of what programs ask for.
const (
	Paused        = "paused"         // a state: no ban is in force, and nobody is banned
	BackendFailed = "backend-failed" // a reason for being degraded: the kernel does not have what it should
)

// Status is the daemon and its counters.
type Status struct {
	Version  string
	State    string   // "starting", "catching-up", "running", "degraded", "paused"
	Degraded []string // reasons, for machines: "journal-suppressed", "backend-failed", ...
	Remedies []string // one sentence for people for each reason
	Backend  string   // "ipset", "nftables", "route", "dry-run"
	Why      string   // why that backend
	Started  time.Time
	PausedTo time.Time // zero: not paused
	TrialTo  time.Time // when the configuration is taken back; zero: it is not on trial
	Jails    int
	Banned   int    // bans wanted: all but those of jails that simulate
	Enforced int    // of those, the kernel has
	Failing  int    // addresses that are counted now
	Entries  uint64 // read from the sources
	Failures uint64 // attempts counted
	Bans     uint64
	Unbans   uint64
	Evicted  uint64 // bans lifted early because there were too many; among Unbans, too
	Repairs  uint64 // entries of the kernel that somebody else had changed
	Gaps     uint64 // stretches of the log that were never read
	// Suppressed is how many entries journald dropped by its rate limit; where it did not say how many, one each time.
	Suppressed     uint64
	Skipped        uint64    // files, or the rest of them, that could not be read
	Undated        uint64    // lines of text logs whose time could not be read: they count as of the line before
	KernelErrors   uint64    // changes that the kernel refused
	DiskErrors     uint64    // transactions that the disk refused
	ReloadFailures uint64    // configurations that were not taken
	LastRepair     time.Time // zero: never
	LastEntry      time.Time
	Lag            time.Duration // from the last entry's time to when it was handled
	Position       string        // journal cursor
	// Dropped is how many packets the kernel dropped, by the set whose rule did it: an attempt to connect that is dropped is
	// one to seven of them. nil: the backend does not count.
	Dropped map[string]uint64
	Days    []Day // the last days on which something happened, oldest first, at most 31
}

// Day is what happened on a day: how much got through, what was prevented, and whom it hit by mistake.
type Day struct {
	Date      time.Time // its begin, UTC
	Passed    uint64    // guesses that reached a service
	Dropped   uint64    // packets that the kernel dropped
	Bans      uint64
	Protected uint64 // bans not made because the address is protected
	Denied    uint64 // bans behind which somebody logged in later
}

// Host is an address that is counted and not banned.
type Host struct {
	Jail     string
	Prefix   netip.Prefix
	Failures int
	First    time.Time
	Last     time.Time
}

// Page asks for a part of a long list, in order of (jail, prefix).
type Page struct {
	Jail  string // empty: every jail
	After string // Next of the page before; empty: from the start
	Max   int    // 0: 1000; at most 10,000
}

// Address is all that is known of one address.
type Address struct {
	Prefix    netip.Prefix
	Bans      []Ban // that cover it
	Protected string
	Failures  map[string]int // by jail
	Offences  int
	Detail    []string // lines for people: the evidence of the detector
}

// Reader answers questions. It is safe for concurrent use, and no answer delays the ban path by more than a page.
type Reader interface {
	Status(ctx context.Context) (Status, error)
	Jails(ctx context.Context) ([]JailStatus, error)
	Bans(ctx context.Context, p Page) (bans []Ban, next string, err error)
	Hosts(ctx context.Context, p Page) (hosts []Host, next string, err error)
	Address(ctx context.Context, p netip.Prefix) (Address, error)
}

// BanRequest asks for a ban by hand.
type BanRequest struct {
	Jail      string // empty: the first jail
	Prefix    netip.Prefix
	Duration  time.Duration // 0: the jail's bantime
	Permanent bool
	Reason    string
	Force     bool // although the address is protected
}

// Report is an attempt that another daemon saw.
type Report struct {
	Jail    string
	Addr    netip.Addr
	User    string
	Success bool
}

// Writer changes things. It is safe for concurrent use; a method returns when the change is in the kernel.
type Writer interface {
	// Ban bans, or extends a ban, and returns it; one that stands for longer stays as it is. ErrProtected unless r.Force.
	Ban(ctx context.Context, r BanRequest) (Ban, error)
	// BanMany does what Ban does, for all in one change, and returns for each why it was not done, or nil.
	BanMany(ctx context.Context, requests []BanRequest) ([]error, error)
	// Unban lifts every ban that stops p or a part of it, in one jail or in all (""), and forgets the failures of p. An
	// invalid prefix means every ban. It returns how many bans it lifted.
	Unban(ctx context.Context, jail string, p netip.Prefix) (int, error)
	// Reload reads the configuration again; ErrConfig and nothing changed when it is bad.
	Reload(ctx context.Context) error
	// Report counts an attempt as if a log line had said it.
	Report(ctx context.Context, r Report) error
	// Pause lifts every ban and bans nobody for d; 0 ends a pause.
	Pause(ctx context.Context, d time.Duration) error
	// ResetStatistics sets the counters to zero.
	ResetStatistics(ctx context.Context) error
	// ResetFirewall removes all that is ours from the kernel and fills it anew.
	ResetFirewall(ctx context.Context) error
}

// Name is a user name that only attackers try, as far as a jail has learned.
type Name struct {
	Jail  string
	Name  string // as it was sent, of any bytes: QuoteName it
	Hosts int    // networks (/16, /48) that failed on it; 8 stands for more
	Last  time.Time
}

// Learner is what the detectors have learned. It is safe for concurrent use; a method returns when the change is on disk.
type Learner interface {
	// Names lists the names that are evidence now in a jail, or in all (""), the most tried first. A jail that learns no
	// names has none.
	Names(ctx context.Context, jail string) ([]Name, error)
	// ForgetName forgets what a jail, or all (""), learned of a name, and reports whether there was anything.
	ForgetName(ctx context.Context, jail, name string) (bool, error)
	// ForgetAddress forgets the attempts and the past offences of the addresses in p, in one jail or in all (""), and
	// reports whether there were any. Bans stay.
	ForgetAddress(ctx context.Context, jail string, p netip.Prefix) (bool, error)
}

// Trial is a configuration that is in force until it is confirmed, or taken back.
type Trial struct {
	File  string    // the main file of the configuration, in whose place it is
	Text  string    // empty: there is no trial
	Since time.Time // when it was put in force
	Until time.Time // when it is taken back
}

// Configurer puts configurations to the test. It is safe for concurrent use.
type Configurer interface {
	// Try puts a text in force in place of the main file of the configuration. Unless Reload comes first, which ends every
	// trial, it is taken back after d, and with it the bans that it made. ErrConfig and nothing changed when it is bad. It
	// returns when it is on disk, so that a restart of the daemon neither ends the trial nor makes it longer.
	Try(ctx context.Context, text string, d time.Duration) error
	// Trial returns what is on trial. Where nothing is it has the File.
	Trial(ctx context.Context) (Trial, error)
}

// Archiver writes down all that the daemon would lose with its state file. It is safe for concurrent use.
type Archiver interface {
	// ExportState writes JSON, which exilectl import --state reads.
	ExportState(ctx context.Context, w io.Writer) error
}

// Session is somebody who is logged in from another host.
type Session struct {
	Leader int32 // process
	User   string
	From   netip.Addr
	Since  time.Time
}

// Service is what the units of a jail do.
type Service struct {
	Exists   bool
	Worked   time.Duration // CPU time of those that run
	Accepted uint64        // connections that sockets accepted for them
}

// Startups are the connections to a service, and how many of them it lets wait for a login.
type Startups struct {
	From  []netip.AddrPort // of all connections, those of sessions too
	Begin int              // connections without a login from which on it refuses some newcomers
	Full  int              // and from which on it refuses all
	Grace time.Duration    // after that a connection has logged in, or is closed; 0: nobody knows
	Known bool             // the service said these numbers; otherwise they are those that it has if nobody changed them
}

// EventKind says what happened.
type EventKind string

// The kinds of events.
const (
	BanNew     EventKind = "ban"
	BanRemoved EventKind = "unban"
	Protected  EventKind = "protected" // would have been banned
	Degraded   EventKind = "degraded"
	Recovered  EventKind = "recovered"
	Repaired   EventKind = "repaired"
	Reloaded   EventKind = "reloaded"
	// BansRemoved: Count bans of a jail were lifted together, for a reason. It is for the journal, which hears of them in such
	// sums; all others hear of each.
	BansRemoved EventKind = "unbans"
	// StateChanged: Status.State, or until when a pause lasts, is another.
	StateChanged EventKind = "state"
)

// Event is an announcement to the world.
type Event struct {
	Kind   EventKind
	Time   time.Time
	Ban    Ban    // for BanNew, BanRemoved and Protected; its jail for BansRemoved
	Reason string // BanRemoved, BansRemoved: expired|unban|flush|pause|reload|protected|covered|full; Protected, Degraded: why; StateChanged: the state
	Count  int    // Repaired: how many entries; BansRemoved: how many bans
	Summed bool   // BanRemoved: the journal hears of it in a sum
	// Simulated is, of what is about a ban, that the jail simulates: nobody is or was stopped.
	Simulated bool
	// Latency is, for BanNew, the time from the deciding log entry to the ban in the kernel; 0 when nothing was to be
	// done there.
	Latency time.Duration
}
