package dbusapi

import (
	"slices"

	"exile/internal/control"
)

// jailIface is the table of org.exile1.Jail.
func jailIface() *iface {
	return &iface{name: JailInterface, methods: jailMethods(), properties: jailProperties()}
}

func jailMethods() []method {
	return []method{
		{"ListBans", "s after, u max, t flags", "a(ssttuus) bans, s next", func(c *call) ([]any, error) {
			return c.listBans(control.Page{Jail: c.object.jail, After: c.str(0), Max: int(c.u32(1))}, c.u64(2))
		}},
		{"ListFailures", "s after, u max, t flags", "a(sutt) hosts, s next", listFailures},
		{"Describe", "", "s json", describeJail},
		{"Ban", "s address, t duration_usec, s reason, t flags", "t until_usec", func(c *call) ([]any, error) {
			return c.ban(c.object.jail, c.str(0), c.u64(1), c.str(2), 3)
		}},
		{"Unban", "s address, t flags", "u n_removed", func(c *call) ([]any, error) {
			return c.unban(c.object.jail, c.str(0), c.u64(1))
		}},
		{"Flush", "t flags", "u n_removed", func(c *call) ([]any, error) {
			return c.flush(c.object.jail, c.u64(0))
		}},
	}
}

// jailProperties leaves out the protected networks, which are addresses: Describe has them for who may inspect.
func jailProperties() []property {
	return []property{
		{"Name", "s", emitsConst, func(f facts) any { return f.jail.Name }, nil},
		{"State", "s", emitsTrue, func(f facts) any { return f.jail.State }, nil},
		{"Units", "as", emitsTrue, func(f facts) any { return list(f.jail.Units...) }, nil},
		{"Detection", "s", emitsTrue, func(f facts) any { return f.jail.Detection }, nil},
		{"MaxRetry", "u", emitsTrue, func(f facts) any { return count(f.jail.MaxRetry) }, nil},
		{"FindTimeUSec", "t", emitsTrue, func(f facts) any { return durationUSec(f.jail.FindTime) }, nil},
		{"BanTimeUSec", "t", emitsTrue, func(f facts) any { return durationUSec(f.jail.BanTime) }, nil},
		{"NBanned", "t", emitsTrue, func(f facts) any { return number(f.jail.Banned) }, nil},
		{"NFailing", "t", emitsFalse, func(f facts) any { return number(f.jail.Failing) }, nil},
		{"NBansTotal", "t", emitsFalse, func(f facts) any { return f.jail.Total }, nil},
		{"NFailuresTotal", "t", emitsFalse, func(f facts) any { return f.jail.Failures }, nil},
		{"LastBanUSec", "t", emitsFalse, func(f facts) any { return usec(f.jail.LastBan) }, nil},
	}
}

func listFailures(c *call) ([]any, error) {
	p, err := c.page(control.Page{Jail: c.object.jail, After: c.str(0), Max: int(c.u32(1))}, c.u64(2))
	if err != nil {
		return nil, err
	}
	if err := c.turn(); err != nil {
		return nil, err
	}
	hosts, next, err := c.session.service.cfg.Reader.Hosts(c.ctx, p)
	if err != nil {
		return nil, err
	}
	out := make([]hostRecord, 0, len(hosts))
	for _, h := range hosts {
		out = append(out, toHostRecord(h))
	}
	return []any{out, next}, nil
}

func describeJail(c *call) ([]any, error) {
	jails, err := c.session.service.cfg.Reader.Jails(c.ctx)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(jails, func(j control.JailStatus) bool { return j.Name == c.object.jail })
	if i < 0 {
		return nil, fail(errUnknownObject, "Unknown object %q.", string(c.path))
	}
	if !c.inspects() {
		jails[i] = jails[i].Public()
	}
	return asJSON(toJailDoc(jails[i]))
}
