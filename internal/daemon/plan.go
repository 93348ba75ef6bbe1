package daemon

import (
	"context"
	"net/netip"
	"slices"
	"time"

	"exile/firewall"
	"exile/internal/banning"
	"exile/internal/control"
	"exile/internal/state"
	"exile/jail"
	"exile/jail/adaptive"
	"exile/journal"
)

// Plan is what a configuration asks for. The daemon runs one at a time; Reload replaces it.
type Plan struct {
	Jails   []*Jail
	Sources []Source
	Backend firewall.Backend
	File    string // the main file of the configuration
	Name    string // of the backend
	Why     string // it was chosen
	// Sweep removes what other backends left in the kernel, once this one holds every ban. It is called again after an error. nil: there is
	// nothing to remove.
	Sweep func(ctx context.Context) error
	// Recidive is the jail, one of Jails, for addresses that Recidivists finds; both are nil if there is no such rule.
	Recidive    *Jail
	Recidivists *jail.Recidivists
	// Shelter says that the plan is the fallback for bad files: at the start it gets a jail for each name that has bans and no jail, whose bans
	// would be lifted otherwise.
	Shelter bool
	// MaxBans is the maximum number of bans; 0: no limit.
	MaxBans int
	// PurgeAge is how long the past of an offender is kept; 0: forever.
	PurgeAge time.Duration
	// Kill cuts the established connections that the keys ban, except those that are spared; nil: none is cut.
	Kill func(ctx context.Context, keys []firewall.Key, spared []firewall.Spared) error
	// Connections returns the connections from the addresses; nil: they cannot be listed, and no session is spared.
	Connections func(ctx context.Context, from []netip.Addr) ([]firewall.Spared, error)
	// Sessions lists remote sessions, for those that began before the log; nil: they cannot be listed.
	Sessions func(ctx context.Context) ([]control.Session, error)
	// Service says what units do, by their names and patterns; nil: nothing is known, and no jail is found to be blind.
	Service func(ctx context.Context, units []string) (control.Service, error)
	// Better returns a better plan for the same configuration as soon as there is one, and nil before. It is called often. nil: there will
	// never be one.
	Better func(ctx context.Context) (*Plan, error)
	// Services lists the services of the kind that jails watch, watched or not; nil: they cannot be listed.
	Services func(ctx context.Context) ([]control.Program, error)
	// Places says what does not work of the databases of countries and networks, one line each; nil: everything works. The function may be nil.
	Places func() error
	// Blocklists are the lists of the configuration; nil: there are none.
	Blocklists Blocklists
	// Serve does the background work of the plan (resolve names, follow accounts) until ctx ends; nil: there is none. Changes of a jail
	// go through do, which runs them in the loop and returns an error when the loop is ending.
	Serve func(ctx context.Context, do func(change func()) error) error
}

// Jail is the arithmetic of one jail and its bans, and what the daemon must know around it.
type Jail struct {
	banning.Jail
	Info    control.JailStatus          // the part that does not change
	Accepts func(e *journal.Entry) bool // whether an entry belongs to this jail and can be trusted
	// Unwatched returns the unit of a line that would count if the jail watched that unit, or nothing. It may be nil.
	Unwatched func(e *journal.Entry) string
	// Ignored asks the ignorecommand whether the address is to be spared. It may take seconds. nil: there is no such command.
	Ignored     func(ctx context.Context, a netip.Addr) (bool, error)
	Connections time.Duration                                    // how far back connections and sessions reach that may still be open
	LookBack    time.Duration                                    // how far back the counters reach
	Ports       []firewall.Port                                  // none: all traffic
	GroupPorts  []firewall.Port                                  // what a ban of a group closes, where Ports has none; none: all traffic
	Whole       bool                                             // the backend cannot close ports: a ban of a group closes everything
	Simulate    bool                                             // everything but the kernel
	Origin      control.Origin                                   // of the bans that its lines cause; those of text logs: always OriginFile
	Explain     func(a netip.Addr, at time.Time) []string        // lines for people on what is known of an address; nil: nothing
	Next        NextBan                                          // nil: by the bans that are kept of the past
	Names       Names                                            // nil: it learns none
	Memory      Memory                                           // nil: the counters are rebuilt by reading the log again
	Watched     []string                                         // units that are looked after; none: nobody looks
	Allowlist   Allowlist                                        // nil: the jail names nobody who is never banned
	Talks       bool                                             // the units log a line at least for each connection
	Startups    func(context.Context) (*control.Startups, error) // who is connected to the service; nil: nobody looks
	Namespaces  []string                                         // journal namespaces that it reads besides the host's journal
	Proxied     bool                                             // its clients come through proxies that the configuration names
	Contained   bool                                             // its service is in a container
	visibility  visibility
	startups    startups
	leaks       leaks
	remembers   time.Time // up to when the memory is on disk; zero: nothing of it
	counters    counters
	passed      uint64         // attempts that were counted by day
	rereads     bool           // what it is shown was counted before
	heard       uint64         // the last report that is in the memory
	again       []state.Report // that are still to be counted again, in order
}

// Memory is a detector that remembers more than can be read again: its memory is stored from time to time, together with the position.
type Memory interface {
	Snapshot() (version uint32, data []byte, err error)
	// Restore takes a snapshot. After an error the memory is empty.
	Restore(version uint32, data []byte) error
}

// Allowlist knows the addresses that a jail never bans, and is kept up to date outside the loop.
type Allowlist interface {
	// Protected returns what the configuration names, and the current addresses of each host name.
	Protected() []string
	// Trouble says what of that does not work now, one line each; nil: everything works.
	Trouble() error
}

// Blocklists are kept in the kernel outside the loop, beside the bans.
type Blocklists interface {
	// Lists returns the lists in the order of the configuration.
	Lists() []control.Blocklist
	// Naming returns the names of the lists that stop the address.
	Naming(a netip.Addr) []string
	// Suspend takes them out of the kernel, or puts them back.
	Suspend(suspend bool)
}

// Names is a detector that learns which names only attackers try.
type Names interface {
	Names(at time.Time) []adaptive.AttackName
	ForgetName(name string) bool
}

// counters count what a jail has done since the statistics were reset.
type counters struct {
	bans    uint64
	origins map[control.Origin]uint64 // of those bans
	before  uint64                    // attempts up to then
	lastBan time.Time
	denied  uint64 // bans behind which somebody logged in later
	leaked  uint64 // entries of banned addresses
}

// ban counts a ban.
func (c *counters) ban(from control.Origin) {
	if c.origins == nil {
		c.origins = make(map[control.Origin]uint64)
	}
	c.bans++
	c.origins[from]++
}

// attempts returns how many were counted since the statistics were reset.
func (j *Jail) attempts() uint64 { return j.Counters().Attempts - j.counters.before }

// failures returns how many attempts of the address count now.
func (j *Jail) failures(a netip.Addr) int {
	h, _ := j.host(a)
	return h.Failures
}

// within returns the addresses in p that have attempts now, up to a thousand.
func (j *Jail) within(p netip.Prefix) []jail.Host {
	unit := j.Unit(p.Addr())
	before := netip.PrefixFrom(p.Addr().Prev(), unit.Bits()).Masked()
	hosts := j.Hosts(before, control.MostCounted)
	end := slices.IndexFunc(hosts, func(h jail.Host) bool { return !p.Contains(h.Prefix.Addr()) })
	if end < 0 {
		return hosts
	}
	return hosts[:end]
}

// Source is a source of entries and the jails that read it.
type Source struct {
	Name string // its key in the state
	journal.Source
	// Former is the source that had the jail before, if this one has no position yet; empty: none. From turns that source's position into one of
	// this source, so that nothing is acted upon twice.
	Former string
	From   func(journal.Position) journal.Position
	Jails  []*Jail
	// Instead returns why the source has to be read in a slower way; nil, or returning nil: it does not. It is called from another goroutine
	// than Follow.
	Instead func() error
}

// low returns the time of the oldest entry that the jails of the source need again, when it is at that time.
func (s *Source) low(at time.Time) time.Time {
	low := at
	for _, j := range s.Jails {
		need := at.Add(-j.LookBack)
		if !j.remembers.IsZero() {
			need = j.remembers.Add(-j.Connections) // what was open then
		}
		if need.Before(low) {
			low = need
		}
	}
	return low
}

// jail returns the jail of that name, or nil.
func (p *Plan) jail(name string) *Jail {
	for _, j := range p.Jails {
		if j.Info.Name == name {
			return j
		}
	}
	return nil
}

// guarding returns the jail that closes a TCP port, or the first one.
func (p *Plan) guarding(port uint16) *Jail {
	of := firewall.Port{Proto: 6, Number: port}
	for _, j := range p.Jails {
		if slices.Contains(j.Ports, of) || slices.Contains(j.GroupPorts, of) {
			return j
		}
	}
	return p.Jails[0]
}

// closes returns the ports that a ban of that origin closes; none: everything.
func (j *Jail) closes(o control.Origin) []firewall.Port {
	if len(j.Ports) == 0 && o == control.OriginGroup && !j.Whole {
		return j.GroupPorts // strangers beside offenders lose no more than what they might attack
	}
	return j.Ports
}

// has reports whether a ban of that origin closes the port.
func (j *Jail) has(o control.Origin, port firewall.Port) bool {
	ports := j.closes(o)
	if len(ports) == 0 {
		return port == firewall.Port{}
	}
	return slices.Contains(ports, port)
}

// keys returns the kernel keys of a ban.
func (j *Jail) keys(b *control.Ban) []firewall.Key {
	if j.Simulate {
		return nil
	}
	ports := j.closes(b.Origin)
	if len(ports) == 0 {
		return []firewall.Key{{Prefix: b.Prefix}}
	}
	keys := make([]firewall.Key, len(ports))
	for i, port := range ports {
		keys[i] = firewall.Key{Prefix: b.Prefix, Port: port}
	}
	return keys
}

// originOf returns the origin of the bans that an entry causes.
func (j *Jail) originOf(e *journal.Entry) control.Origin {
	if e.Transport == "text" {
		return control.OriginFile
	}
	return j.Origin
}

// groupPorts returns the ports that bans of groups close, by jail.
func (p *Plan) groupPorts() [][]firewall.Port {
	all := make([][]firewall.Port, len(p.Jails))
	for i, j := range p.Jails {
		all[i] = j.closes(control.OriginGroup)
	}
	return all
}

// want returns until when the kernel has to hold the key, by all bans that need it.
func (p *Plan) want(t *table, k firewall.Key) (until time.Time, ok bool) {
	for _, j := range p.Jails {
		if j.Simulate {
			continue
		}
		end, origin, found := t.until(j.Info.Name, k.Prefix)
		switch {
		case !found || !j.has(origin, k.Port):
		case end.IsZero():
			return time.Time{}, true
		case !ok || end.After(until):
			until, ok = end, true
		}
	}
	return until, ok
}

// wanted returns everything that the kernel has to hold, each key once, until the last ban that needs it ends.
func (p *Plan) wanted(t *table) []firewall.Ban {
	bans := make([]firewall.Ban, 0, t.len())
	at := make(map[firewall.Key]int) // not filled by the last jail: 100,000 keys in a map take 20 ms
	for n, j := range p.Jails {
		last := n == len(p.Jails)-1
		t.every(j.Info.Name, func(b control.Ban) {
			for _, k := range j.keys(&b) {
				if i, dup := at[k]; dup {
					bans[i].Until = banning.Longer(bans[i].Until, b.Until)
					continue
				}
				if !last {
					at[k] = len(bans)
				}
				bans = append(bans, firewall.Ban{Key: k, Until: b.Until})
			}
		})
	}
	return bans
}
