package e2e

import (
	"errors"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// TestStoppedStaysStopped: a stopped exiled stays stopped although somebody asks for its state over the bus or a socket. A
// ban starts it, and a question waits while it starts.
func TestStoppedStaysStopped(t *testing.T) {
	t.Parallel()
	g := boot(t, config("auto"))
	inside(t, g, "systemctl", "enable", "exiled.socket", "exiled-metrics.socket")
	inside(t, g, "systemctl", "restart", "exiled")
	if got := inside(t, g, "bash", "-c", scrape); !strings.Contains(got, "\nexile_bans_wanted 0\n") {
		t.Errorf("no metrics: %q", got)
	}
	inside(t, g, "systemctl", "stop", "exiled")
	for _, ask := range []string{
		"exilectl status", "exilectl", "exilectl list-bans", "exilectl is-banned 192.0.2.1", "exilectl show", "exilectl monitor", "exilectl export",
		"exilectl log-level", "exilectl reload", "exilectl statistics",
		"DBUS_SYSTEM_BUS_ADDRESS=unix:path=/nonexistent exilectl status",
	} {
		out, err := g.Run(t.Context(), "sh", "-c", ask+" 2>&1")
		if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != 7 || !strings.Contains(out, "systemctl start exiled") {
			t.Errorf("%q with exiled stopped: %v, %q", ask, err, out)
		}
		notRunning(t, g)
	}
	inside(t, g, "sh", "-c", "exilectl __complete unban '' 2>/dev/null")
	_, _ = g.Run(t.Context(), "bash", "-c", scrape) // is refused
	_, _ = g.Run(t.Context(), "varlinkctl", "call", "/run/exile/org.exile1", "org.exile1.GetStatus", "{}")
	notRunning(t, g)

	inside(t, g, "exilectl", "ban", "203.0.113.9")
	inside(t, g, "sh", "-c", "systemctl kill --signal=SIGKILL exiled; sleep 0.1; exilectl is-banned 203.0.113.9") // it starts again by itself
	inside(t, g, "systemctl", "is-active", "exiled.socket", "exiled-metrics.socket")
	eventually(t, "there are metrics after a start", func() bool { // its socket starts again with it
		got, err := g.Run(limit(t, 30*time.Second), "bash", "-c", scrape)
		return err == nil && strings.Contains(got, "\nexile_bans_wanted 1\n")
	})
	inside(t, g, "sh", "-c", "systemctl --no-block restart exiled; exilectl status")
	inside(t, g, "sh", "-c", "DBUS_SYSTEM_BUS_ADDRESS=unix:path=/nonexistent exilectl is-banned 203.0.113.9")
}
