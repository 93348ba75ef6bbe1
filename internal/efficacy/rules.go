package efficacy

import (
	"net/netip"
	"slices"
	"time"

	"exile/jail"
	"exile/jail/adaptive"
)

// Rule is a detector with a name, made anew for each host.
type Rule struct {
	Name   string
	New    func(h Host) jail.Detector
	Weight func(Row) int
}

// attempts counts what a person would: every guess, and a connection that showed none as one.
func attempts(r Row) int {
	if r.Success {
		return r.Guesses
	}
	return max(r.Guesses, 1)
}

// lines counts as fail2ban's sshd filter in mode normal does: "Invalid user" and each "Failed ..." line are one each, and
// a connection that was closed without such a line is none.
func lines(r Row) int {
	if r.Success && r.Guesses == 0 {
		return 0
	}
	n := r.Guesses
	if r.Unknown {
		n++
	}
	return n
}

// The rules that the numbers for programs are about.
const (
	boundName    = "bound"
	usualName    = "threshold 5/10m/10m"
	adaptiveName = "adaptive"
)

// The rules that ban as the reference simulation does, to the second: on every host, and where a password is refused to all.
const (
	asReferenceName = "adaptive, no password is as good as a refused one, networks have no points"
	noTalliesName   = "adaptive, networks have no points"
)

// MainRules are those of Rules that others are measured by: the bound, what most hosts run, and ours.
func MainRules() []Rule {
	return slices.DeleteFunc(Rules(), func(r Rule) bool {
		return r.Name != boundName && r.Name != usualName && r.Name != adaptiveName
	})
}

// Rules are the detectors of the table: the bound that no detector on one host's log can pass, what people use, and ours.
func Rules() []Rule {
	const day = 24 * time.Hour
	return []Rule{
		{boundName, func(Host) jail.Detector { return atOnce{} }, attempts},
		{usualName, rate(5, 10*time.Minute, 10*time.Minute), attempts},
		{"threshold 5/10m/10m, lines", rate(5, 10*time.Minute, 10*time.Minute), lines},
		{"threshold 4/10m/1h", rate(4, 10*time.Minute, time.Hour), attempts},
		{"threshold 5/1d/1d", rate(5, day, day), attempts},
		{adaptiveName, learning(adaptive.Default()), attempts},
		{"adaptive, a login forgives its connection's guesses", learning(adaptive.Default()), forgiven},
		{asReferenceName, passwords(withoutTallies()), attempts},
		{noTalliesName, learning(withoutTallies()), attempts},
		what("as few points ban a network as an address", func(c *adaptive.Config) { c.PrefixRetry = 1 }),
		what("no siege", func(c *adaptive.Config) { c.SiegeHosts = 0 }),
		what("strangers as everybody", func(c *adaptive.Config) { c.StrangerRetry = 0 }),
		what("a name never bans for 30d at once", func(c *adaptive.Config) { c.NameSure = 0 }),
		what("a name bans for 30d at once", func(c *adaptive.Config) { c.NameSure = c.NameHosts }),
		what("two networks make a name evidence", func(c *adaptive.Config) { c.NameHosts = 2 }),
		what("no names", func(c *adaptive.Config) { c.NameHosts = 0 }),
		what("no slow window", func(c *adaptive.Config) { c.SlowRetry = 0 }),
		what("findtime 10m, no slow window", func(c *adaptive.Config) { c.FindTime, c.SlowRetry = 10*time.Minute, 0 }),
		what("maxretry 10, slow 20", func(c *adaptive.Config) { c.MaxRetry, c.SlowRetry = 10, 20 }),
		what("bans do not grow", func(c *adaptive.Config) { c.Ladder, c.NameLadder = c.Ladder[:1], c.NameLadder[:1] }),
		what("no known-good", func(c *adaptive.Config) { c.KnownGood, c.KnownTime = 1, 0 }),
		what("/24 off", func(c *adaptive.Config) { c.PrefixHosts = 0 }),
		what("slow window 7d", func(c *adaptive.Config) { c.SlowTime = 7 * day }),
		what("names for 7d", func(c *adaptive.Config) { c.NameTime = 7 * day }),
		what("known for 7d", func(c *adaptive.Config) { c.KnownTime = 7 * day }),
		what("names ban no longer than points", func(c *adaptive.Config) { c.NameLadder, c.NameSure = c.Ladder, 0 }),
		what("no ban above 7d", func(c *adaptive.Config) { c.MaxBan = 7 * day }),
		what("/24 for 7d at once", func(c *adaptive.Config) { c.PrefixLadder = []time.Duration{7 * day, 28 * day} }),
		what("a quarter of the memory", func(c *adaptive.Config) {
			c.MaxNames, c.MaxAddrs, c.MaxKnown = c.MaxNames/4, c.MaxAddrs/4, c.MaxKnown/4
		}),
		{"adaptive, policy: root has no password", learning(adaptive.Default(), "root"), attempts},
		{"adaptive, policy, no password is as good as a refused one", passwords(adaptive.Default(), "root"), attempts},
	}
}

// what is the adaptive detector with a setting changed.
func what(name string, change func(*adaptive.Config)) Rule {
	cfg := adaptive.Default()
	change(&cfg)
	return Rule{"adaptive, " + name, learning(cfg), attempts}
}

// forgiven counts as the daemon does, which takes the guesses of a connection back when it logs in. The reference counts
// them, and so do the other rules.
func forgiven(r Row) int {
	if r.Success {
		return 0
	}
	return attempts(r)
}

func learning(cfg adaptive.Config, locked ...string) func(Host) jail.Detector {
	return func(h Host) jail.Detector {
		d := adaptive.New(cfg)
		d.SetAccounts(accountsOf(h), locked)
		return d
	}
}

// passwords is the adaptive detector that takes connections without a password for refused passwords, as the reference
// simulation does.
func passwords(cfg adaptive.Config, locked ...string) func(Host) jail.Detector {
	return func(h Host) jail.Detector { return asPasswords{learning(cfg, locked...)(h)} }
}

// withoutTallies has the points of no network added up, as the reference simulation has not.
func withoutTallies() adaptive.Config {
	cfg := adaptive.Default()
	cfg.PrefixRetry = 0
	return cfg
}

// asPasswords takes all that fails for a refused password.
type asPasswords struct{ jail.Detector }

func (p asPasswords) Observe(a jail.Attempt, out []jail.Verdict) []jail.Verdict {
	a.Passwordless = false
	return p.Detector.Observe(a, out)
}

// accountsOf are the names that ever logged in, which stand for the host's passwd file.
func accountsOf(h Host) []string {
	var names []string
	for _, r := range h.Rows {
		if r.Success {
			names = append(names, r.User)
		}
	}
	return names
}

// atOnce bans for ever at the first failure: the bound.
type atOnce struct{}

func (atOnce) Observe(a jail.Attempt, out []jail.Verdict) []jail.Verdict {
	if a.Success {
		return out
	}
	p, _ := a.Addr.Prefix(a.Addr.BitLen())
	return append(out, jail.Verdict{Prefix: p, Duration: 100 * 365 * 24 * time.Hour})
}

func (atOnce) Forget(netip.Prefix) {}

func (atOnce) ForgetAll() {}

// rate is the rule of the tutorial: so many attempts within a time ban for a time.
func rate(maxRetry int, findTime, banTime time.Duration) func(Host) jail.Detector {
	return func(Host) jail.Detector {
		cfg := jail.Config{
			MaxRetry: maxRetry, FindTime: findTime, BanTime: banTime, IPv4Prefix: 32, IPv6Prefix: 64, MaxTracked: 1_000_000,
		}
		return constant{jail.NewThreshold(cfg), banTime}
	}
}

// constant gives every verdict the same ban time, as a jail without escalation does.
type constant struct {
	jail.Detector
	banTime time.Duration
}

func (c constant) Observe(a jail.Attempt, out []jail.Verdict) []jail.Verdict {
	out = c.Detector.Observe(a, out)
	for i := range out {
		out[i].Duration = c.banTime
	}
	return out
}
