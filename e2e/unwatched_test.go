package e2e

import (
	"context"
	"errors"
	"regexp"
	"strings"
	"testing"

	"exile/e2e/host"
	"exile/e2e/target"
)

// another is a second sshd, beside the host's.
const another = "[Service]\nType=notify\nExecStart=/usr/sbin/sshd -D -p %s -o PidFile=none\nRuntimeDirectory=sshd\nRuntimeDirectoryPreserve=yes\n"

// remedyText finds the text to write in a remedy.
var remedyText = regexp.MustCompile(`jails: \{.*?\}\}`)

// TestUnwatched: exiled reports other sshds that it does not know: one from what systemd says about it, one from the first
// line that it logs, and one that logs into a namespace of its own. Adding what the status suggests makes it watched.
func TestUnwatched(t *testing.T) {
	t.Parallel()
	g := boot(t, config("nftables"))
	a := attacker(t, g, "198.51.100.91")
	for unit, port := range map[string]string{"sshd-second": "2222", "bastion": "2223", "sshd-apart": "2224"} {
		feed(t, g, strings.Replace(another, "%s", port, 1), "/etc/systemd/system/"+unit+".service")
	}
	feed(t, g, "[Service]\nLogNamespace=apart\n", "/etc/systemd/system/sshd-apart.service.d/namespace.conf")
	inside(t, g, "systemctl", "daemon-reload")

	inside(t, g, "systemctl", "start", "bastion.service")
	guessAt(t, g, a, "2223")
	said := waitStatus(t, g, 3)
	if !strings.Contains(said, "unwatched:bastion.service") {
		t.Errorf("the status does not tell of bastion.service:\n%s", said)
	}
	feed(t, g, remedyText.FindString(said)+"\n", "/etc/exile/exile.yaml.d/units.yaml")
	inside(t, g, "systemctl", "reload", "exiled.service")
	waitStatus(t, g, 0)
	for range 3 {
		guessAt(t, g, a, "2223")
	}
	if _, err := g.WaitBan(limit(t, patience), a.Addr, 1); err != nil {
		t.Fatal(err)
	}

	inside(t, g, "systemctl", "start", "sshd-second.service", "sshd-apart.service")
	inside(t, g, "systemctl", "restart", "exiled.service") // it looks at its start, and once a minute
	said = waitStatus(t, g, 3)
	for _, words := range []string{"unwatched:sshd-second.service", "unwatched:sshd-apart.service", `namespace "apart"`} {
		if !strings.Contains(said, words) {
			t.Errorf("the status does not say %q:\n%s", words, said)
		}
	}
	feed(t, g, "jails: {sshd: {units: [ssh.service, bastion.service, sshd-apart.service, sshd-second.service]}}\n", "/etc/exile/exile.yaml.d/units.yaml")
	inside(t, g, "systemctl", "reload", "exiled.service")
	waitStatus(t, g, 0)
	c := attacker(t, g, "198.51.100.93")
	for range 4 { // its journal is found by what systemd says of the unit
		guessAt(t, g, c, "2224")
	}
	if _, err := g.WaitBan(limit(t, patience), c.Addr, 1); err != nil {
		t.Fatal(err)
	}
	inside(t, g, "systemctl", "stop", "sshd-second.service", "sshd-apart.service")
	inside(t, g, "systemctl", "restart", "exiled.service")
	waitStatus(t, g, 0)

	// A container whose /dev/log is the host's is a scope to systemd.
	inside(t, g, "systemd-run", "--quiet", "--no-block", "sh", "-c",
		"mkdir -p /run/sshd && exec systemd-run --scope --quiet --slice=machine.slice --unit=libpod-0123 /usr/sbin/sshd -D -p 2225 -o PidFile=none")
	b := attacker(t, g, "198.51.100.92")
	eventually(t, "the container's sshd listens", func() bool {
		conn, err := b.Dial(t.Context(), 2225)
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	})
	guessAt(t, g, b, "2225")
	if said := waitStatus(t, g, 3); !strings.Contains(said, "unwatched:libpod-0123.scope") {
		t.Errorf("the status does not tell of a container:\n%s", said)
	}
}

// guessAt guesses once at another port.
func guessAt(t *testing.T, g *target.Target, a *host.Attacker, port string) {
	t.Helper()
	options := []string{"-F", "none", "-l", "root", "-p", port, "-o", "NumberOfPasswordPrompts=1"}
	err := untilBanned(t, g, a, func(ctx context.Context) error {
		_, err := a.SSH(ctx, options, "wrong")
		return err
	})
	if !errors.Is(err, host.ErrDenied) && !errors.Is(err, host.ErrCut) {
		t.Fatalf("a guess at port %s: %v", port, err)
	}
}
