package e2e

import (
	"errors"
	"os/exec"
	"strings"
	"testing"
	"time"

	"exile/dbusapi/systemd"
	"exile/e2e/host"
	"exile/e2e/target"
)

// lost is a drop-in with a jail whose units do not exist.
const lost = "jails:\n  lost:\n    filter: sshd\n    units: [nothing.service, nothing@*.service]\n"

// TestSight: exiled compares its log with what systemd knows of sshd, and a jail that watches nothing degrades it.
func TestSight(t *testing.T) {
	t.Parallel()
	g := boot(t, config("ipset"))
	sshd, before := []string{"ssh.service", "sshd.service", "ssh@*.service"}, worked(t, g, "ssh.service", "sshd.service")
	a := attacker(t, g, "198.51.100.31")
	if err := a.Guess(limit(t, patience), "root", 1); !errors.Is(err, host.ErrDenied) {
		t.Fatal(err)
	}
	if after := worked(t, g, sshd...); after <= before {
		t.Errorf("sshd worked %v before a guess and %v after", before, after)
	}
	if s, err := systemd.Units(t.Context(), bus(g), []string{"nothing.service", "nothing@*.service"}); err != nil || s.Exists {
		t.Errorf("a unit that does not exist: %+v, %v", s, err)
	}

	feed(t, g, lost, "/etc/exile/exile.yaml.d/lost.yaml")
	inside(t, g, "systemctl", "reload", "exiled.service")
	status := waitStatus(t, g, 3)
	for _, word := range []string{"degraded since", "no-unit:lost", "nothing.service nothing@*.service", "name the service's with units:"} {
		if !strings.Contains(status, word) {
			t.Errorf("exilectl status does not say %q:\n%s", word, status)
		}
	}
	for name, command := range map[string][]string{
		"the bus":    {"busctl", "get-property", "org.exile1", "/org/exile1", "org.exile1.Manager", "State", "Degraded"},
		"STATUS=":    {"systemctl", "show", "-p", "StatusText", "exiled.service"},
		"journalctl": {"journalctl", "-q", "-x", "MESSAGE_ID=3c52cc56b2464469823b18ea07829228"},
	} {
		said := inside(t, g, command...)
		if !strings.Contains(strings.ToLower(said), "degraded") && name != "journalctl" || !strings.Contains(said, "no-unit:lost") {
			t.Errorf("%s says:\n%s", name, said)
		}
	}
	inside(t, g, "rm", "/etc/exile/exile.yaml.d/lost.yaml")
	inside(t, g, "exilectl", "reload")
	waitStatus(t, g, 0)
}

// worked returns the CPU time of units.
func worked(t *testing.T, g *target.Target, units ...string) time.Duration {
	t.Helper()
	s, err := systemd.Units(t.Context(), bus(g), units)
	if err != nil || !s.Exists || s.Worked <= 0 {
		t.Fatalf("%q: %+v, %v", units, s, err)
	}
	return s.Worked
}

// bus is the address of the host's bus, as seen from here.
func bus(g *target.Target) string { return "unix:path=" + g.Path("/run/dbus/system_bus_socket") }

// feed writes a file of the host and makes its folder.
func feed(t *testing.T, g *target.Target, text, path string) {
	t.Helper()
	if _, err := g.Feed(limit(t, patience), text, "install", "-D", "-m", "644", "/dev/stdin", path); err != nil {
		t.Fatal(err)
	}
}

// waitStatus waits until exilectl status exits with that code, and returns its output.
func waitStatus(t *testing.T, g *target.Target, code int) string {
	t.Helper()
	ctx := limit(t, patience)
	for {
		out, err := g.Run(ctx, "exilectl", "status", "--full")
		got := 0
		if exit, ok := errors.AsType[*exec.ExitError](err); ok {
			got = exit.ExitCode()
		}
		if got == code && ctx.Err() == nil {
			return out
		}
		select {
		case <-ctx.Done():
			t.Fatalf("exilectl status exits with %d, want %d: %v\n%s", got, code, err, out)
		case <-time.After(50 * time.Millisecond):
		}
	}
}
