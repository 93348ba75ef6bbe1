package e2e

import (
	"fmt"
	"strings"
	"testing"

	"exile/e2e/host"
	"exile/e2e/target"
)

// TestDisk: on a full disk of 1 MB, and on a read-only one, banning goes on and the status says what is wrong. When the disk
// has room again the state catches up; after a restart the log is read again from the last stored position, and bans made
// meanwhile get the same duration again.
func TestDisk(t *testing.T) {
	t.Parallel()
	g := off(t, config("auto"))
	inside(t, g, "sh", "-c", "mkdir -p /var/lib/exile && mount -t tmpfs -o size=1m tmpfs /var/lib/exile")
	if err := g.Activate(t.Context()); err != nil {
		t.Fatal(err)
	}
	inside(t, g, "sh", "-c", "dd if=/dev/zero of=/var/lib/exile/ballast bs=4k 2>/dev/null; true")
	banMany(t, g)
	unwell(t, g, "state-failed: ")
	full := banDegraded(t, g, "198.51.100.7")
	inside(t, g, "rm", "/var/lib/exile/ballast")
	well(t, g)

	inside(t, g, "sh", "-c", "systemctl stop exiled && mount -o remount,ro /var/lib/exile && systemctl start exiled")
	silent(t, full)
	readOnly := banDegraded(t, g, "2001:db8:bad::7")
	unwell(t, g, "state-failed: ")
	before := inside(t, g, "exilectl", "list-bans", "--json=short")
	// The mounts of exiled's sandbox keep the flags that the host's mounts had when it started.
	inside(t, g, "sh", "-c", "mount -o remount,rw /var/lib/exile && systemctl restart exiled")
	well(t, g)
	if after := inside(t, g, "exilectl", "list-bans", "--json=short"); after != before {
		t.Errorf("banned before the restart:\n%s\nafter it:\n%s", before, after)
	}
	for _, a := range []*host.Attacker{full, readOnly} {
		silent(t, a)
	}
}

// banMany bans more than fits, until the disk refuses.
func banMany(t *testing.T, g *target.Target) {
	t.Helper()
	var bans strings.Builder
	for i := range 2000 {
		fmt.Fprintf(&bans, "{\"address\":\"10.0.%d.%d\",\"jail\":\"sshd\",\"until_usec\":null,\"reason\":%q}\n", i/250, i%250, "to fill the disk")
	}
	_, _ = g.Feed(t.Context(), bans.String(), "timeout", "8", "exilectl", "import", "-q") // each waits for the disk once it is full
}

// banDegraded bans an attacker through log lines.
func banDegraded(t *testing.T, g *target.Target, addr string) *host.Attacker {
	t.Helper()
	a := attacker(t, g, addr)
	guess(t, a, 3)
	lastGuess(t, g, a)
	banned(t, g, a, 1)
	silent(t, a)
	return a
}

func unwell(t *testing.T, g *target.Target, want string) {
	t.Helper()
	eventually(t, "the status is degraded because of "+want, func() bool {
		said, err := g.Run(t.Context(), "exilectl", "status", "-n0")
		return err != nil && strings.Contains(said, want) && strings.Contains(said, "State: degraded")
	})
}

func well(t *testing.T, g *target.Target) {
	t.Helper()
	eventually(t, "the state catches up", func() bool { return inside(t, g, "exilectl", "show", "-P", "State") == "running" })
}
