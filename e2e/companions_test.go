package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"exile/e2e/target"
)

// companion returns the .deb of a package beside exile's.
func companion(t *testing.T, deb, name string) string {
	t.Helper()
	found, _ := filepath.Glob(filepath.Join(filepath.Dir(deb), name+"_*.deb")) // the pattern is well formed
	if len(found) != 1 {
		t.Fatalf("beside %s are %q, want one .deb", deb, found)
	}
	return found[0]
}

// asFail2ban installs the package with fail2ban's command line, which leaves nothing when it is removed.
func asFail2ban(t *testing.T, g *target.Target, deb string) {
	t.Helper()
	dpkg(t, g, "-i", companion(t, deb, "exile-fail2ban-compat"))
	inside(t, g, "fail2ban-client", "set", "sshd", "banip", "203.0.113.99")
	if got, want := inside(t, g, "fail2ban-client", "status", "sshd"), "\n   |- Currently banned:\t1\n   |- Total banned:\t1\n   `- Banned IP list:\t203.0.113.99"; !strings.Contains(got, want) {
		t.Errorf("the status of sshd is:\n%s", got)
	}
	if got := inside(t, g, "fail2ban-client", "set", "sshd", "unbanip", "203.0.113.99"); got != "1" {
		t.Errorf("%q addresses are unbanned, want one", got)
	}
	dpkg(t, g, "-P", "exile-fail2ban-compat")
}

// bouncer is where internal/tools/fail2ban.sh has put Debian's firewall bouncer for CrowdSec, unpacked.
const bouncer = "/var/cache/exile/fail2ban/bouncer/usr/bin/crowdsec-firewall-bouncer"

// bouncerConfig is for that bouncer: sets of its own, without rules.
const bouncerConfig = `mode: nftables
update_frequency: 1s
log_mode: stdout
log_level: debug
api_url: http://127.0.0.1:8080/
api_key: KEY
nftables:
  ipv4: {enabled: true, set-only: false, table: crowdsec, chain: crowdsec-chain}
  ipv6: {enabled: true, set-only: false, table: crowdsec6, chain: crowdsec6-chain}
`

// asCrowdSec installs the service for bouncers, and runs a real one: what exiled bans is in its sets, and what it lifts leaves them, also if
// that happened while the service did not run.
func asCrowdSec(t *testing.T, g *target.Target, deb string) {
	t.Helper()
	dpkg(t, g, "-i", companion(t, deb, "exile-lapi"))
	key := inside(t, g, "exile-lapi", "add-key", "firewall")
	inside(t, g, "systemctl", "start", "exile-lapi.socket")
	for _, addr := range []string{"203.0.113.98", "2001:db8:98::/64"} {
		inside(t, g, "exilectl", "ban", "--duration=1h", addr)
	}
	eventually(t, "the service answers", func() bool {
		out, err := g.Run(t.Context(), "bash", "-c", `exec 3<>/dev/tcp/127.0.0.1/8080; printf 'GET /v1/decisions?ip=203.0.113.98 HTTP/1.0\r\nX-Api-Key: `+key+`\r\n\r\n' >&3; cat <&3`)
		return err == nil && strings.Contains(out, `"scenario":"exile/sshd","scope":"Ip","type":"ban","value":"203.0.113.98"}]`)
	})
	t.Run("bouncer", func(t *testing.T) { realBouncer(t, g, key) })
	inside(t, g, "exilectl", "unban", "203.0.113.98", "2001:db8:98::/64")
	dpkg(t, g, "-P", "exile-lapi")
}

func realBouncer(t *testing.T, g *target.Target, key string) {
	t.Helper()
	if _, err := os.Stat(bouncer); err != nil {
		t.Skipf("SKIPPED, NOTHING WAS TESTED WITH A BOUNCER: %v; run internal/tools/fail2ban.sh as root", err)
	}
	file := carry(t, g, bouncer)
	inside(t, g, "chmod", "755", file)
	feed(t, g, strings.Replace(bouncerConfig, "KEY", key, 1), "/tmp/bouncer.yaml")
	inside(t, g, "systemd-run", "--unit=bouncer", file, "-c", "/tmp/bouncer.yaml")
	holds := func(want bool, addr string) {
		t.Helper()
		said := ""
		eventually(t, "the bouncer knows of "+addr, func() bool {
			said = inside(t, g, "nft", "list", "ruleset")
			return strings.Contains(said, addr) == want && strings.Contains(said, "table ip crowdsec ")
		})
	}
	holds(true, "203.0.113.98")
	holds(true, "2001:db8:98::")
	inside(t, g, "exilectl", "ban", "--duration=1h", "203.0.113.97")
	holds(true, "203.0.113.97")
	inside(t, g, "exilectl", "unban", "203.0.113.97")
	holds(false, "203.0.113.97")
	inside(t, g, "systemctl", "stop", "exile-lapi.socket", "exile-lapi.service")
	inside(t, g, "exilectl", "unban", "203.0.113.98")
	inside(t, g, "systemctl", "start", "exile-lapi.socket")
	holds(false, "203.0.113.98")
	inside(t, g, "systemctl", "stop", "bouncer.service")
	inside(t, g, "sh", "-c", "rm -f /tmp/bouncer.yaml "+file+"; for t in 'ip crowdsec' 'ip6 crowdsec6'; do nft delete table $t 2>/dev/null || true; done")
}
