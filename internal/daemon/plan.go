package daemon

import (
	"context"
	"net/netip"
	"slices"
	"time"

	"exile/firewall"
	"exile/internal/control"
	"exile/internal/state"
	"exile/jail"
	"exile/journal"
)

// Plan is what a configuration asks for. The daemon runs one at a time; Reload exchanges it.
type Plan struct {
	Jails   []*Jail
	Sources []Source
	Backend firewall.Backend
	File    string // the main file of the configuration
	Name    string // of the backend
	Why     string // it was chosen
	// Sweep removes what other backends left in the kernel, once this one holds every ban; nil: there is nothing to remove.
	// It is called again after an error.
	Sweep func(ctx context.Context) error
	// Recidive is the jail, one of Jails, of those whom Recidivists find; both nil: there is none.
	Recidive    *Jail
	Recidivists *jail.Recidivists
	// MaxBans is how many bans there are at most; 0: any number.
	MaxBans int
	// PurgeAge is how long the past of an offender is kept; 0: for ever.
	PurgeAge time.Duration
	// Kill cuts the established connections that the keys ban, but not those that are spared; nil: they are left alone.
	Kill func(ctx context.Context, keys []firewall.Key, spared []firewall.Spared) error
	// Connections returns the connections that come from the addresses; nil: nobody can be asked, and no session is spared.
	Connections func(ctx context.Context, from []netip.Addr) ([]firewall.Spared, error)
	// Sessions asks who is logged in from elsewhere, for sessions that began before the log; nil: nobody is asked.
	Sessions func(ctx context.Context) ([]control.Session, error)
	// Service asks what units do, by their names and patterns; nil: nobody can be asked, and no jail is known to be blind.
	Service func(ctx context.Context, units []string) (control.Service, error)
	// Serve does the plan's background work (names to resolve, accounts to follow) until ctx ends; nil: there is none. What
	// changes a jail goes through do, which runs it in the loop and returns an error when that is ending.
	Serve func(ctx context.Context, do func(change func()) error) error
}

// Jail is the arithmetic of one jail and what the daemon must know around it.
type Jail struct {
	*jail.Jail
	Info     control.JailStatus                              // the part that does not change
	Accepts  func(e *journal.Entry) bool                     // whether an entry is this jail's and to be believed
	Sentence func(offence int, p netip.Prefix) time.Duration // ban time of the how-manieth offence; jail.Permanent is for ever
	// Ignored asks a command of the admin whether the address is not to be banned; nil: there is none. It may take seconds.
	Ignored     func(ctx context.Context, a netip.Addr) (bool, error)
	Overall     bool                                             // offences in all jails count
	Remember    time.Duration                                    // how long an offence counts
	Connections time.Duration                                    // how far back connections and sessions reach that may still be open
	LookBack    time.Duration                                    // how far back the counters reach
	Ports       []firewall.Port                                  // none: all traffic
	GroupPorts  []firewall.Port                                  // what a ban of a group closes, where Ports has none; none: all traffic
	Whole       bool                                             // the backend cannot close ports: a ban of a group closes everything
	Simulate    bool                                             // everything but the kernel
	Origin      control.Origin                                   // of the bans that its lines cause
	Aggregator  *jail.Aggregator                                 // nil: bans are not grouped
	Explain     func(a netip.Addr, at time.Time) []string        // lines for people on what is known of an address; nil: nothing
	Names       Names                                            // nil: it learns none
	Memory      Memory                                           // nil: the counters are rebuilt by reading the log again
	Watched     []string                                         // units that are looked after; none: nobody looks
	Talks       bool                                             // the units log a line at least for each connection
	Startups    func(context.Context) (*control.Startups, error) // who is connected to the service; nil: nobody looks
	sight       sight
	startups    startups
	remembers   time.Time // up to when the memory is on disk; zero: nothing of it
	counters    counters
	passed      uint64         // attempts that were counted by day
	heard       uint64         // the last report that is in the memory
	again       []state.Report // that are still to be counted again, in order
}

// Memory is a detector that remembers more than can be read again: its memory is stored from time to time, with the
// position.
type Memory interface {
	Snapshot() (version uint32, data []byte, err error)
	// Restore takes a snapshot. After an error the memory is empty.
	Restore(version uint32, data []byte) error
}

// Names is a detector that learns which names only attackers try.
type Names interface {
	Names(at time.Time) []jail.AttackName
	ForgetName(name string) bool
}

// counters are what a jail has done since the statistics were reset.
type counters struct {
	bans    uint64
	origins map[control.Origin]uint64 // of those bans
	before  uint64                    // attempts up to then
	lastBan time.Time
	denied  uint64 // bans behind which somebody logged in later
}

// ban counts a ban.
func (c *counters) ban(from control.Origin) {
	if c.origins == nil {
		c.origins = make(map[control.Origin]uint64)
	}
	c.bans++
	c.origins[from]++
}

// attempts is how many were counted since the statistics were reset.
func (j *Jail) attempts() uint64 { return j.Counters().Attempts - j.counters.before }

// failures is how many attempts of the address count now.
func (j *Jail) failures(a netip.Addr) int {
	p := j.Unit(a)
	if !p.IsValid() {
		return 0
	}
	before := netip.PrefixFrom(p.Addr().Prev(), p.Bits()).Masked()
	for _, h := range j.Hosts(before, 1) {
		if h.Prefix == p {
			return h.Failures
		}
	}
	return 0
}

// within is who is counted now in p, up to a thousand.
func (j *Jail) within(p netip.Prefix) []jail.Host {
	unit := j.Unit(p.Addr())
	before := netip.PrefixFrom(p.Addr().Prev(), unit.Bits()).Masked()
	hosts := j.Hosts(before, 1000)
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
	Jails []*Jail
	// Instead says why the source reads in another way than it should, and more slowly; nil, or returning nil: it does not.
	// It is called from another goroutine than Follow.
	Instead func() error
}

// low is the oldest entry that the jails of the source need again, when it stands at that time.
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

// closes is what a ban of that origin closes; none: everything.
func (j *Jail) closes(o control.Origin) []firewall.Port {
	if len(j.Ports) == 0 && o == control.OriginGroup && !j.Whole {
		return j.GroupPorts // what strangers beside the guilty lose is no more than what they might attack
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

// keys returns what a ban is in the kernel.
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

// origin is where a ban comes from that a jail has decided upon because of what it was told by that source.
func (j *Jail) origin(p netip.Prefix, source control.Origin) control.Origin {
	if unit := j.Unit(p.Addr()); unit.IsValid() && p.Bits() < unit.Bits() {
		return control.OriginGroup
	}
	return source
}

// groupPorts is what bans of groups close, by jail.
func (p *Plan) groupPorts() [][]firewall.Port {
	all := make([][]firewall.Port, len(p.Jails))
	for i, j := range p.Jails {
		all[i] = j.closes(control.OriginGroup)
	}
	return all
}

// want returns until when the kernel has to hold the key, by all bans that ask for it.
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

// wanted returns everything that the kernel has to hold, each key once, until the last ban that asks for it ends.
func (p *Plan) wanted(t *table) []firewall.Ban {
	bans := make([]firewall.Ban, 0, t.len())
	at := make(map[firewall.Key]int) // not filled by the last jail: 100,000 keys in a map take 20 ms
	for n, j := range p.Jails {
		last := n == len(p.Jails)-1
		t.every(j.Info.Name, func(b control.Ban) {
			for _, k := range j.keys(&b) {
				if i, dup := at[k]; dup {
					bans[i].Until = longer(bans[i].Until, b.Until)
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

// longer returns the later of two ends, of which zero is never.
func longer(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && a.After(b) {
		return a
	}
	return b
}
