// Package control has the questions and commands that the bus, the Varlink socket and the metrics send to the daemon, as
// plain types. The daemon implements Reader and Writer; each protocol package translates.
package control

import (
	"context"
	"errors"
	"io"
	"net/netip"
	"slices"
	"time"

	"exile/internal/tally"
)

// Errors that callers tell apart with errors.Is.
var (
	ErrNoSuchJail = errors.New("no such jail")
	ErrProtected  = errors.New("address is protected")
	ErrInvalid    = errors.New("invalid argument")
	ErrConfig     = errors.New("configuration is invalid")
	ErrBackend    = errors.New("the kernel refused")
	ErrStopping   = errors.New("exiled is stopping")
)

// Unanswered reports whether the daemon could not answer because it ends. A face then says nothing: its caller sees the end of
// the connection as after a kill, and asks the next daemon or says that a command may have been carried out.
func Unanswered(err error) bool {
	return errors.Is(err, ErrStopping) || errors.Is(err, context.Canceled)
}

// Origin says where a ban came from.
type Origin string

// The origins of bans.
const (
	OriginJournal Origin = "journal"
	OriginFile    Origin = "file" // a text log
	OriginManual  Origin = "manual"
	OriginReport  Origin = "report" // another daemon, over the bus
	OriginGroup   Origin = "group"  // a jail: a network wider than what it counts as one address, for what several addresses in it did
)

// Origins returns all origins.
func Origins() []Origin {
	return []Origin{OriginJournal, OriginFile, OriginManual, OriginReport, OriginGroup}
}

// Ban is one ban as people and programs see it.
type Ban struct {
	Jail      string       `json:"jail"`
	Prefix    netip.Prefix `json:"address"`
	Since     time.Time    `json:"since_usec"`
	Until     time.Time    `json:"until_usec"` // zero: permanent
	Failures  int          `json:"failures"`
	Offence   int          `json:"offence"` // ordinal of this ban among those of its address; 1 is the first
	Origin    Origin       `json:"origin"`
	Reason    string       `json:"reason"`    // quoted where it holds text from outside
	Simulated bool         `json:"simulated"` // its jail only simulates: nobody is or was stopped
	Evidence  string       `json:"-"`         // only in an Event about a new ban: the entries behind it, one per line: time, rule, cursor
}

// TestAddresses are those that exilectl doctor has banned for as long as it looks at what becomes of their packets. They are in ranges for
// documentation (RFC 5737, RFC 3849), so that nobody has them.
func TestAddresses() [2]netip.Addr {
	return [...]netip.Addr{netip.AddrFrom4([4]byte{203, 0, 113, 242}), netip.MustParseAddr("2001:db8:e11e::2")}
}

// IsTest reports whether that is a ban of exilectl doctor, of which nobody but the kernel needs to hear.
func (b *Ban) IsTest() bool {
	all := TestAddresses()
	return b.Prefix.IsSingleIP() && slices.Contains(all[:], b.Prefix.Addr())
}

// Simulating is the state of a jail that decides on bans and announces them, but bans nobody.
const Simulating = "simulating"

// JailStatus is a jail and its counters.
type JailStatus struct {
	Name      string            `json:"jail"`
	State     string            `json:"state"` // "running", or Simulating
	Units     []string          `json:"units"`
	Logs      []string          `json:"logs"`             // the text logs that it reads, as configured: paths, patterns; none: it reads the journal
	Detection string            `json:"detection"`        // "adaptive", "threshold"
	Why       string            `json:"detection_reason"` // why that detection: "built-in", or the place in a file, and the word there if it is another
	Rule      string            `json:"rule"`             // what causes a ban and how long it lasts, a phrase for people
	MaxRetry  int               `json:"maxretry"`
	FindTime  time.Duration     `json:"findtime_usec"`
	BanTime   time.Duration     `json:"bantime_usec"`
	Protected []string          `json:"protected"` // ignoreip as configured, host names with their current addresses
	Banned    int               `json:"banned"`    // now
	Failing   int               `json:"failing"`   // addresses with counted failures now
	Total     uint64            `json:"bans"`      // bans since the statistics were reset
	Failures  uint64            `json:"failures"`  // attempts counted, likewise
	LastBan   time.Time         `json:"last_ban_usec"`
	Origins   map[Origin]uint64 `json:"bans_by_origin"` // Total, by origin
	Lines     map[string]uint64 `json:"lines"`          // lines by kind: "failure", "success", ...; since the configuration was read
	Spared    uint64            `json:"protections"`    // bans not made because the address is protected, likewise
	Evicted   uint64            `json:"evicted"`        // addresses and connections forgotten early because there were too many, likewise
	Denied    uint64            `json:"logins_denied"`  // bans of addresses that logged in later: owners who were kept out; since the statistics were reset
	Leaked    uint64            `json:"leaked"`         // entries of addresses more than 2 s after the kernel had their ban, likewise
	Framable  string            `json:"framable"`       // how a client of the service can have others banned, which is accepted; empty: it cannot, as far as is known
	Forgeable bool              `json:"forgeable"`      // it reads a text log in which any local user can write as the service
}

// Overview is the daemon and its jails.
type Overview struct {
	Status
	All []JailStatus `json:"jails"`
}

// Values in a Status that programs check for.
const (
	Paused        = "paused"         // a state: no ban is in force, and nobody gets banned
	BackendFailed = "backend-failed" // a reason for being degraded: the kernel lacks something that it should have
)

// Status is the daemon and its counters.
type Status struct {
	Version  string    `json:"version"`
	State    string    `json:"state"`          // "starting", "catching-up", "running", "degraded", "paused"
	Degraded []string  `json:"degraded"`       // reasons, for machines: "journal-suppressed", "backend-failed", ...
	Notice   string    `json:"notice"`         // a temporary message for people; empty: none
	Remedies []string  `json:"remedies"`       // for each reason one sentence for people
	Backend  string    `json:"backend"`        // "ipset", "nftables", "route", "dry-run"
	Why      string    `json:"backend_reason"` // why that backend
	Started  time.Time `json:"started_usec"`
	PausedTo time.Time `json:"paused_until_usec"` // zero: not paused
	TrialTo  time.Time `json:"trial_until_usec"`  // when the configuration is taken back; zero: it is not on trial
	Jails    int       `json:"n_jails"`
	Banned   int       `json:"banned"`   // bans wanted: all except those of simulating jails
	Enforced int       `json:"enforced"` // of those, in the kernel
	Failing  int       `json:"failing"`  // addresses with counted failures now
	Entries  uint64    `json:"entries"`  // read from the sources
	Failures uint64    `json:"failures"` // attempts counted
	Bans     uint64    `json:"bans"`
	Unbans   uint64    `json:"unbans"`
	Evicted  uint64    `json:"evicted_bans"` // bans lifted early because there were too many; also counted in Unbans
	Repairs  uint64    `json:"repairs"`      // entries in the kernel that somebody else had changed
	Gaps     uint64    `json:"gaps"`         // stretches of the log that were never read
	// Suppressed is how many entries journald dropped because of its rate limit; each time it did not say how many counts as
	// one.
	Suppressed     uint64        `json:"suppressed"`
	Skipped        uint64        `json:"skipped_files"`    // files that could not be read, in whole or in part
	Undated        uint64        `json:"undated_lines"`    // lines of text logs without a readable time: they get the time of the line before
	KernelErrors   uint64        `json:"kernel_errors"`    // changes that the kernel refused
	DiskErrors     uint64        `json:"disk_errors"`      // transactions that the disk refused
	ReloadFailures uint64        `json:"reload_failures"`  // rejected configurations
	LastRepair     time.Time     `json:"last_repair_usec"` // zero: never
	LastEntry      time.Time     `json:"last_entry_usec"`
	Lag            time.Duration `json:"journal_lag_usec"` // time between logging and handling of the last entry
	Position       string        `json:"journal_cursor"`   // journal cursor
	// Dropped is how many packets the kernel dropped, by the set whose rule matched; one attempt to connect is 1 to 7
	// packets. nil: the backend does not count.
	Dropped map[string]uint64 `json:"dropped"`
	Days    []Day             `json:"days"` // the last days on which something happened, oldest first, at most 31
	// Blocklists are those of the configuration, in its order.
	Blocklists []Blocklist `json:"blocklists"`
	// Instead is what everybody may see in place of reasons that name addresses or accounts, by these reasons. See Public.
	Instead map[string]Reason `json:"-"`
}

// Day is what happened on a day: how much got through, how much was prevented, and whom it hit by mistake.
type Day struct {
	Date      time.Time `json:"date_usec"` // start of the day, UTC
	Passed    uint64    `json:"passed"`    // guesses that reached a service
	Dropped   uint64    `json:"dropped"`   // packets that the kernel dropped
	Bans      uint64    `json:"bans"`
	Protected uint64    `json:"protections"`   // bans not made because the address is protected
	Denied    uint64    `json:"logins_denied"` // bans of addresses that logged in later
}

// Blocklist is a list of addresses that somebody calls bad. It stops packets that open connections, and is counted apart from bans.
type Blocklist struct {
	Name     string    `json:"list"`
	File     string    `json:"file"`
	Updated  time.Time `json:"updated_usec"` // when the file was last written; zero: it was never read
	Entries  int       `json:"entries"`      // addresses, networks and ranges in the file
	Ranges   int       `json:"ranges"`       // what is left of them for the kernel: joined, and without what is protected
	Cut      int       `json:"cut"`          // entries of which a part, or all, is protected and left out
	Wide     int       `json:"too_wide"`     // entries that are left out because they are wider than /8 or, of IPv6, /16
	Unread   int       `json:"unread_lines"` // lines without an address
	Dropped  uint64    `json:"dropped"`      // packets that it stopped since exiled was started
	Enforced bool      `json:"enforced"`
	Trouble  string    `json:"trouble"` // why it cannot be read, or is not in force; empty: all is well
}

// Host is an address with counted failures and no ban.
type Host struct {
	Jail     string       `json:"jail"`
	Prefix   netip.Prefix `json:"address"`
	Failures int          `json:"failures"`
	First    time.Time    `json:"first_usec"`
	Last     time.Time    `json:"last_usec"`
}

// Page asks for a part of a long list, sorted by (jail, prefix).
type Page struct {
	Jail  string // empty: every jail
	After string // Next of the previous page; empty: from the start
	Max   int    // 0: 1000; at most 10,000
}

// Address is everything known about one address.
type Address struct {
	Prefix    netip.Prefix   `json:"address"`
	Banned    bool           `json:"banned"` // by one of Bans that is not simulated
	Bans      []Ban          `json:"bans"`   // those that cover it
	Protected string         `json:"protected"`
	Failures  map[string]int `json:"failures"` // by jail
	Offences  int            `json:"offences"`
	Detail    []string       `json:"detail"` // lines for people: the detector's evidence
	Jails     []Standing     `json:"jails"`
	Within    []Ban          `json:"bans_within"`   // of parts of a network, in order, at most MaxWithin
	NWithin   int            `json:"n_bans_within"` // MostCounted or more: there may be others
	Failing   []Host         `json:"failing_within"`
	NFailing  int            `json:"n_failing_within"` // the same
}

// MaxWithin is how many bans, and how many failing addresses, of parts of a network an Address lists at most.
const MaxWithin = 250

// MostCounted is how many bans, and how many failing addresses, in a network each jail counts at most.
const MostCounted = 1000

// Standing is how an address stands with one jail: what it has against it, and what it would do next.
type Standing struct {
	Jail      string        `json:"jail"`
	State     string        `json:"state"`     // of the jail: "running", or Simulating
	Protected string        `json:"protected"` // why this jail does not ban it; empty: it would
	Failures  int           `json:"failures"`  // that count now
	MaxRetry  int           `json:"maxretry"`  // how many of them make a ban; for an adaptive jail, how many points
	First     time.Time     `json:"first_usec"`
	Last      time.Time     `json:"last_usec"`
	Lapse     time.Time     `json:"lapse_usec"`   // when the first of these failures stops counting; zero: there is none
	Cleared   time.Time     `json:"cleared_usec"` // failures up to then do not count, because of a ban or somebody's command; zero: all do
	Offences  int           `json:"offences"`     // bans that make the next one longer
	Next      time.Duration `json:"next_ban_usec"`
}

// Held is what the kernel holds of a ban.
type Held struct {
	Prefix  netip.Prefix `json:"address"`
	Port    string       `json:"port"` // what it closes: "everything", "port 22/tcp"
	Until   time.Time    `json:"until_usec"`
	Counts  bool         `json:"counts"`  // whether the kernel counts what this element drops
	Packets uint64       `json:"packets"` // dropped since the kernel got this element, or its last new end
	Bytes   uint64       `json:"bytes"`
}

// Reader answers questions. It is safe for concurrent use, and no answer delays the ban path by more than one page.
type Reader interface {
	Status(ctx context.Context) (Status, error)
	Jails(ctx context.Context) ([]JailStatus, error)
	Bans(ctx context.Context, p Page) (bans []Ban, next string, err error)
	Hosts(ctx context.Context, p Page) (hosts []Host, next string, err error)
	Address(ctx context.Context, p netip.Prefix) (Address, error)
	// Held returns what the kernel really holds of the bans that stop all of p. Unlike the other questions it may take a tenth of a second
	// where there are very many bans; it delays none.
	Held(ctx context.Context, p netip.Prefix) ([]Held, error)
}

// BanRequest asks for a ban by hand.
type BanRequest struct {
	Jail      string // empty: the first jail
	Prefix    netip.Prefix
	Duration  time.Duration // 0: the jail's bantime
	Permanent bool
	Reason    string
	Force     bool // even if the address is protected
}

// Offender is how often an address was banned before, by another program.
type Offender struct {
	Jail     string // empty: the first jail
	Prefix   netip.Prefix
	Offences int
	Last     time.Time // when the last ban began
}

// Report is an attempt seen by another daemon.
type Report struct {
	Jail    string
	Port    uint16 // without Jail: TCP port of the service, whose jail it counts for; 0: the first jail's
	Addr    netip.Addr
	User    string
	Success bool
}

// Writer changes things. It is safe for concurrent use; a method returns when the change is in the kernel.
type Writer interface {
	// Ban bans, or extends a ban, and returns it; a longer ban stays as it is. ErrProtected unless r.Force.
	Ban(ctx context.Context, r BanRequest) (Ban, error)
	// BanMany does what Ban does, for all requests in one change, and returns for each why it failed, or nil.
	BanMany(ctx context.Context, requests []BanRequest) ([]error, error)
	// Remember takes over how often addresses were banned before, for the length of their next bans, and returns for each why it failed, or
	// nil. A greater number that is known stays.
	Remember(ctx context.Context, offenders []Offender) ([]error, error)
	// Unban lifts every ban that stops p or a part of it, in one jail or in all (""), and forgets the failures of p. An
	// invalid prefix means every ban. It returns how many bans it lifted.
	Unban(ctx context.Context, jail string, p netip.Prefix) (int, error)
	// Reload reads the configuration again; if it is invalid, it returns ErrConfig and changes nothing.
	Reload(ctx context.Context) error
	// Report counts an attempt as if it came from a log line.
	Report(ctx context.Context, r Report) error
	// Pause suspends every ban and bans nobody for d; 0 ends a pause.
	Pause(ctx context.Context, d time.Duration) error
	// ResetStatistics sets the counters to zero.
	ResetStatistics(ctx context.Context) error
	// ResetFirewall removes everything of ours from the kernel and restores it.
	ResetFirewall(ctx context.Context) error
}

// Name is a user name that only attackers try, as a jail has learned.
type Name struct {
	Jail  string    `json:"jail"`
	Name  AnyText   `json:"name"`     // as it was sent
	Hosts int       `json:"networks"` // networks (/16, /48) that failed on it; 8 means 8 or more
	Last  time.Time `json:"last_usec"`
}

// Learner is what detectors have learned. It is safe for concurrent use; a method returns when the change is on disk.
type Learner interface {
	// Names lists the names that currently count as evidence in a jail, or in all (""), most tried first. A jail that learns
	// no names has none.
	Names(ctx context.Context, jail string) ([]Name, error)
	// ForgetName forgets what a jail, or all (""), learned about a name, and reports whether there was anything.
	ForgetName(ctx context.Context, jail, name string) (bool, error)
	// ForgetAddress forgets the attempts and past offences of the addresses in p, in one jail or in all (""), and reports
	// whether there were any. Bans stay.
	ForgetAddress(ctx context.Context, jail string, p netip.Prefix) (bool, error)
}

// Trial is a configuration that is in force until it is confirmed or taken back.
type Trial struct {
	File  string    // the main file of the configuration, which it replaces
	Text  string    // empty: there is no trial
	Since time.Time // when it took force
	Until time.Time // when it is taken back
}

// Configurer tries configurations. It is safe for concurrent use.
type Configurer interface {
	// Try puts a text in force in place of the configuration's main file, or as the drop-in that config.OnTrial names. Unless Reload comes first, which ends every trial,
	// it is taken back after d together with the bans that it made. If it is invalid, Try returns ErrConfig and changes
	// nothing. It returns when the trial is on disk, so that a restart of the daemon neither ends nor extends it.
	Try(ctx context.Context, text string, d time.Duration) error
	// Trial returns what is on trial. If nothing is, it returns only the File.
	Trial(ctx context.Context) (Trial, error)
}

// History is what is known of several days; its members are those of DescribeHistory.
type History = tally.History

// Historian knows the past. It is safe for concurrent use.
type Historian interface {
	// History returns what happened in a jail, or in all (""), on the kept days that have a part from since on and before until. A zero time is
	// no limit. A jail of which nothing is kept has no history.
	History(ctx context.Context, jail string, since, until time.Time) (History, error)
}

// Archiver writes everything that the daemon would lose with its state file. It is safe for concurrent use.
type Archiver interface {
	// ExportState writes JSON, which exilectl import --state reads.
	ExportState(ctx context.Context, w io.Writer) error
}

// Session is a login from another host.
type Session struct {
	Leader int32 // process
	User   string
	From   netip.Addr
	Since  time.Time
}

// Service is what the units of a jail do.
type Service struct {
	Exists bool
	// Namespace is where they log, if not to the system's journal, see LogNamespace= in systemd.exec(5).
	Namespace string
	// LogLines is how many lines a minute the journal accepts from one of them; 0: no limit.
	LogLines uint64
	Worked   time.Duration // CPU time of the running ones
	Accepted uint64        // connections that sockets accepted for them
}

// Program is a running service and where it logs; empty means the system's journal.
type Program struct{ Unit, Namespace string }

// Startups are the connections to a service, and how many of them may wait for a login.
type Startups struct {
	From  []netip.AddrPort // of all connections, including sessions
	Begin int              // connections without a login above which it refuses some newcomers
	Full  int              // and above which it refuses all
	Grace time.Duration    // a connection that has not logged in by then is closed; 0: unknown
	Known bool             // the service stated these numbers; otherwise they are its defaults
}
