// Package config reads /etc/exile/exile.yaml and the other configuration files into one checked Config. It knows files, lines and keys, and
// not what is done with the values.
package config

import (
	"cmp"
	_ "embed"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"exile/firewall"
	"exile/jail"
	"exile/jail/adaptive"
	"exile/jail/filter/services"
	"exile/journal"
)

// Config is the complete configuration: keys that the files leave out have their defaults.
type Config struct {
	Backend         string        // "auto", "ipset", "nftables", "route", "dry-run"
	KillConnections bool          // cut the connections that a banned address has open
	JournalDirs     []string      // of the journal files; all that exist are read
	StateDir        string        // of the state file
	LookBack        time.Duration // how far the journal is read again when there is no state
	PurgeAge        time.Duration // after this long an offence is forgotten
	MaxBans         int           // the maximum number of bans
	GeoIP           []string      // databases of countries and networks; empty: it is unknown where addresses are
	NAT64           NAT64
	Blocklists      []Blocklist
	Recidive        jail.Recidive
	Jails           []Jail // by name, including disabled ones

	tree  *tree
	files []file // as they were read
}

// NAT64 names the prefixes behind which IPv4 reaches this host over IPv6, besides the standard ones.
type NAT64 struct {
	Auto     bool // ask the resolver
	Prefixes []netip.Prefix
}

// Blocklist is a file of addresses that are kept away from the whole host.
type Blocklist struct {
	Name string // see firewall.ValidBlocklistName
	Path string // absolute
}

// Jail is one jail, complete.
type Jail struct {
	jail.Config
	Adaptive      adaptive.Config // of the detector that Detection may name
	Enabled       bool
	Auto          bool             // Enabled is whether one of its units or logs exists
	ByHand        bool             // it reads nothing: for bans by hand, if no jail is enabled
	Simulate      bool             // decide and announce, but do not ban
	Filters       []string         // names of the filters; the jail's own name if none is given
	Parts         []Part           // the filters, and whose lines each reads
	Mode          string           // "normal", "ddos", "extra", "aggressive": what the filter counts
	Publickey     string           // "invalid", "any", "ignore": which failed public keys count
	Units         []string         // names and patterns of units, of all filters
	Identifiers   []string         // syslog identifiers, likewise
	TrustStdout   bool             // lines that a unit printed count, too
	LogPath       []string         // absolute paths and patterns of text logs, likewise; read where there is no journal; empty: the journal
	LogFormat     string           // what LogPath looks like: FormatDocker, or empty: as the filters have it
	Match         journal.Selector // which entries of the journal it reads, in place of Units and Identifiers
	Containers    jail.Containers  // whose output it reads, likewise
	LogTimeZone   string           // of their times that name no zone, for time.LoadLocation
	Framable      bool             // that clients can have others banned with a filter is accepted
	TrustLogPath  bool             // they are read even if there is a journal
	Ports         []firewall.Port  // what a ban closes; empty: everything
	IgnoreIP      []jail.Ignore    // with Proxies
	Proxies       []jail.Ignore    // through which clients come
	IgnoreSelf    bool
	IgnoreCommand []string      // argument vector in which <ip> is the address; empty: none
	IgnoreCache   time.Duration // how long its answer is kept; 0: it is run each time
	Places        Places        // what countries and networks mean
	Admins        []string      // accounts and, after an @, groups, beside whose open sessions nobody is banned

	aggregate string // which fields of Aggregate count
}

//go:embed builtin.yaml
var builtin []byte

// builtinName is the origin of values that no file sets.
const builtinName = "built-in"

// Recidive is the section that is a rule and not a jail, and the jail of its bans.
const Recidive = recidive

const recidive = "recidive"

// file is one file of the configuration.
type file struct {
	name string
	data []byte
}

// Parse returns the configuration of a single file of that name. The error joins all mistakes, each a *Problem.
func Parse(name string, data []byte) (*Config, error) {
	return parse([]file{{name, data}})
}

// parse merges the files in order over the built-in values.
func parse(files []file) (*Config, error) { return parseIn(host{}, files) }

// parseIn merges the files of a host.
func parseIn(of host, files []file) (*Config, error) {
	t := newTree(&tree{host: of})
	var ps problems
	var own filters
	for i, f := range append([]file{{builtinName, builtin}}, files...) {
		if f.isFilter() {
			own = append(own, f)
			continue
		}
		top, err := decode(f.name, f.data)
		ps.add(err)
		ps = append(ps, t.merge(f.name, i, top)...)
		if i == 0 {
			t = newTree(t)
		}
	}
	t.inherit()
	ps = append(ps, t.use(own)...)
	t.teach()
	c, more := t.config()
	if err := append(ps, more...).join(); err != nil {
		return nil, err
	}
	c.files = files
	return c, nil
}

// config turns words into values.
func (t *tree) config() (*Config, problems) {
	c := &Config{tree: t}
	var ps problems
	for _, w := range globalWords() {
		if v, ok := t.globals[w.name]; ok {
			ps.add(v.explain(w.name, w.set(c, v)))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(t.jails)) {
		j, more := t.jail(name)
		ps = append(ps, more...)
		if j.Auto {
			ps.add(t.decided(j))
			j.Enabled = t.host.has(&j)
		}
		if name == recidive {
			c.Recidive = jail.Recidive{Enabled: j.Enabled, MaxRetry: j.MaxRetry, FindTime: j.FindTime, BanTime: j.BanTime}
			continue
		}
		c.Jails = append(c.Jails, j)
		ps = append(ps, t.runnable(c, j)...)
	}
	if !slices.ContainsFunc(c.Jails, func(j Jail) bool { return j.Enabled }) {
		c.Jails = append(c.Jails, t.byHand())
	}
	return c, ps
}

// runnable reports why an enabled jail cannot run.
func (t *tree) runnable(c *Config, j Jail) (ps problems) {
	ps.add(cmp.Or(t.knownFilter(j), t.sole(j), t.watchful(j), t.agreed(j), t.acceptable(j), t.printable(j)))
	ps.add(t.closable(c, j))
	ps.add(t.placed(c, j))
	return ps
}

// Arrived returns the names of the jails that are off because neither a unit nor a log of them existed, and exists now.
func (c *Config) Arrived() (names []string) {
	for i := range c.Jails {
		if j := &c.Jails[i]; j.Auto && !j.Enabled && c.tree.host.has(j) {
			names = append(names, j.Name)
		}
	}
	return names
}

// With returns the configuration with these jails turned on. What it says else stays as it was read.
func (c *Config) With(arrived []string) (*Config, error) {
	next := *c
	next.Jails = nil
	var ps problems
	for _, j := range c.Jails {
		if slices.Contains(arrived, j.Name) {
			j.Enabled = true
			ps = append(ps, c.tree.runnable(c, j)...)
		}
		if !j.ByHand || len(arrived) == 0 {
			next.Jails = append(next.Jails, j)
		}
	}
	return &next, ps.join()
}

// byHand returns the jail of a host that only wants bans by hand: it has the defaults and reads nothing.
func (t *tree) byHand() Jail {
	j, _ := t.jail(jail.ByHand) // mistakes in the defaults were reported by other jails
	j.Enabled, j.ByHand, j.Filters, j.Parts, j.Units, j.Identifiers, j.LogPath = true, true, nil, nil, nil, nil, nil
	j.Detection = jail.Threshold
	return j
}

// decided reports a jail without a unit or log that is to run where these exist.
func (t *tree) decided(j Jail) error {
	if j.Name != recidive && len(j.Units)+len(j.LogPath) > 0 {
		return nil
	}
	v, _ := t.lookup(j.Name, "enabled")
	return v.explain("enabled", fmt.Errorf("%s has no unit or log: say yes or no", j.Name))
}

// watchful reports an enabled jail with a filter that would read nothing.
func (t *tree) watchful(j Jail) error {
	for i := range j.Parts {
		r := &j.Parts[i]
		if !j.Enabled || r.Named() || len(r.Units) > 0 || len(r.LogPath) > 0 || r.Service != nil && r.Service.Sender != services.Unit {
			continue
		}
		who := "it"
		if len(j.Parts) > 1 {
			who = "filter " + r.Filter
		}
		return t.named[j.Name].explain(fmt.Sprintf("jail %q", j.Name),
			fmt.Errorf("%s watches nothing: name the service's units with units:, or its log with logpath: in the jail", who))
	}
	return nil
}

// closable reports an enabled jail that closes ports, if the configured backend cannot do that.
func (t *tree) closable(c *Config, j Jail) error {
	if c.Backend != "route" || len(j.Ports) == 0 || !j.Enabled || j.Simulate {
		return nil
	}
	v, _ := t.lookup(j.Name, "port") // without it all ports are closed
	return v.explain("port", errors.New("backend: route cannot limit a ban to a port: set port: all, or backend: ipset or nftables"))
}

func (t *tree) jail(name string) (Jail, problems) {
	j := Jail{Config: jail.Config{Name: name}, Adaptive: adaptive.Default(), Filters: []string{name}}
	var ps problems
	for _, w := range jailWords() {
		if v, ok := t.lookup(name, w.name); ok {
			ps.add(v.explain(w.name, w.set(&j, v)))
		}
	}
	j.IgnoreIP = append(slices.Clip(j.IgnoreIP), j.Proxies...)
	j.Parts = t.parts(name, &j)
	j.elsewhere()
	ps.add(t.fastWindow(name, &j))
	if t.later(name, "bantime.increment", "bantime") {
		j.Escalation.Increment = false
	}
	if _, own := t.jails[name]["aggregate"]; j.Detection == jail.Adaptive && !own {
		j.aggregate = "off" // the detector bans networks, for an hour at first
	}
	if j.aggregate != "ipv4" && j.aggregate != "both" {
		j.Aggregate.IPv4 = 0
	}
	if j.aggregate != "ipv6" && j.aggregate != "both" {
		j.Aggregate.IPv6 = 0
	}
	return j, ps
}

// later reports whether one of the words was set in a later file than key.
func (t *tree) later(name, key string, words ...string) bool {
	_, _, ok := t.latest(name, key, words...)
	return ok
}

// latest returns the first of the words that was set in a later file than key.
func (t *tree) latest(name, key string, words ...string) (string, value, bool) {
	k, _ := t.lookup(name, key)
	for _, word := range words {
		if v, ok := t.lookup(name, word); ok && v.layer > k.layer {
			return word, v, true
		}
	}
	return "", value{}, false
}

// teach makes settings that people copy from a tutorial behave as the tutorial says: if they are in a later file than the choice of a better
// detector, they win over it.
func (t *tree) teach() {
	for name := range t.jails {
		if word, v, ok := t.latest(name, "detection", "maxretry", "findtime", "bantime"); ok && name != recidive {
			v.node = node{kind: scalar, text: string(jail.Threshold), line: v.line}
			t.jails[name]["detection"], t.taught[name] = v, word
		}
	}
}

// Why says for people which setting chose the detection of a jail.
func (c *Config) Why(jailName string) string {
	v, _ := c.tree.lookup(jailName, "detection")
	if word := c.tree.taught[jailName]; word != "" {
		return word + ", " + v.origin()
	}
	return v.origin()
}

// Rule says for people what leads to a ban in the jail and how long the ban lasts.
func (j *Jail) Rule() string {
	if j.Places.Used() {
		return j.rule() + "; weighed by country or network"
	}
	return j.rule()
}

func (j *Jail) rule() string {
	if j.Detection == jail.Adaptive {
		a := j.Adaptive
		rule := fmt.Sprintf("%g points within %s", a.MaxRetry, FormatDuration(a.FindTime))
		if a.SlowRetry > 0 {
			rule += fmt.Sprintf(" or %g within %s", a.SlowRetry, FormatDuration(a.SlowTime))
		}
		times := make([]string, len(a.Ladder))
		for i, t := range a.Ladder {
			times[i] = FormatDuration(min(t, a.MaxBan))
		}
		return rule + "; bans of " + strings.Join(times, ", ")
	}
	rule := ruleOf(j.MaxRetry, "attempt", j.FindTime, j.BanTime)
	if j.Escalation.Increment && j.BanTime != jail.Permanent {
		rule += ", longer for each further offence"
	}
	return rule
}

// RecidiveRule says the same about the rule for addresses that are banned again and again.
func RecidiveRule(r jail.Recidive) string { return ruleOf(r.MaxRetry, "ban", r.FindTime, r.BanTime) }

func ruleOf(n int, of string, within, banned time.Duration) string {
	if n != 1 {
		of += "s"
	}
	bans := "permanent bans"
	if banned != jail.Permanent {
		bans = "bans of " + FormatDuration(banned)
	}
	return fmt.Sprintf("%d %s within %s; %s", n, of, FormatDuration(within), bans)
}

// fastWindow makes maxretry and findtime the fast window of an adaptive jail that sets them itself.
func (t *tree) fastWindow(name string, j *Jail) error {
	if j.Detection != jail.Adaptive {
		return nil
	}
	if v, ok := t.jails[name]["maxretry"]; ok {
		if j.Adaptive.MaxRetry = float64(j.MaxRetry); j.MaxRetry > maxPoints {
			return v.explain("maxretry", fmt.Errorf("%d is more than %d, the most with detection: adaptive", j.MaxRetry, maxPoints))
		}
	}
	if _, ok := t.jails[name]["findtime"]; ok {
		j.Adaptive.FindTime = j.FindTime
	}
	return nil
}

// maxPoints is the maximum that the adaptive detector counts to.
const maxPoints = 500
