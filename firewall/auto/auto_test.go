package auto

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"exile/firewall"
	"exile/firewall/firewalltest"
)

// fakes are candidates in memory: one refuses to open, one takes bans and does not keep them, two work.
func fakes(opened map[string]*firewalltest.Fake) []candidate {
	fake := func(name string) candidate {
		return candidate{name, name == "spare", func(bool) (firewall.Backend, error) {
			f := firewalltest.NewFake()
			opened[name] = f
			return f, nil
		}, nil}
	}
	return []candidate{
		{"closed", true, func(bool) (firewall.Backend, error) { return nil, errors.New("no module") }, nil},
		{"leaky", true, func(bool) (firewall.Backend, error) { return leaky{firewalltest.NewFake()}, nil }, nil},
		fake("good"),
		fake("spare"),
	}
}

// leaky takes bans and loses them.
type leaky struct{ *firewalltest.Fake }

func (leaky) Apply(context.Context, firewall.Change) error { return nil }

func TestChoose(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		want           string
		ports          bool
		name, why, err string
	}{
		{want: "auto", name: "good", why: "not closed: no module; not leaky: probe: the kernel took 3 bans and holds 0"},
		{want: "spare", name: "spare", why: "asked for"},
		{want: "closed", err: "closed: no module"},
		{want: "leaky", err: "the kernel took 3 bans and holds 0"},
		{want: "auto", ports: true, name: "spare", why: "not good: it cannot limit a ban to a port"},
		{want: "good", ports: true, err: "good: it cannot limit a ban to a port"},
		{want: "dry-run", ports: true, name: "dry-run", why: "nothing is banned"},
		{want: "iptables", err: `no backend "iptables": want auto, closed, leaky, good, spare or dry-run`},
	} {
		t.Run(fmt.Sprint(c.want, c.ports), func(t *testing.T) {
			t.Parallel()
			opened := make(map[string]*firewalltest.Fake)
			got, err := choose(t.Context(), c.want, c.ports, Choice{}, fakes(opened))
			if (err != nil) != (c.err != "") || err != nil && !strings.Contains(err.Error(), c.err) {
				t.Fatalf("error %v, want %q", err, c.err)
			}
			if got.Name != c.name || !strings.Contains(got.Why, c.why) || (got.Backend == nil) != (c.err != "") {
				t.Errorf("chose %q because %q, want %q because %q", got.Name, got.Why, c.name, c.why)
			}
		})
	}
}

// TestChooseWithPorts: the one in use has to go when a reload asks for what it cannot do.
func TestChooseWithPorts(t *testing.T) {
	t.Parallel()
	using := Choice{Backend: firewalltest.NewFake(), Name: "good"}
	got, err := choose(t.Context(), Auto, true, using, fakes(make(map[string]*firewalltest.Fake)))
	if err != nil || got.Name != "spare" {
		t.Errorf("chose %q, %v; want spare", got.Name, err)
	}
	if _, err := choose(t.Context(), "good", true, using, fakes(nil)); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("error %v, want one that is errors.ErrUnsupported", err)
	}
}

// TestChooseTheOneInUse: what is open is not opened a second time, which its protected tables would refuse.
func TestChooseTheOneInUse(t *testing.T) {
	t.Parallel()
	using := Choice{Backend: firewalltest.NewFake(), Name: "good"}
	for want, same := range map[string]bool{"auto": true, "good": true, "spare": false} {
		opened := make(map[string]*firewalltest.Fake)
		got, err := choose(t.Context(), want, false, using, fakes(opened))
		if err != nil || (got.Backend == using.Backend) != same || (opened["good"] != nil) {
			t.Errorf("%s: chose %q, %v, and opened %v; want the one in use: %t", want, got.Name, err, opened, same)
		}
	}
}

// TestSweep has each backend leave bans behind and another take its place: from then on the kernel holds only the bans of
// the new one, and what belongs to others is as it was.
func TestSweep(t *testing.T) {
	t.Parallel()
	left := firewall.Ban{Key: firewall.Key{Prefix: netip.MustParsePrefix("198.51.100.7/32")}, Until: time.Now().Add(time.Hour)}
	for _, keep := range append([]string{DryRun}, "ipset", "nftables", "route") {
		t.Run(keep, func(t *testing.T) {
			t.Parallel()
			ns := firewalltest.New(t)
			ns.Exec(t, "sh", "-c", `nft add table inet theirs; nft 'add set inet theirs s { type ipv4_addr; elements = { 198.51.100.9 }; }'
				ipset create theirs hash:ip; ipset add theirs 198.51.100.9; ip route add blackhole 198.51.100.9 table 166`)
			all := candidates(ns.FD, probing())
			for _, c := range all {
				got, err := choose(t.Context(), c.name, false, Choice{}, all)
				if err != nil {
					t.Fatal(err)
				}
				err = errors.Join(got.Apply(t.Context(), firewall.Change{Add: []firewall.Ban{left}}), got.Close())
				if err != nil {
					t.Fatal(err)
				}
			}
			for range 2 { // the second finds nothing to do
				if err := sweep(t.Context(), keep, all); err != nil {
					t.Errorf("sweep: %v", err)
				}
			}
			for name, traces := range map[string]string{
				"ipset":    "ipset save | grep exile; nft list tables | grep -w 'ip[6]* exile'",
				"nftables": "nft list tables | grep 'inet exile'",
				"route":    "ip route show table 166 proto 166; ip rule | grep 166; ip -6 rule | grep 166",
			} {
				out := ns.Exec(t, "sh", "-c", traces+"; true")
				if (out != "") != (name == keep) {
					t.Errorf("left of %s:\n%s", name, out)
				}
			}
			theirs := ns.Exec(t, "sh", "-c", "nft list ruleset; ipset save; ip route show table 166")
			if n := strings.Count(theirs, "198.51.100.9"); n != 3 {
				t.Errorf("%d of the 3 entries of others are left:\n%s", n, theirs)
			}
		})
	}
}

// TestCheck: a check beside a daemon takes what that has taken, and the kernel is as it was.
func TestCheck(t *testing.T) {
	t.Parallel()
	ns := firewalltest.New(t)
	const show = "nft list ruleset; ipset save; ip rule; ip route show table all"
	for _, c := range candidates(ns.FD, probing()) {
		using, err := choose(t.Context(), c.name, false, Choice{}, []candidate{c})
		if err != nil {
			t.Fatal(err)
		}
		before := ns.Exec(t, "sh", "-c", show)
		got, err := check(t.Context(), c.name, false, candidates(ns.FD, checking()))
		if err != nil || got.Name != c.name {
			t.Errorf("%s: %q, %v", c.name, got.Name, err)
		}
		if _, real := got.Backend.(*firewall.DryRun); !real {
			t.Errorf("%s: the backend is a %T", c.name, got.Backend)
		}
		if after := ns.Exec(t, "sh", "-c", show); after != before {
			t.Errorf("%s: the kernel had\n%s\nand has\n%s", c.name, before, after)
		}
		if err := using.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestSweepWithoutTheSubsystem: a kernel that never heard of a backend has nothing of it, and other errors are told.
func TestSweepWithoutTheSubsystem(t *testing.T) {
	t.Parallel()
	failing := func(err error) []candidate {
		return []candidate{{name: "other", remove: func(context.Context) error { return err }}}
	}
	for _, err := range []error{unix.EINVAL, unix.EOPNOTSUPP, unix.EPROTONOSUPPORT} {
		if err := sweep(t.Context(), "", failing(fmt.Errorf("list: %w", err))); err != nil {
			t.Error(err)
		}
	}
	if err := sweep(t.Context(), "", failing(unix.EPERM)); !errors.Is(err, unix.EPERM) {
		t.Errorf("sweep without the right to: %v, want EPERM", err)
	}
}

// TestChooseHere tries each real backend in a namespace, and that the probe leaves nothing.
func TestChooseHere(t *testing.T) {
	t.Parallel()
	for _, c := range append([]candidate{{name: Auto}}, candidates(0, probing())...) {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			ns := firewalltest.New(t)
			got, err := choose(t.Context(), c.name, false, Choice{}, candidates(ns.FD, probing()))
			if err != nil {
				t.Fatal(err)
			}
			defer got.Close()
			if c.name == Auto && got.Name != "nftables" {
				t.Errorf("auto chose %s: %s", got.Name, got.Why)
			}
			all := ns.Exec(t, "sh", "-c", "nft list ruleset; ipset list -n; ip rule; ip route show table all")
			if strings.Contains(all, "probe") || strings.Contains(all, "192.0.2") {
				t.Errorf("the probe left something:\n%s", all)
			}
		})
	}
}

// TestChooseBesideRoutesOfOthers: where others have routes in our table, the reason says which one is taken in its place; where they
// have some in all of them there is no such backend.
func TestChooseBesideRoutesOfOthers(t *testing.T) {
	t.Parallel()
	ns := firewalltest.New(t)
	ns.Exec(t, "sh", "-c", "ip link set lo up; ip route add default dev lo table 166")
	got, err := choose(t.Context(), "route", false, Choice{}, candidates(ns.FD, probing()))
	if err != nil || !strings.Contains(got.Why, "in routing table 168, since others have routes in 166") {
		t.Fatalf("chose %q, because %q: %v", got.Name, got.Why, err)
	}
	if err := got.Close(); err != nil {
		t.Fatal(err)
	}
	ns.Exec(t, "sh", "-c", "for n in 168 169 170 171 172; do ip route add default dev lo table $n; done")
	if _, err := choose(t.Context(), "route", false, Choice{}, candidates(ns.FD, probing())); err == nil || !strings.Contains(err.Error(), "routes of others") {
		t.Errorf("error %v", err)
	}
	if rules := ns.Exec(t, "sh", "-c", "ip rule; ip -6 rule"); strings.Contains(rules, "100:") || strings.Contains(rules, "101:") {
		t.Errorf("rules of ours are left:\n%s", rules)
	}
}
