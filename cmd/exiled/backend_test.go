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
		{"auto", "ipset", false},
		{"ipset", "ipset", true},
		{"auto", "ipset", true},
		{"nftables", "nftables", false},
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
	p := &planner{backend: auto.Choice{Backend: firewall.NewDryRun(), Name: auto.DryRun}, wanted: auto.DryRun, lock: new(firewall.Lock)}
	if err := p.choose(t.Context(), "iptables"); err == nil || !strings.Contains(err.Error(), `no backend "iptables"`) {
		t.Errorf("error %v", err)
	}
	if p.wanted != auto.DryRun || p.backend.Name != auto.DryRun {
		t.Errorf("in use now: %q, %q", p.wanted, p.backend.Name)
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
