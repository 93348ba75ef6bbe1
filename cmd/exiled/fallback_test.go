package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"exile/internal/state"
)

// service is a planner of a service whose configuration is one file in a folder.
func service(dir string) *planner {
	return &planner{
		options: options{config: filepath.Join(dir, "exile.yaml"), bus: "none", dryRun: true},
		log:     slog.New(slog.NewTextHandler(io.Discard, nil)), kept: dir,
	}
}

func begin(t *testing.T, p *planner) {
	t.Helper()
	store, err := p.begin()
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Close(); err != nil {
		t.Error(err)
	}
}

// TestLastGood: what was in force is kept, in what the mistakes below are made of it is not, and a start with such a mistake has
// the jails, and the state, of what was kept.
func TestLastGood(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, "exile.yaml"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	head := "nat64_prefixes: []\nstate: " + filepath.Join(dir, "state") + "\n"
	write(head + "jails: {web: {filter: sshd, maxretry: 3}}\n")
	p := service(dir)
	begin(t, p)
	runPlan(t, p, "")
	before, err := state.Kept(dir)
	if err != nil {
		t.Fatal(err)
	}
	write(head + "jails: {web: {filter: sshd, maxretry: 4}}\n")
	runPlan(t, p, head) // a trial is not what to begin with
	if kept, err := state.Kept(dir); err != nil || string(kept) != string(before) {
		t.Errorf("after a trial %q is kept, %v", kept, err)
	}

	if err := os.WriteFile(filepath.Join(dir, "a-file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		"jails: [":                        "exile.yaml:1",
		head + "jails: {web: {portt: 1}}": "exile.yaml:3",
		head + "backend: route\njails: {web: {filter: sshd, port: ssh}}": "exile.yaml:4",
		"state: " + filepath.Join(dir, "a-file", "state"):                "exile.yaml:1",
	} {
		write(text)
		p := service(dir)
		begin(t, p)
		if _, err := p.plan(t.Context(), ""); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
		plan, which, err := p.fallback(t.Context())
		if err != nil || which != "the last configuration that worked" || plan.Jails[1].Info.MaxRetry != 3 {
			t.Errorf("%q: %q, %v", text, which, err)
		}
		byHand := service(dir)
		byHand.kept = ""
		if _, err := byHand.begin(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: started by hand: %v, want %s", text, err, want)
		}
	}
}

// runPlan runs the background work of a plan until the configuration has been kept, if it is to be.
func runPlan(t *testing.T, p *planner, trial string) {
	t.Helper()
	plan, err := p.plan(t.Context(), trial)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := plan.Serve(ctx, func(func()) error { return errors.New("ended") }); err != nil {
		t.Error(err)
	}
}
