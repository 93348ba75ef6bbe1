// Package e2e attacks a real systemd host that exile guards: real sshd, real journald, real kernel firewall, real clients.
package e2e

import (
	"context"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"exile/e2e/host"
	"exile/e2e/target"
)

// root is the system whose systemd, sshd and libraries the hosts run.
var root = flag.String("root", "/", "the root file system that the hosts boot, which is only read")

// tree is exile as make install lays it out, made once before the tests.
var tree target.Tree

func TestMain(m *testing.M) {
	host.Main()
	if told, ok := os.LookupEnv(readerEnv); ok {
		fmt.Fprintln(os.Stderr, "read journal:", readJournal(told, os.Stdout))
		os.Exit(1)
	}
	if socket, ok := os.LookupEnv(reporterEnv); ok {
		fmt.Fprintln(os.Stderr, "report:", reportPeer(socket, os.Stdout))
		os.Exit(1)
	}
	flag.Parse()
	os.Exit(run(m))
}

func run(m *testing.M) int {
	if host.Available() != nil {
		return m.Run() // every test says that it is skipped, and why
	}
	var err error
	if tree, err = target.Install(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = tree.Remove() }() // a folder of the temporary directory
	return m.Run()
}

// patience is how long a test waits for what must come: a machine that has more to do than two processors can needs much of it.
const patience = 3 * time.Minute

// boot boots a host that runs exiled with that configuration; the host ends with the test.
func boot(t *testing.T, config string) *target.Target {
	t.Helper()
	g := off(t, config)
	if err := g.Activate(limit(t, patience)); err != nil {
		t.Fatal(err)
	}
	return g
}

// off boots a host on which exile is installed but not running.
func off(t *testing.T, config string) *target.Target {
	t.Helper()
	if err := host.Available(); err != nil {
		t.Skip("SKIPPED, NOTHING WAS TESTED:", err)
	}
	g, err := target.Boot(limit(t, patience), *root, tree, config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { done(t, g) })
	return g
}

// done ends a host, checks that the sandbox stopped neither exiled nor its helper, and shows exiled's log if that may help.
func done(t *testing.T, g *target.Target) {
	t.Helper()
	said := g.Log(context.Background())
	for _, wall := range []string{"peration not permitted", "status=31/SYS", "ad system call"} {
		if strings.Contains(said, wall) {
			t.Errorf("exiled met a wall of its sandbox: %s", wall)
		}
	}
	if t.Failed() {
		t.Logf("exiled said:\n%s", said)
	}
	if err := g.Close(); err != nil {
		t.Error(err)
	}
}

// limit is the test's context, ended after d.
func limit(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// inside runs a command in the host, which must succeed, and returns its output without surrounding space.
func inside(t *testing.T, g *target.Target, args ...string) string {
	t.Helper()
	out, err := g.Run(limit(t, patience), args...)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(out)
}

func attacker(t *testing.T, g *target.Target, addr string) *host.Attacker {
	t.Helper()
	a, err := g.Attacker(netip.MustParseAddr(addr))
	if err != nil {
		t.Fatal(err)
	}
	return a
}
