package dbusapi

import (
	"errors"
	"math"
	"net/netip"
	"slices"

	"github.com/godbus/dbus/v5"

	"exile/internal/control"
)

// manager is the table of org.exile1.Manager.
func manager() *iface {
	return &iface{
		name:       ManagerInterface,
		methods:    slices.Concat(managerQueries(), managerCommands(), learnedMethods(), trialMethods()),
		signals:    managerSignals(),
		properties: managerProperties(),
	}
}

func managerQueries() []method {
	return []method{
		{"GetJail", "s name", "o path", getJail},
		{"ListJails", "", "a(sosuut) jails", listJails},
		{"QueryAddress", "s address", "a(ssttuus) bans, a{sv} info", queryAddress},
		{"ListBans", "s jail, s after, u max, t flags", "a(ssttuus) bans, s next", func(c *call) ([]any, error) {
			return c.listBans(control.Page{Jail: c.str(0), After: c.str(1), Max: int(c.u32(2))}, c.u64(3))
		}},
		{"ListBansByFileDescriptor", "s jail, t flags", "h fd", listBansByFD},
		{"Describe", "", "s json", describeStatus},
		{"DescribeAddress", "s address", "s json", describeAddress},
		{"DumpByFileDescriptor", "", "h fd", dumpByFD},
		{"ExportStateByFileDescriptor", "t flags", "h fd", exportStateByFD},
		{"Subscribe", "", "", func(c *call) ([]any, error) { return nil, c.session.subscribe(c) }},
		{"Unsubscribe", "", "", func(c *call) ([]any, error) { return nil, c.session.unsubscribe(c.ctx, c.sender) }},
	}
}

func managerCommands() []method {
	return []method{
		{"Ban", "s jail, s address, t duration_usec, s reason, t flags", "t until_usec", func(c *call) ([]any, error) {
			return c.ban(c.str(0), c.str(1), c.u64(2), c.str(3), 4)
		}},
		{"BanMany", "a(ssts) bans, t flags", "a(uss) refused", banMany},
		{"Unban", "s jail, s address, t flags", "u n_removed", func(c *call) ([]any, error) {
			return c.unban(c.str(0), c.str(1), c.u64(2))
		}},
		{"Flush", "s jail, t flags", "u n_removed", func(c *call) ([]any, error) {
			return c.flush(c.str(0), c.u64(1))
		}},
		{"Report", "s jail, s address, s user, b success, t flags", "", report},
		{"Pause", "t duration_usec, t flags", "", pause},
		{"ResetStatistics", "", "", func(c *call) ([]any, error) {
			return nil, c.session.service.cfg.Writer.ResetStatistics(c.ctx)
		}},
		{"ResetFirewall", "t flags", "", resetFirewall},
		{"Reload", "", "", reload},
	}
}

func managerSignals() []signal {
	return []signal{
		{"BanNew", "s jail, s address, t until_usec, u failures, s origin"},
		{"BanRemoved", "s jail, s address, s reason"},
		{"JailNew", "s name, o path"},
		{"JailRemoved", "s name, o path"},
		{"Reloading", "b active"},
	}
}

// managerProperties holds no address: everybody may read properties.
func managerProperties() []property {
	return []property{
		{"Version", "s", emitsConst, func(f facts) any { return f.service.cfg.Version }, nil},
		{"Backends", "as", emitsTrue, func(f facts) any { return list(f.status.Backend) }, nil},
		{"State", "s", emitsTrue, func(f facts) any { return f.status.State }, nil},
		{"Degraded", "as", emitsTrue, func(f facts) any { return list(f.status.Degraded...) }, nil},
		{"PausedUntilUSec", "t", emitsTrue, func(f facts) any { return usec(f.status.PausedTo) }, nil},
		{"TrialUntilUSec", "t", emitsTrue, func(f facts) any { return usec(f.status.TrialTo) }, nil},
		{"NJails", "u", emitsTrue, func(f facts) any { return count(f.status.Jails) }, nil},
		{"NBanned", "t", emitsTrue, func(f facts) any { return number(f.status.Banned) }, nil},
		{"NEnforced", "t", emitsTrue, func(f facts) any { return number(f.status.Enforced) }, nil},
		{"NFailing", "t", emitsFalse, func(f facts) any { return number(f.status.Failing) }, nil},
		{"Statistics", "(tttt)", emitsFalse, func(f facts) any {
			return statistics{f.status.Entries, f.status.Failures, f.status.Bans, f.status.Unbans}
		}, nil},
		{"NSignalsDropped", "t", emitsFalse, func(f facts) any { return f.service.Dropped() }, nil},
		{"LastEntryUSec", "t", emitsFalse, func(f facts) any { return usec(f.status.LastEntry) }, nil},
		{"JournalLagUSec", "t", emitsFalse, func(f facts) any { return durationUSec(max(f.status.Lag, 0)) }, nil},
		{"JournalCursor", "s", emitsFalse, func(f facts) any { return f.status.Position }, nil},
		{"StartTimestampUSec", "t", emitsConst, func(f facts) any { return f.service.started.realtime }, nil},
		{"StartTimestampMonotonicUSec", "t", emitsConst, func(f facts) any { return f.service.started.monotonic }, nil},
	}
}

// statistics is (tttt): entries read, failures counted, bans, unbans.
type statistics struct{ Entries, Failures, Bans, Unbans uint64 }

func number(n int) uint64 { return uint64(max(n, 0)) }

// list is never nil and has no empty strings.
func list(s ...string) []string {
	return slices.DeleteFunc(append([]string{}, s...), func(s string) bool { return s == "" })
}

func getJail(c *call) ([]any, error) {
	jails, err := c.session.service.cfg.Reader.Jails(c.ctx)
	if err != nil {
		return nil, err
	}
	j, err := control.FindJail(jails, c.str(0))
	return []any{jailPath(j.Name)}, err
}

func listJails(c *call) ([]any, error) {
	jails, err := c.session.service.cfg.Reader.Jails(c.ctx)
	if err != nil {
		return nil, err
	}
	out := []jailRecord{}
	for _, j := range jails {
		out = append(out, toJailRecord(j))
	}
	return []any{out}, nil
}

func queryAddress(c *call) ([]any, error) {
	p, err := ParsePrefix(c.str(0))
	if err != nil {
		return nil, err
	}
	a, err := c.session.service.cfg.Reader.Address(c.ctx, p)
	if err != nil {
		return nil, err
	}
	bans := []banRecord{}
	for _, b := range a.Bans {
		bans = append(bans, toRecord(b))
	}
	failures := map[string]uint32{}
	for jail, n := range a.Failures {
		failures[jail] = count(n)
	}
	info := map[string]dbus.Variant{
		"Protected": dbus.MakeVariant(a.Protected != ""),
		"Rule":      dbus.MakeVariant(a.Protected),
		"Failures":  dbus.MakeVariant(failures),
		"Offences":  dbus.MakeVariant(count(a.Offences)),
	}
	return []any{bans, info}, nil
}

// The sizes of a page, as control.Page documents them.
const (
	pageDefault = 1000
	pageMax     = 10_000
)

func (c *call) page(p control.Page, flags uint64) (control.Page, error) {
	if flags != 0 {
		return p, fail(errInvalidArgs, "Unknown flags 0x%x.", flags)
	}
	if len(p.After) > maxText || len(p.Jail) > maxText {
		return p, fail(errInvalidArgs, "The name of a jail or the start of a page is too long.")
	}
	if p.Max == 0 {
		p.Max = pageDefault
	}
	p.Max = min(p.Max, pageMax)
	return p, nil
}

func (c *call) listBans(p control.Page, flags uint64) ([]any, error) {
	p, err := c.page(p, flags)
	if err != nil {
		return nil, err
	}
	if err := c.turn(); err != nil {
		return nil, err
	}
	bans, next, err := c.session.service.cfg.Reader.Bans(c.ctx, p)
	if err != nil {
		return nil, err
	}
	return nil, c.writePage(bans, next)
}

// ban bans; argument flagsAt has the flags.
func (c *call) ban(jail, address string, durationUSec uint64, reason string, flagsAt int) ([]any, error) {
	flags, err := c.flags(flagsAt, flagPermanent|flagForce)
	if err != nil {
		return nil, err
	}
	r, err := toRequest(jail, address, durationUSec, reason, flags)
	if err != nil {
		return nil, err
	}
	b, err := c.session.service.cfg.Writer.Ban(c.ctx, r)
	if err != nil {
		return nil, err
	}
	return []any{untilUSec(b.Until)}, nil
}

// toRequest reads a ban that somebody asks for.
func toRequest(jail, address string, durationUSec uint64, reason string, flags uint64) (control.BanRequest, error) {
	p, err := ParsePrefix(address)
	if err := errors.Join(err, checkText("jail", jail), checkText("reason", reason)); err != nil {
		return control.BanRequest{}, err
	}
	r := control.BanRequest{Jail: jail, Prefix: p, Reason: reason, Force: flags&flagForce != 0}
	r.Permanent = flags&flagPermanent != 0 || durationUSec == infinity
	switch {
	case r.Permanent:
	case durationUSec > math.MaxInt64/1000:
		return r, fail(errInvalidArgs, "A duration of %d µs is too long; set flag 1 for a permanent ban.", durationUSec)
	default:
		r.Duration = fromDurationUSec(durationUSec)
	}
	return r, nil
}

func (c *call) unban(jail, address string, flags uint64) ([]any, error) {
	p, err := ParsePrefix(address)
	if err != nil {
		return nil, err
	}
	return c.lift(jail, p, flags)
}

// flush lifts every ban of a jail or, with "", of all.
func (c *call) flush(jail string, flags uint64) ([]any, error) {
	return c.lift(jail, netip.Prefix{}, flags)
}

func (c *call) lift(jail string, p netip.Prefix, flags uint64) ([]any, error) {
	if flags != 0 {
		return nil, fail(errInvalidArgs, "Unknown flags 0x%x.", flags)
	}
	if err := checkText("jail", jail); err != nil {
		return nil, err
	}
	n, err := c.session.service.cfg.Writer.Unban(c.ctx, jail, p)
	if err != nil {
		return nil, err
	}
	return []any{count(n)}, nil
}

func report(c *call) ([]any, error) {
	if _, err := c.flags(4, 0); err != nil {
		return nil, err
	}
	p, err := ParsePrefix(c.str(1))
	if err != nil {
		return nil, err
	}
	if !p.IsSingleIP() {
		return nil, fail(errInvalidArgs, "%q is a network; a report is about one address.", c.str(1))
	}
	if err := checkText("jail", c.str(0)); err != nil {
		return nil, err
	}
	if len(c.str(2)) > maxText {
		return nil, fail(errInvalidArgs, "A user name of %d bytes is too long.", len(c.str(2)))
	}
	return nil, c.session.service.cfg.Writer.Report(c.ctx, control.Report{
		Jail: c.str(0), Addr: p.Addr(), User: c.str(2), Success: c.boolean(3),
	})
}

func pause(c *call) ([]any, error) {
	if _, err := c.flags(1, 0); err != nil {
		return nil, err
	}
	d := fromDurationUSec(c.u64(0))
	if d < 0 {
		return nil, fail(errInvalidArgs, "A pause has an end: %d µs is too long.", c.u64(0))
	}
	return nil, c.session.service.cfg.Writer.Pause(c.ctx, d)
}

func resetFirewall(c *call) ([]any, error) {
	if _, err := c.flags(0, 0); err != nil {
		return nil, err
	}
	return nil, c.session.service.cfg.Writer.ResetFirewall(c.ctx)
}

// reload returns when the new configuration is live and what it changed on the bus was told.
func reload(c *call) ([]any, error) {
	c.session.emit(managerPath, ManagerInterface+".Reloading", true)
	err := c.session.service.cfg.Writer.Reload(c.ctx)
	c.session.refreshNow(c.ctx)
	c.session.emit(managerPath, ManagerInterface+".Reloading", false)
	return nil, err
}
