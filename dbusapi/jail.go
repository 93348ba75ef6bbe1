package dbusapi

import (
	"exile/dbusapi/internal/exile1"
	"exile/dbusapi/internal/server"
	"exile/internal/control"
)

// jail is the table of org.exile1.Jail.
func (r *rows) jail() *server.Interface {
	return &server.Interface{Name: exile1.JailInterface, Methods: r.jailMethods(), Properties: jailProperties()}
}

func (r *rows) jailMethods() []server.Method {
	return []server.Method{
		r.method("ListBans", "s after, u max, t flags", "a(ssttuusb) bans, s next", func(c *server.Call) ([]any, error) {
			return r.listBans(c, control.Page{Jail: c.Object().Name, After: c.Str(0), Max: int(c.U32(1))}, c.U64(2))
		}),
		r.method("ListFailures", "s after, u max, t flags", "a(sutt) hosts, s next", r.listFailures),
		r.method("Describe", "", "s json", r.describeJail),
	}
}

// jailProperties leaves out the protected networks, which are addresses: Describe has them for those who may inspect.
func jailProperties() []server.Property {
	return []server.Property{
		property("Name", "s", server.EmitsConst, func(f facts) any { return f.jail.Name }),
		property("State", "s", server.EmitsTrue, func(f facts) any { return f.jail.State }),
		property("Units", "as", server.EmitsTrue, func(f facts) any { return exile1.List(f.jail.Units...) }),
		property("Detection", "s", server.EmitsTrue, func(f facts) any { return f.jail.Detection }),
		property("MaxRetry", "u", server.EmitsTrue, func(f facts) any { return exile1.Count(f.jail.MaxRetry) }),
		property("FindTimeUSec", "t", server.EmitsTrue, func(f facts) any { return exile1.DurationUSec(f.jail.FindTime) }),
		property("BanTimeUSec", "t", server.EmitsTrue, func(f facts) any { return exile1.DurationUSec(f.jail.BanTime) }),
		property("NBanned", "t", server.EmitsTrue, func(f facts) any { return number(f.jail.Banned) }),
		property("NFailing", "t", server.EmitsFalse, func(f facts) any { return number(f.jail.Failing) }),
		property("NBansTotal", "t", server.EmitsFalse, func(f facts) any { return f.jail.Total }),
		property("NFailuresTotal", "t", server.EmitsFalse, func(f facts) any { return f.jail.Failures }),
		property("LastBanUSec", "t", server.EmitsFalse, func(f facts) any { return exile1.USec(f.jail.LastBan) }),
	}
}

func (r *rows) listFailures(c *server.Call) ([]any, error) {
	p, err := page(control.Page{Jail: c.Object().Name, After: c.Str(0), Max: int(c.U32(1))}, c.U64(2))
	if err != nil {
		return nil, err
	}
	if err := c.TakeLargeSlot(); err != nil {
		return nil, err
	}
	hosts, next, err := r.Daemon.Hosts(c.Context(), p)
	if err != nil {
		return nil, err
	}
	out := make([]exile1.HostRecord, 0, len(hosts))
	for _, h := range hosts {
		out = append(out, exile1.ToHostRecord(h))
	}
	return []any{out, next}, nil
}

func (r *rows) describeJail(c *server.Call) ([]any, error) {
	j, err := r.thisJail(c.Context(), c.Object())
	if err != nil {
		return nil, err
	}
	if !c.Allows(r.action(control.MayInspect)) {
		j = j.Public()
	}
	return asJSON(j)
}
