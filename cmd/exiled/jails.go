package main

import (
	"context"
	"fmt"
	"net/netip"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"exile/firewall/hostaddr"
	"exile/internal/accounts"
	"exile/internal/allow"
	"exile/internal/banning"
	"exile/internal/config"
	"exile/internal/control"
	"exile/internal/daemon"
	"exile/internal/lists"
	"exile/internal/names"
	"exile/internal/setup"
	"exile/jail"
	"exile/jail/adaptive"
	"exile/journal"
)

// builder builds the jails of one configuration.
type builder struct {
	*planner
	cfg       *config.Config
	keeps     bool // it is stored once it is in force
	commands  *allow.Commands
	allowed   []*allow.List // to be kept up to date
	accounts  *acquaintance
	admins    *administration
	strangers *jail.Strangers // shared by all jails and detectors
	places    places
	noJournal bool              // a text log is read because the journal cannot be read
	read      map[string]readIn // what the jails read of the journal, by their names
	choices   choices           // what the jails read where there was a choice
	keeper    *lists.Keeper     // of the block lists; nil: this kernel can have none
}

// build builds a jail from its section.
func (b *builder) build(c *config.Jail, read []*setup.Reading) (*daemon.Jail, error) {
	f, accepts, err := setup.Filter(b.cfg, c, read)
	if err != nil {
		return nil, err
	}
	cfg := c.Config
	cfg.Strangers, cfg.Weigher = b.strangers, b.places.Weigher(c)
	detector := b.detector(c)
	list := b.allow(c)
	j, err := jail.New(cfg, f, list, detector)
	if err != nil {
		return nil, err
	}
	if err := b.admins.add(j.Sessions(), c.Admins); err != nil {
		b.adminsUnknown(err)
	}
	window := j.Window()
	d := &daemon.Jail{
		Jail: banning.Jail{
			Jail: j, Name: c.Name, Length: setup.Length(c, b.machine, cfg.Weigher), Overall: c.Escalation.OverallJails, Remember: b.cfg.PurgeAge,
			Aggregator: jail.NewAggregator(c.Aggregate, b.strangers, func(p netip.Prefix) bool {
				_, ok := j.Touches(p, time.Now())
				return ok
			}),
		},
		Info: control.JailStatus{
			Name: c.Name, State: "running", Units: c.Units, Detection: string(c.Detection), Why: b.cfg.Why(c.Name), Rule: c.Rule(), MaxRetry: window.MaxRetry,
			FindTime: window.FindTime, BanTime: c.BanTime,
		},
		Allowlist: list,
		Accepts:   accepts,
		Unwatched: setup.Unwatched(c, f),
		Ports:     c.Ports, Simulate: c.Simulate, Origin: control.OriginJournal, Contained: c.Contained(), Proxied: len(c.Proxies) > 0,
		LookBack: setup.LookBack(b.cfg, c), Connections: max(c.TrustLogins, 3*jail.LoginGrace),
	}
	if d.Info.Framable = c.Risk(); d.Info.Framable != "" {
		b.log.Warn("A client could have others banned with a jail, which the configuration accepts", "jail", c.Name, "how", d.Info.Framable)
	}
	if c.SSHD() && !c.Contained() {
		b.gate(d)
	}
	if c.Simulate {
		d.Info.State = control.Simulating
	}
	if a, ok := detector.(*adaptive.Detector); ok {
		d.Memory, d.Explain, d.Next, d.Names = a, a.Explain, a.Next, a
	}
	return d, b.command(c, d)
}

// allow builds the list of addresses that a jail never bans.
func (b *builder) allow(c *config.Jail) *allow.List {
	cfg := allow.Config{Ignore: c.IgnoreIP, Friends: c.Containers.Friends(), Resolver: names.System{}, Last: b.addresses}
	if c.IgnoreSelf {
		cfg.Self = allow.Host(hostaddr.Follow)
	}
	for _, g := range c.IgnoreIP {
		b.warnIfLoose(c.Name, g.File)
	}
	list := allow.New(cfg)
	b.allowed = append(b.allowed, list)
	return list
}

// addresses returns the addresses that a host name had in the lists of the previous configuration.
func (p *planner) addresses(host string) []netip.Addr {
	for _, list := range p.lists {
		if addrs := list.Addresses(host); len(addrs) > 0 {
			return addrs
		}
	}
	return nil
}

// warnIfLoose warns of a file by which users other than root can decide who is never banned.
func (b *builder) warnIfLoose(jail, path string) {
	if !filepath.IsAbs(path) {
		return // none, or a program that is searched for where only root can write
	}
	if err := allow.Loose(path); err != nil {
		b.log.Warn("Users other than root can decide who is never banned", "jail", jail, "file", path, "reason", err)
	}
}

// command gives the jail its ignorecommand, if it has one.
func (b *builder) command(c *config.Jail, d *daemon.Jail) error {
	if len(c.IgnoreCommand) == 0 {
		return nil
	}
	b.warnIfLoose(c.Name, c.IgnoreCommand[0])
	if err := unix.Access(c.IgnoreCommand[0], unix.X_OK); err != nil {
		b.log.Warn("Cannot run the ignorecommand; addresses are banned as if it said no", "jail", c.Name, "program", c.IgnoreCommand[0], "error", err)
	}
	command, err := b.commands.Command(c.IgnoreCommand, c.IgnoreCache)
	if err != nil {
		return fmt.Errorf("jail %q: ignorecommand: %w", c.Name, err)
	}
	d.Ignored = command.Ignored
	return nil
}

// detector returns the detector, or nil if the jail makes its own.
func (b *builder) detector(c *config.Jail) jail.Detector {
	if c.Detection != jail.Adaptive {
		return nil
	}
	cfg := c.Adaptive
	cfg.Strangers, cfg.Weigher = b.strangers, b.places.Weigher(c)
	d := adaptive.New(cfg)
	if c.Contained() { // it has accounts of its own
		return d
	}
	if err := b.accounts.add(acquainted{d, c.SSHD()}); err != nil {
		b.accountsRead(accounts.List{}, err)
	}
	return d
}

// gate makes bans of groups close only the ports of sshd.
func (b *builder) gate(j *daemon.Jail) {
	g := gate{j}
	g.tell(accounts.List{})
	if err := b.accounts.add(g); err != nil {
		b.log.Warn("Cannot tell where sshd listens; bans of networks close port 22", "jail", j.Info.Name, "error", err)
	}
}

// accountsRead logs what the detectors were told.
func (b *builder) accountsRead(list accounts.List, err error) {
	if err != nil {
		b.log.Warn("Cannot read the accounts of this host; typing errors may count as names that do not exist", "error", err)
		return
	}
	b.log.Info("Read the accounts of this host again", "accounts", len(list.Accounts), "without_password", len(list.Locked))
}

// adminsUnknown logs that sessions of administrators may count as those of others.
func (b *builder) adminsUnknown(err error) {
	b.log.Warn("Cannot read which accounts are administrators; their sessions may be treated as those of others", "error", err)
}

// recidive adds the jail for addresses that are banned again and again, if the rule is on. It comes last, because a ban by hand that names no jail
// goes to the first.
func (b *builder) recidive(plan *daemon.Plan) error {
	rule := b.cfg.Recidive
	if !rule.Enabled {
		return nil
	}
	j, err := setup.Recidive(rule, b.strangers)
	if err != nil {
		return err
	}
	plan.Recidive = &daemon.Jail{
		Jail: banning.Jail{
			Jail: j, Name: "recidive", Length: func(int, netip.Prefix) time.Duration { return rule.BanTime }, Remember: b.cfg.PurgeAge,
		},
		Info: control.JailStatus{
			Name: "recidive", State: "running", Detection: "bans of other jails", Why: b.cfg.Origin("recidive", "enabled"),
			Rule: config.RecidiveRule(rule), MaxRetry: rule.MaxRetry, FindTime: rule.FindTime, BanTime: rule.BanTime,
		},
		Accepts: func(*journal.Entry) bool { return false }, Origin: control.OriginJournal,
	}
	plan.Recidivists = jail.NewRecidivists(rule, b.strangers)
	plan.Jails = append(plan.Jails, plan.Recidive)
	return nil
}

// serve keeps allowlists and accounts up to date until ctx ends.
func (b *builder) serve(ctx context.Context, do func(change func()) error) error {
	var group errgroup.Group
	group.Go(func() error { b.accounts.follow(ctx, do, b.accountsRead); return nil })
	group.Go(func() error { b.followStrangers(ctx, do); return nil })
	group.Go(func() error { b.places.follow(ctx, do); return nil })
	group.Go(func() error { b.admins.follow(ctx, do, b.adminsUnknown); return nil })
	group.Go(func() error { b.look(ctx); return nil })
	if b.keeper != nil {
		group.Go(func() error { b.keeper.Serve(ctx); return nil })
	}
	if b.keeps {
		group.Go(func() error { b.keep(ctx); return nil })
	}
	for _, list := range b.allowed {
		group.Go(func() error { list.Serve(ctx); return nil })
	}
	return group.Wait()
}
