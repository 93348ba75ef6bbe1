package auto

import (
	"context"
	"errors"
	"strings"
	"testing"

	"exile/firewall"
	"exile/firewall/firewalltest"
)

// fakes are candidates in memory: one refuses to open, one takes bans and does not keep them, two work.
func fakes(opened map[string]*firewalltest.Fake) []candidate {
	fake := func(name string) candidate {
		return candidate{name, func(bool) (firewall.Backend, error) {
			f := firewalltest.NewFake()
			opened[name] = f
			return f, nil
		}}
	}
	return []candidate{
		{"closed", func(bool) (firewall.Backend, error) { return nil, errors.New("no module") }},
		{"leaky", func(bool) (firewall.Backend, error) { return leaky{firewalltest.NewFake()}, nil }},
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
		want, name, why, err string
	}{
		{want: "auto", name: "good", why: "not closed: no module; not leaky: probe: the kernel took 3 bans and holds 0"},
		{want: "spare", name: "spare", why: "asked for"},
		{want: "closed", err: "closed: no module"},
		{want: "leaky", err: "the kernel took 3 bans and holds 0"},
		{want: "dry-run", name: "dry-run", why: "nothing is banned"},
		{want: "iptables", err: `no backend "iptables": want auto, closed, leaky, good, spare or dry-run`},
	} {
		t.Run(c.want, func(t *testing.T) {
			t.Parallel()
			opened := make(map[string]*firewalltest.Fake)
			b, name, why, err := choose(t.Context(), c.want, fakes(opened))
			if (err != nil) != (c.err != "") || err != nil && !strings.Contains(err.Error(), c.err) {
				t.Fatalf("error %v, want %q", err, c.err)
			}
			if name != c.name || !strings.Contains(why, c.why) || (b == nil) != (c.err != "") {
				t.Errorf("chose %q because %q, want %q because %q", name, why, c.name, c.why)
			}
		})
	}
}

func TestChooseEndsAtTheLock(t *testing.T) {
	t.Parallel()
	held := candidate{"held", func(bool) (firewall.Backend, error) { return nil, firewall.ErrHeld }}
	b, _, _, err := choose(t.Context(), Auto, append([]candidate{held}, fakes(make(map[string]*firewalltest.Fake))...))
	if b != nil || !errors.Is(err, firewall.ErrHeld) {
		t.Errorf("chose %v, error %v; want ErrHeld", b, err)
	}
}

// TestChooseHere tries each real backend in a namespace, and that the probe leaves nothing.
func TestChooseHere(t *testing.T) {
	t.Parallel()
	for _, c := range append([]candidate{{name: Auto}}, candidates(0)...) {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			ns := firewalltest.New(t)
			b, name, why, err := choose(t.Context(), c.name, candidates(ns.FD))
			if err != nil {
				t.Fatal(err)
			}
			defer b.Close()
			if c.name == Auto && name != "ipset" {
				t.Errorf("auto chose %s: %s", name, why)
			}
			all := ns.Exec(t, "sh", "-c", "nft list ruleset; ipset list -n; ip rule; ip route show table all")
			if strings.Contains(all, "probe") || strings.Contains(all, "192.0.2") {
				t.Errorf("the probe left something:\n%s", all)
			}
		})
	}
}
