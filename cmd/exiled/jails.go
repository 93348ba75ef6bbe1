package main

import (
	"context"
	"fmt"
	"net/netip"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"exile/internal/accounts"
	"exile/internal/allow"
	"exile/internal/config"
	"exile/internal/control"
	"exile/internal/daemon"
	"exile/jail"
	"exile/jail/filter"
	"exile/journal"
)

// builder builds the jails of one configuration.
type builder struct {
	*planner
	cfg       *config.Config
	commands  *allow.Commands
	lists     []*allow.List // to be kept up to date
	accounts  *acquaintance
	admins    *administration
	strangers *jail.Strangers // shared by all that count
}

// build builds a jail from its section.
func (b *builder) build(c *config.Jail) (*daemon.Jail, error) {
	f, err := b.filter(c)
	if err != nil {
		return nil, err
	}
	cfg := c.Config
	cfg.Strangers = b.strangers
	detector := b.detector(c)
	j, err := jail.New(cfg, f, b.allow(c), detector)
	if err != nil {
		return nil, err
	}
	if err := b.admins.add(j.Sessions(), c.Admins); err != nil {
		b.adminsUnknown(err)
	}
	maxRetry, findTime := c.Limit()
	d := &daemon.Jail{
		Jail: j,
		Info: control.JailStatus{
			Name: c.Name, State: "running", Units: c.Units, Detection: string(c.Detection), Why: b.cfg.Why(c.Name), Rule: c.Rule(), MaxRetry: maxRetry,
			FindTime: findTime, BanTime: c.BanTime, Protected: ignored(c),
		},
		Accepts: func(e *journal.Entry) bool { return jail.Trusted(e, c.Units, c.Identifiers, c.TrustStdout) },
		Ports:   c.Ports, Simulate: c.Simulate, Origin: control.OriginJournal,
		Sentence: b.sentence(c), Overall: c.Escalation.OverallJails, Remember: b.cfg.PurgeAge,
		LookBack: lookBack(b.cfg, c), Connections: max(c.TrustLogins, 3*jail.LoginGrace),
		Aggregator: jail.NewAggregator(c.Aggregate, b.strangers, func(p netip.Prefix) bool {
			_, ok := j.Touches(p, time.Now())
			return ok
		}),
	}
	if c.Filter == "sshd" {
		b.gate(d)
	}
	if c.Simulate {
		d.Info.State = control.Simulating
	}
	if a, ok := detector.(*jail.AdaptiveDetector); ok {
		d.Memory, d.Explain, d.Names = a, a.Explain, a
	}
	return d, b.command(c, d)
}

func (b *builder) filter(c *config.Jail) (jail.Filter, error) {
	if c.ByHand {
		return mute{}, nil
	}
	f, err := filter.New(c.Filter, filter.Options{Mode: c.Mode, Publickey: c.Publickey})
	if err != nil {
		return nil, fmt.Errorf("%s: jail %q: %w", b.cfg.Origin(c.Name, "filter"), c.Name, err)
	}
	return f, nil
}

// lookBack is how far back a jail needs the log, if its memory is not stored: failures that count, connections that were
// open, and logins that are trusted.
func lookBack(cfg *config.Config, c *config.Jail) time.Duration {
	d := max(c.FindTime, c.TrustLogins, cfg.LookBack)
	if c.Detection == jail.Adaptive {
		d = max(d, c.Adaptive.SlowTime)
	}
	return d + 3*jail.LoginGrace
}

// allow is who is never banned by a jail.
func (b *builder) allow(c *config.Jail) *allow.List {
	cfg := allow.Config{
		Ignore: c.IgnoreIP, Resolver: allow.System{},
		Report: func(err error) {
			b.log.Warn("The list of who is never banned is not up to date", "jail", c.Name, "error", err)
		},
	}
	if c.IgnoreSelf {
		cfg.Self = allow.Host{}
	}
	for _, g := range c.IgnoreIP {
		b.warnIfLoose(c.Name, g.File)
	}
	list := allow.New(cfg)
	b.lists = append(b.lists, list)
	return list
}

// warnIfLoose tells of a file by which others than root say who is never banned.
func (b *builder) warnIfLoose(jail, path string) {
	if !filepath.IsAbs(path) {
		return // none, or a program that is looked for where only root writes
	}
	if err := allow.Loose(path); err != nil {
		b.log.Warn("Not only root says who is never banned", "jail", jail, "file", path, "reason", err)
	}
}

func ignored(c *config.Jail) []string {
	words := make([]string, len(c.IgnoreIP))
	for i, g := range c.IgnoreIP {
		words[i] = g.String()
	}
	return words
}

// command gives the jail its ignorecommand, if it has one.
func (b *builder) command(c *config.Jail, d *daemon.Jail) error {
	if len(c.IgnoreCommand) == 0 {
		return nil
	}
	b.warnIfLoose(c.Name, c.IgnoreCommand[0])
	command, err := b.commands.Command(c.IgnoreCommand, c.IgnoreCache)
	if err != nil {
		return fmt.Errorf("jail %q: ignorecommand: %w", c.Name, err)
	}
	d.Ignored = command.Ignored
	return nil
}

// sentence is how long the bans of a jail last. What is added at random is the same for the same ban, so that a log that
// is read twice ends it at the same time; nobody who does not know the machine's secret id can tell.
func (b *builder) sentence(c *config.Jail) func(int, netip.Prefix) time.Duration {
	return func(offence int, p netip.Prefix) time.Duration {
		return c.Escalation.BanTime(c.BanTime, offence, jail.Chance([]byte(b.machine), p, offence))
	}
}

// detector is nil where the jail makes its own.
func (b *builder) detector(c *config.Jail) jail.Detector {
	if c.Detection != jail.Adaptive {
		return nil
	}
	cfg := c.Adaptive
	cfg.Strangers = b.strangers
	d := jail.NewAdaptive(cfg)
	if err := b.accounts.add(acquainted{d, c.Filter == "sshd"}); err != nil {
		b.accountsRead(accounts.List{}, err)
	}
	return d
}

// gate has the bans of groups close the ports of sshd, and no more.
func (b *builder) gate(j *daemon.Jail) {
	g := gate{j}
	g.tell(accounts.List{})
	if err := b.accounts.add(g); err != nil {
		b.log.Warn("Where sshd listens is not known; bans of networks close port 22", "jail", j.Info.Name, "error", err)
	}
}

// accountsRead tells people what the detectors have been told.
func (b *builder) accountsRead(list accounts.List, err error) {
	if err != nil {
		b.log.Warn("The accounts of this host cannot be read; slips of the finger may count as names that do not exist", "error", err)
		return
	}
	b.log.Info("Read the accounts of this host again", "accounts", len(list.Accounts), "without_password", len(list.Locked))
}

// adminsUnknown tells people that sessions of administrators may count as those of others.
func (b *builder) adminsUnknown(err error) {
	b.log.Warn("Cannot read which accounts are administrators; their sessions may be treated as those of others", "error", err)
}

// mute is the filter of a jail that reads no log.
type mute struct{}

// Parse implements jail.Filter.
func (mute) Parse([]byte) jail.Event { return jail.Event{} }

// recidive adds the jail of those who are banned again and again, if the rule is on. It comes last: a ban by hand that
// names no jail goes to the first.
func (b *builder) recidive(plan *daemon.Plan) error {
	rule := b.cfg.Recidive
	if !rule.Enabled {
		return nil
	}
	j, err := jail.New(jail.Config{
		Name: "recidive", Detection: jail.Threshold, MaxRetry: rule.MaxRetry, FindTime: rule.FindTime, BanTime: rule.BanTime,
		IPv4Prefix: 32, IPv6Prefix: 64, MaxTracked: 1, Strangers: b.strangers,
	}, mute{}, nil, nil)
	if err != nil {
		return err
	}
	plan.Recidive = &daemon.Jail{
		Jail: j,
		Info: control.JailStatus{
			Name: "recidive", State: "running", Detection: "bans of other jails", Why: b.cfg.Origin("recidive", "enabled"),
			Rule: config.RecidiveRule(rule), MaxRetry: rule.MaxRetry, FindTime: rule.FindTime, BanTime: rule.BanTime,
		},
		Accepts:  func(*journal.Entry) bool { return false },
		Sentence: func(int, netip.Prefix) time.Duration { return rule.BanTime },
		Remember: b.cfg.PurgeAge, Origin: control.OriginJournal,
	}
	plan.Recidivists = jail.NewRecidivists(rule, b.strangers)
	plan.Jails = append(plan.Jails, plan.Recidive)
	return nil
}

// serve keeps up to date who is never banned and which accounts there are, until ctx ends.
func (b *builder) serve(ctx context.Context, do func(change func()) error) error {
	var group errgroup.Group
	group.Go(func() error { b.accounts.follow(ctx, do, b.accountsRead); return nil })
	group.Go(func() error { b.followStrangers(ctx, do); return nil })
	group.Go(func() error { b.admins.follow(ctx, do, b.adminsUnknown); return nil })
	for _, list := range b.lists {
		group.Go(func() error { list.Serve(ctx); return nil })
	}
	return group.Wait()
}
