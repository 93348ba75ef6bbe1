package setup

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"exile/internal/accounts"
	"exile/internal/allow"
	"exile/internal/banning"
	"exile/internal/config"
	"exile/internal/geoip"
	"exile/internal/replay"
	"exile/jail"
	"exile/jail/adaptive"
	"exile/journal"
)

// Host is what jails know of the host besides the configuration, as it is now.
type Host struct {
	Machine  string                                   // its confidential ID, from which random parts of ban times come
	Own      []netip.Addr                             // its addresses
	Accounts accounts.List                            // empty: no detector knows which names exist
	Admins   func(list []string) ([]string, error)    // the accounts that names and groups stand for
	Places   func(databases []string) *geoip.Table    // reads databases of countries and networks
	Resolve  func(name string) (current []netip.Addr) // asks for a host name of ignoreip
}

// Reader is a jail and what it reads in a replay.
type Reader struct {
	*config.Jail
	Reads []*Reading
	Lines bool // it bans as fail2ban would with the same numbers or, if the jail has none, its own
}

// linesOf returns what counts as fail2ban does. Its own numbers are those of its jail.conf.
func linesOf(c *config.Jail, f jail.Filter) *replay.Lines {
	l := &replay.Lines{Filter: f, SSHD: c.SSHD(), MaxRetry: 5, FindTime: 10 * time.Minute, BanTime: 10 * time.Minute}
	if c.Detection == jail.Threshold {
		l.MaxRetry, l.FindTime, l.BanTime = c.MaxRetry, c.FindTime, c.BanTime
	}
	return l
}

// Rules returns the jails of a configuration for a replay: those that are wanted, and the rule about repeat offenders.
func Rules(cfg *config.Config, wanted []Reader, host Host) (rules replay.Rules, err error) {
	strangers := new(jail.Strangers)
	strangers.SetNAT64(cfg.NAT64.Prefixes)
	atlas := new(Atlas)
	if Matters(cfg) {
		atlas.Use(host.Places(cfg.GeoIP))
	}
	for _, r := range wanted {
		j, problem := past(cfg, r, host, around{strangers, atlas.Weigher(r.Jail)})
		if problem != nil {
			err = errors.Join(err, problem)
			continue
		}
		rules.Jails = append(rules.Jails, j)
	}
	if rule := cfg.Recidive; rule.Enabled && err == nil {
		err = addRecidive(&rules, cfg, strangers)
	}
	return rules, err
}

// around is what a jail knows of where addresses are.
type around struct {
	strangers *jail.Strangers
	weigher   jail.Weigher
}

// past returns a jail for a replay.
func past(cfg *config.Config, of Reader, host Host, at around) (*replay.Jail, error) {
	c := of.Jail
	f, accepts, err := Filter(cfg, c, of.Reads)
	if err != nil {
		return nil, err
	}
	settings := c.Config
	settings.Strangers, settings.Weigher = at.strangers, at.weigher
	list, decides := friends(c, host), detector(c, host, at)
	if of.Lines {
		decides = replay.Silent{}
	}
	j, err := jail.New(settings, f, list, decides)
	if err != nil {
		return nil, err
	}
	admins, err := host.Admins(c.Admins)
	if err != nil {
		return nil, fmt.Errorf("jail %q: read the administrators: %w", c.Name, err)
	}
	j.Sessions().SetAdmins(admins)
	j.SpareSessions(cfg.Backend != "route")
	r := &replay.Jail{
		Jail: banning.Jail{
			Jail: j, Name: c.Name, Length: Length(c, host.Machine, at.weigher), Overall: c.Escalation.OverallJails, Remember: cfg.PurgeAge,
		},
		Accepts: accepts, Ports: c.Ports, Simulate: c.Simulate,
	}
	if of.Lines {
		own, _, err := Filter(cfg, c, of.Reads) // it may remember connections, and so see each line once
		if err != nil {
			return nil, err
		}
		r.Lines, r.Friends = linesOf(c, own), list
		return r, nil
	}
	r.Aggregator = jail.NewAggregator(c.Aggregate, at.strangers, func(p netip.Prefix) bool {
		_, ok := j.Touches(p, r.Now())
		return ok
	})
	return r, nil
}

// friends returns who is never banned, as known now.
func friends(c *config.Jail, host Host) *allow.List {
	ignore := c.IgnoreIP
	if c.IgnoreSelf {
		for _, a := range host.Own {
			ignore = append(slices.Clip(ignore), jail.Ignore{Prefix: netip.PrefixFrom(a, a.BitLen())})
		}
	}
	return allow.New(allow.Config{Ignore: ignore, Last: host.Resolve})
}

// detector returns the detector, or nil if the jail makes its own.
func detector(c *config.Jail, host Host, at around) jail.Detector {
	if c.Detection != jail.Adaptive {
		return nil
	}
	settings := c.Adaptive
	settings.Strangers, settings.Weigher = at.strangers, at.weigher
	d := adaptive.New(settings)
	locked := host.Accounts.Locked
	if !c.SSHD() { // other services may have their own passwords for the same names
		locked = nil
	}
	if len(host.Accounts.Accounts) > 0 && !c.Contained() { // a container has accounts of its own
		d.SetAccounts(host.Accounts.Accounts, locked)
	}
	return d
}

func addRecidive(rules *replay.Rules, cfg *config.Config, strangers *jail.Strangers) error {
	j, err := Recidive(cfg.Recidive, strangers)
	if err != nil {
		return err
	}
	rules.Recidive = &replay.Jail{
		Jail: banning.Jail{
			Jail: j, Name: "recidive", Length: func(int, netip.Prefix) time.Duration { return cfg.Recidive.BanTime }, Remember: cfg.PurgeAge,
		},
		Accepts: func(*journal.Entry) bool { return false },
	}
	rules.Recidivists = jail.NewRecidivists(cfg.Recidive, strangers)
	rules.Jails = append(rules.Jails, rules.Recidive)
	return nil
}
