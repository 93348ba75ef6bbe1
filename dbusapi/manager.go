package dbusapi

import (
	"net/netip"
	"slices"

	"github.com/godbus/dbus/v5"

	"exile/dbusapi/internal/exile1"
	"exile/dbusapi/internal/server"
	"exile/internal/control"
)

// manager is the table of org.exile1.Manager.
func (r *rows) manager() *server.Interface {
	return &server.Interface{
		Name:       exile1.ManagerInterface,
		Methods:    slices.Concat(r.managerQueries(), r.managerCommands(), r.learnedMethods(), r.trialMethods()),
		Signals:    managerSignals(),
		Properties: r.managerProperties(),
	}
}

func (r *rows) managerQueries() []server.Method {
	return []server.Method{
		r.method("GetJail", "s name", "o path", r.getJail),
		r.method("ListJails", "", "a(sosuut) jails", r.listJails),
		r.method("QueryAddress", "s address", "a(ssttuusb) bans, a{sv} info", r.queryAddress),
		r.method("ListBans", "s jail, s after, u max, t flags", "a(ssttuusb) bans, s next", func(c *server.Call) ([]any, error) {
			return r.listBans(c, control.Page{Jail: c.Str(0), After: c.Str(1), Max: int(c.U32(2))}, c.U64(3))
		}),
		r.method("ListBansByFileDescriptor", "s jail, t flags", "h fd", r.listBansByFD),
		r.method("Describe", "", "s json", r.describeStatus),
		r.method("DescribeAddress", "s address", "s json", r.describeAddress),
		r.method("DescribeHistory", "s jail, t since_usec, t until_usec", "s json", r.describeHistory),
		r.method("DescribeKernel", "s address", "s json", r.describeKernel),
		r.method("ExportStateByFileDescriptor", "t flags", "h fd", r.exportStateByFD),
		r.method("Subscribe", "", "", func(c *server.Call) ([]any, error) { return nil, c.Subscribe() }),
		r.method("Unsubscribe", "", "", func(c *server.Call) ([]any, error) { return nil, c.Unsubscribe() }),
	}
}

func (r *rows) managerCommands() []server.Method {
	return []server.Method{
		r.method("Ban", "s jail, s address, t duration_usec, s reason, t flags", "t until_usec", r.ban),
		r.method("BanMany", "a(ssts) bans, t flags", "a(uss) refused", r.banMany),
		r.method("Remember", "a(ssut) offenders, t flags", "a(uss) refused", r.remember),
		r.method("Unban", "s jail, s address, t flags", "u n_removed", r.unban),
		r.method("Flush", "s jail, t flags", "u n_removed", r.flush),
		r.method("Report", "s jail, s address, s user, b success, t flags", "", r.report),
		r.method("Pause", "t duration_usec, t flags", "", r.pause),
		r.method("ResetStatistics", "", "", func(c *server.Call) ([]any, error) { return nil, r.Daemon.ResetStatistics(c.Context()) }),
		r.method("ResetFirewall", "t flags", "", r.resetFirewall),
		r.method("Reload", "", "", r.reload),
	}
}

func managerSignals() []server.Signal {
	return []server.Signal{
		{Name: "BanNew", Args: "s jail, s address, t until_usec, u failures, s origin, s reason, b simulated"},
		{Name: "BanRemoved", Args: "s jail, s address, s reason, b simulated"},
		{Name: "JailNew", Args: "s name, o path"},
		{Name: "JailRemoved", Args: "s name, o path"},
		{Name: "Reloading", Args: "b active"},
	}
}

// managerProperties holds no address: everybody may read properties.
func (r *rows) managerProperties() []server.Property {
	return []server.Property{
		property("Version", "s", server.EmitsConst, func(facts) any { return r.Version }),
		property("Backends", "as", server.EmitsTrue, func(f facts) any { return exile1.List(f.status.Backend) }),
		property("State", "s", server.EmitsTrue, func(f facts) any { return f.status.State }),
		property("Degraded", "as", server.EmitsTrue, func(f facts) any { return exile1.List(f.status.Degraded...) }),
		property("PausedUntilUSec", "t", server.EmitsTrue, func(f facts) any { return exile1.USec(f.status.PausedTo) }),
		property("TrialUntilUSec", "t", server.EmitsTrue, func(f facts) any { return exile1.USec(f.status.TrialTo) }),
		property("NJails", "u", server.EmitsTrue, func(f facts) any { return exile1.Count(f.status.Jails) }),
		property("NBanned", "t", server.EmitsTrue, func(f facts) any { return number(f.status.Banned) }),
		property("NEnforced", "t", server.EmitsTrue, func(f facts) any { return number(f.status.Enforced) }),
		property("NFailing", "t", server.EmitsFalse, func(f facts) any { return number(f.status.Failing) }),
		property("Statistics", "(tttt)", server.EmitsFalse, func(f facts) any {
			return statistics{f.status.Entries, f.status.Failures, f.status.Bans, f.status.Unbans}
		}),
		property("NSignalsDropped", "t", server.EmitsFalse, func(facts) any { return r.dropped() }),
		property("LastEntryUSec", "t", server.EmitsFalse, func(f facts) any { return exile1.USec(f.status.LastEntry) }),
		property("JournalLagUSec", "t", server.EmitsFalse, func(f facts) any { return exile1.DurationUSec(max(f.status.Lag, 0)) }),
		property("JournalCursor", "s", server.EmitsFalse, func(f facts) any { return f.status.Position }),
		property("StartTimestampUSec", "t", server.EmitsConst, func(facts) any { return r.started.realtime }),
		property("StartTimestampMonotonicUSec", "t", server.EmitsConst, func(facts) any { return r.started.monotonic }),
	}
}

// statistics is (tttt): entries read, failures counted, bans, unbans.
type statistics struct{ Entries, Failures, Bans, Unbans uint64 }

func (r *rows) getJail(c *server.Call) ([]any, error) {
	jails, err := r.Daemon.Jails(c.Context())
	if err != nil {
		return nil, err
	}
	j, err := control.FindJail(jails, c.Str(0))
	return []any{exile1.JailPath(j.Name)}, err
}

func (r *rows) listJails(c *server.Call) ([]any, error) {
	jails, err := r.Daemon.Jails(c.Context())
	if err != nil {
		return nil, err
	}
	out := []exile1.JailRecord{}
	for _, j := range jails {
		out = append(out, exile1.ToJailRecord(j))
	}
	return []any{out}, nil
}

func (r *rows) queryAddress(c *server.Call) ([]any, error) {
	p, err := control.ParsePrefix(c.Str(0))
	if err != nil {
		return nil, err
	}
	a, err := r.Daemon.Address(c.Context(), p)
	if err != nil {
		return nil, err
	}
	bans := []exile1.BanRecord{}
	for _, b := range a.Bans {
		bans = append(bans, exile1.ToBanRecord(b))
	}
	failures := map[string]uint32{}
	for jail, n := range a.Failures {
		failures[jail] = exile1.Count(n)
	}
	info := map[string]dbus.Variant{
		"Protected": dbus.MakeVariant(a.Protected != ""),
		"Rule":      dbus.MakeVariant(a.Protected),
		"Failures":  dbus.MakeVariant(failures),
		"Offences":  dbus.MakeVariant(exile1.Count(a.Offences)),
	}
	return []any{bans, info}, nil
}

func (r *rows) listBans(c *server.Call, p control.Page, flags uint64) ([]any, error) {
	p, err := page(p, flags)
	if err != nil {
		return nil, err
	}
	if err := c.TakeLargeSlot(); err != nil {
		return nil, err
	}
	bans, next, err := r.Daemon.Bans(c.Context(), p)
	if err != nil {
		return nil, err
	}
	return nil, c.ReplyPage(exile1.PageSignature, func(p []byte) []byte { return exile1.AppendPage(p, bans, next) })
}

func (r *rows) ban(c *server.Call) ([]any, error) {
	flags, err := c.Flags(4, exile1.FlagPermanent|exile1.FlagForce)
	if err != nil {
		return nil, err
	}
	request, err := toRequest(c.Str(0), c.Str(1), c.U64(2), c.Str(3), flags)
	if err != nil {
		return nil, err
	}
	b, err := r.Daemon.Ban(c.Context(), request)
	if err != nil {
		return nil, err
	}
	return []any{exile1.UntilUSec(b.Until)}, nil
}

func (r *rows) unban(c *server.Call) ([]any, error) {
	p, err := control.ParsePrefix(c.Str(1))
	if err != nil {
		return nil, err
	}
	return r.lift(c, p, 2)
}

func (r *rows) flush(c *server.Call) ([]any, error) { return r.lift(c, netip.Prefix{}, 1) }

// lift lifts the bans of p or, if it is invalid, every ban. Argument 0 is the jail, and there are no flags yet.
func (r *rows) lift(c *server.Call, p netip.Prefix, flagsAt int) ([]any, error) {
	if _, err := c.Flags(flagsAt, 0); err != nil {
		return nil, err
	}
	n, err := r.Daemon.Unban(c.Context(), c.Str(0), p)
	if err != nil {
		return nil, err
	}
	return []any{exile1.Count(n)}, nil
}

func (r *rows) report(c *server.Call) ([]any, error) {
	if _, err := c.Flags(4, 0); err != nil {
		return nil, err
	}
	a, err := control.ParseAddr(c.Str(1))
	if err != nil {
		return nil, err
	}
	return nil, r.Daemon.Report(c.Context(), control.Report{
		Jail: c.Str(0), Addr: a, User: c.Str(2), Success: c.Bool(3),
	})
}

func (r *rows) pause(c *server.Call) ([]any, error) {
	if _, err := c.Flags(1, 0); err != nil {
		return nil, err
	}
	return nil, r.Daemon.Pause(c.Context(), exile1.FromDurationUSec(c.U64(0)))
}

func (r *rows) resetFirewall(c *server.Call) ([]any, error) {
	if _, err := c.Flags(0, 0); err != nil {
		return nil, err
	}
	return nil, r.Daemon.ResetFirewall(c.Context())
}

// reload returns when the new configuration is in force and what it changed on the bus was announced.
func (r *rows) reload(c *server.Call) ([]any, error) {
	c.Emit("Reloading", true)
	err := r.Daemon.Reload(c.Context())
	c.AnnounceChanges()
	c.Emit("Reloading", false)
	return nil, err
}
