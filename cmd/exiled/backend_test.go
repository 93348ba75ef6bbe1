package main

import (
	"errors"
	"io"
	"log/slog"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"exile/firewall"
	"exile/firewall/auto"
	"exile/firewall/firewalltest"
	"exile/internal/config"
	"exile/internal/daemon"
)

// TestExchange runs a planner, in a network namespace, through configurations with different backends: each that changes
// the firewall holds the lock, and an earlier backend's bans go when the plan's sweep says so, not before.
func TestExchange(t *testing.T) {
	t.Parallel()
	ns := firewalltest.New(t)
	enter(t, ns)
	p := &planner{log: slog.New(slog.NewTextHandler(io.Discard, nil))}
	defer p.close()
	ban := firewall.Change{Add: firewalltest.Many(1, false, time.Now().Add(time.Hour))}
	var last *daemon.Plan
	for _, step := range []struct {
		backend, name string
		same          bool // as the one before: it stays open
	}{
		{"dry-run", "dry-run", false},
		{"route", "route", false},
		{"auto", "nftables", false},
		{"nftables", "nftables", true},
		{"auto", "nftables", true},
		{"ipset", "ipset", false},
		{"dry-run", "dry-run", false},
	} {
		cfg, err := config.Parse("exile.yaml", []byte("backend: "+step.backend))
		if err != nil {
			t.Fatal(err)
		}
		plan := new(daemon.Plan)
		if err := p.open(t.Context(), cfg, plan); err != nil {
			t.Fatalf("%s: %v", step.backend, err)
		}
		if plan.Name != step.name || last != nil && (plan.Backend == last.Backend) != step.same {
			t.Errorf("%s: got %s, the same as before: %t", step.backend, plan.Name, last != nil && plan.Backend == last.Backend)
		}
		if (plan.Kill == nil) != (step.name == "dry-run") {
			t.Errorf("%s: cuts connections: %t", step.name, plan.Kill != nil)
		}
		if last == nil {
			if plan.Sweep != nil {
				t.Error("a dry run would change the firewall of another exiled")
			}
			last = plan
			continue
		}
		if _, err := firewall.Acquire(0); !errors.Is(err, firewall.ErrHeld) {
			t.Errorf("%s: a second lock: %v, want ErrHeld", step.backend, err)
		}
		if err := plan.Backend.Apply(t.Context(), ban); err != nil {
			t.Fatal(err)
		}
		if !step.same {
			if err := errors.Join(last.Backend.Close(), plan.Sweep(t.Context())); err != nil {
				t.Fatal(err)
			}
		}
		last = plan
	}
	if left := ns.Exec(t, "sh", "-c", "nft list tables; ipset list -n; ip rule | grep 166; true"); left != "" {
		t.Errorf("left after the change to dry-run:\n%s", left)
	}
	if err := reset(t.Context()); !errors.Is(err, firewall.ErrHeld) {
		t.Errorf("reset beside a daemon: %v, want ErrHeld", err)
	}
}

// TestBackendThatFails: the one in use stays in use.
func TestBackendThatFails(t *testing.T) {
	t.Parallel()
	p := &planner{backend: auto.Choice{Backend: firewall.NewDryRun(), Name: auto.DryRun}, wanted: wish{backend: auto.DryRun}, lock: new(firewall.Lock)}
	if err := p.choose(t.Context(), wish{backend: "iptables"}); err == nil || !strings.Contains(err.Error(), `no backend "iptables"`) {
		t.Errorf("error %v", err)
	}
	if p.wanted.backend != auto.DryRun || p.backend.Name != auto.DryRun {
		t.Errorf("in use now: %v, %q", p.wanted, p.backend.Name)
	}
}

// TestPortsByRoute: on a host where nothing but routes works, as on one that asks for them, a jail that closes ports is refused
// with the place in the configuration, not when a ban is due; for a jail that bans nobody it does not matter.
func TestPortsByRoute(t *testing.T) {
	t.Parallel()
	enter(t, firewalltest.New(t))
	for _, c := range []struct{ jail, says string }{
		{"port: ssh", `exile.yaml:5: jail "sshd": port: backend route: no backend works here: route: it cannot limit a ban to a port`},
		{"port: all", ""},
		{"port: ssh\n    simulate: yes", ""},
	} {
		cfg, err := config.Parse("exile.yaml", []byte("backend: auto\njails:\n  sshd:\n    maxretry: 3\n    "+c.jail+"\n"))
		if err != nil {
			t.Fatal(err)
		}
		cfg.Backend = "route"
		b := &builder{
			admins: newAdministration(groupFile, passwdFile), accounts: newAcquaintance(accountsFile, passwdFile),
			planner: &planner{log: slog.New(slog.DiscardHandler)}, cfg: cfg,
		}
		plan := new(daemon.Plan)
		for i := range cfg.Jails {
			j, err := b.build(&cfg.Jails[i], b.choose(&cfg.Jails[i]))
			if err != nil {
				t.Fatal(err)
			}
			plan.Jails = append(plan.Jails, j)
		}
		err = b.open(t.Context(), cfg, plan)
		if (err != nil) != (c.says != "") || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: error %v, want %q", c.jail, err, c.says)
		}
		if err == nil {
			if !plan.Jails[0].Whole {
				t.Errorf("%s: a ban of a group is to close some ports", c.jail)
			}
			_ = plan.Backend.Close() // its namespace goes as well
		}
		b.close()
	}
}

// enter has the test's goroutine, on a thread of its own that ends with it, live in the namespace.
func enter(t *testing.T, ns firewalltest.NetNS) {
	t.Helper()
	runtime.LockOSThread()
	if err := unix.Setns(ns.FD, unix.CLONE_NEWNET); err != nil {
		t.Fatal(err)
	}
}
