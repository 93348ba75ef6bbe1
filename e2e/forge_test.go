package e2e

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestForgedLines: a local user without rights writes perfect sshd lines in every way that a local user has, and bans nobody.
func TestForgedLines(t *testing.T) {
	t.Parallel()
	g := boot(t, config("auto"))
	if err := g.AddUser(t.Context(), "mallory", "a known secret"); err != nil {
		t.Fatal(err)
	}
	shell := attacker(t, g, "203.0.113.5")
	for victim, write := range map[string]string{
		"203.0.113.61": `logger -t sshd -p auth.info -- "$line"`,
		"203.0.113.62": `logger -t sshd --id=1 -p authpriv.info -- "$line"`,
		"203.0.113.63": `cp /usr/bin/logger ~/sshd && ~/sshd -t sshd -- "$line"`,
		"203.0.113.64": `cp /bin/cat ~/sshd-session && printf '<38>sshd[77]: %s' "$line" | systemd-cat -t sshd ~/sshd-session`,
		"203.0.113.65": `printf 'SYSLOG_IDENTIFIER=sshd\n_SYSTEMD_UNIT=ssh.service\n_UID=0\n_COMM=sshd\nMESSAGE=%s\n' "$line" | logger --journald`,
		"203.0.113.66": `systemd-run --user --wait -q --unit=ssh.service --property=SyslogIdentifier=sshd /bin/echo "$line"`,
		"203.0.113.67": `systemd-run --user --wait -q --unit=sshd@1.service /usr/bin/logger -t sshd "$line"`,
	} {
		script := fmt.Sprintf(`for n in 1 2 3 4 5; do line="Failed password for root from %s port 4${n}22 ssh2"; %s; done`, victim, write)
		if _, err := shell.Login(t.Context(), "mallory", "a known secret", script); err != nil {
			t.Errorf("write with %q: %v", write, err)
		}
	}
	inside(t, g, "journalctl", "--sync")
	log := inside(t, g, "journalctl", "-b", "-o", "cat")
	for n := 61; n <= 67; n++ {
		if line := fmt.Sprintf("Failed password for root from 203.0.113.%d port 4522 ssh2", n); !strings.Contains(log, line) {
			t.Errorf("the journal lacks %q: nothing was tested", line)
		}
	}
	// A real attack comes behind all of that in the journal: when it is banned, the forged lines have been read.
	a := attacker(t, g, "198.51.100.7")
	guess(t, a, 3)
	lastGuess(t, a)
	banned(t, g, a, 1)
	got, err := g.Banned(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"198.51.100.7/32"}, text(got)); diff != "" {
		t.Errorf("banned (-want +got):\n%s", diff)
	}
}

func text(prefixes []netip.Prefix) []string {
	var out []string
	for _, p := range prefixes {
		out = append(out, p.String())
	}
	return out
}
