package route

import (
	"context"
	"strings"
	"testing"

	"exile/firewall"
	"exile/firewall/firewalltest"
	"exile/firewall/internal/bulk"

	"golang.org/x/sys/unix"
)

// lacking makes a backend whose kernel answers requests and dumps of a type and family as it says, without doing them.
func lacking(t *testing.T, ns firewalltest.NetNS, answer func(typ uint16, family uint8) error) *Backend {
	t.Helper()
	b := opened(t, ns)
	exchange, dump := b.exchange, b.dump
	b.exchange = func(ctx context.Context, requests []bulk.Request, each func(int, []byte) error) (map[int]error, error) {
		refused := map[int]error{}
		var rest []bulk.Request
		var at []int
		for i, r := range requests {
			if err := answer(r.Type, r.Body[0]); err != nil {
				refused[i] = err
				continue
			}
			rest, at = append(rest, r), append(at, i)
		}
		if len(rest) == 0 {
			return refused, ctx.Err()
		}
		others, err := exchange(ctx, rest, each)
		for i, err := range others {
			refused[at[i]] = err
		}
		return refused, err
	}
	b.dump = func(ctx context.Context, r bulk.Request, each func([]byte) error) error {
		err := answer(r.Type, r.Body[0])
		if err != nil && r.Type == unix.RTM_GETROUTE { // such a dump it takes for one of all families
			r.Body[0], err = unix.AF_INET, nil
		}
		if err != nil {
			return err
		}
		return dump(ctx, r, each)
	}
	return b
}

var bothFamilies = []firewall.Ban{ban("192.0.2.1/32", soon), ban("198.51.100.0/24", later), ban("2001:db8::/64", soon)}

// TestWithoutPolicyRouting: where there are no rules the kernel puts routes of every table into the main one, where they
// would be taken for the administrator's. Nothing is added, and the error says what is missing.
func TestWithoutPolicyRouting(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]func(typ uint16, family uint8) error{
		"neither": func(typ uint16, _ uint8) error { return onRules(typ, unix.EOPNOTSUPP) },
		"IPv4 only": func(typ uint16, family uint8) error {
			if family == unix.AF_INET6 {
				return onRules(typ, unix.EAFNOSUPPORT)
			}
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ns := firewalltest.New(t)
			b := lacking(t, ns, answer)
			err := b.Apply(t.Context(), firewall.Change{Add: bothFamilies})
			if err == nil || !strings.Contains(err.Error(), "without policy routing") || !strings.Contains(err.Error(), "use ipset or nftables") {
				t.Errorf("error %v, want one that says what the kernel lacks and what to do", err)
			}
			wantBans(t, b, nil)
			if err := b.Destroy(t.Context()); err != nil {
				t.Errorf("Destroy: %v", err)
			}
			if left := ns.Exec(t, "sh", "-c", "ip route show table all proto 166; ip -6 route show table all proto 166; ip rule | grep 166; true"); left != "" {
				t.Errorf("left behind:\n%s", left)
			}
		})
	}
}

func onRules(typ uint16, err error) error {
	switch typ {
	case unix.RTM_NEWRULE, unix.RTM_DELRULE, unix.RTM_GETRULE:
		return err
	}
	return nil
}

// TestWithoutIPv6 has the kernel answer as after ipv6.disable=1: IPv4 is banned as ever, and bans of IPv6, from a time when
// it was spoken, are no failure.
func TestWithoutIPv6(t *testing.T) {
	t.Parallel()
	ns := firewalltest.New(t)
	b := lacking(t, ns, func(typ uint16, family uint8) error {
		switch {
		case family != unix.AF_INET6:
			return nil
		case onRules(typ, unix.EAFNOSUPPORT) != nil:
			return unix.EAFNOSUPPORT
		}
		return unix.EOPNOTSUPP
	})
	for range 2 {
		apply(t, b, firewall.Change{Add: bothFamilies})
		wantBans(t, b, bothFamilies)
		if n, err := b.Count(t.Context()); err != nil || n != len(bothFamilies) {
			t.Errorf("Count = %d, %v; want %d", n, err, len(bothFamilies))
		}
	}
	apply(t, b, firewall.Change{Del: []firewall.Key{bothFamilies[0].Key, bothFamilies[2].Key}})
	wantBans(t, b, bothFamilies[1:2])
	if err := b.Destroy(t.Context()); err != nil {
		t.Errorf("Destroy: %v", err)
	}
	wantBans(t, b, nil)
}
