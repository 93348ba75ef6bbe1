package e2e

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"exile/e2e/target"
)

// hookProgram prints what it is told, and what its sandbox lets it do.
const hookProgram = `#!/bin/sh
printf 'told %s\n' "$(cat)"
touch /etc/taken /var/lib/exile/taken /var/lib/exile-actions/taken 2>/dev/null && echo 'wrote a file'
[ "$(id -u)" -ne 0 ] || echo 'is root'
[ -z "$(ls -A /etc/exile/credentials 2>/dev/null)" ] || echo 'reads secrets'
bash -c 'exec 3<>/dev/tcp/127.0.0.1/8080' 2>/dev/null && echo 'has a network'
exit 0
`

// sendmailProgram is a mail server that keeps mail in a file.
const sendmailProgram = "#!/bin/sh\n{ echo \"args $*\"; cat; echo; } >>/var/lib/exile-actions/sent\n"

// webServer answers each connection and appends what it was sent to a file.
const webServer = `use IO::Socket::INET; my $l = IO::Socket::INET->new(LocalAddr => "127.0.0.1", LocalPort => 8080, Listen => 9, ReuseAddr => 1) or die;
while (my $c = $l->accept) { my $n = 0; open my $f, ">>", "/run/posted"; while (<$c>) { print $f $_; $n = $1 if /^content-length: (\d+)/i; last if /^\r?$/ }
read $c, my $b, $n; print $f "$b\n"; close $f; print $c "HTTP/1.0 200 OK\r\n\r\n"; close $c }`

// actionFiles are the actions of the test.
var actionFiles = map[string]string{
	"hook":  "on: [ban, unban]\nprogram: [/usr/local/bin/hook]\n",
	"stuck": "timeout: 10m\nprogram: [/bin/sleep, 600]\n",
	"mail":  "mail: {to: root, from: exile@example.org, sendmail: /usr/local/bin/sendmail}\n",
	"post":  "webhook: {url: http://127.0.0.1:8080/hook, token: hook}\n",
	"web":   "deny_list: {format: nginx, reload: nginx.service, every: 1s}\n",
	"wrong": "programm: /bin/true\n",

	"weekly": "on: [report]\nmail: {to: root, sendmail: /usr/local/bin/sendmail}\n",
}

// TestActions: a ban of an attacker on sshd runs a program in its sandbox, sends mail, posts to a webhook and closes nginx, which sits behind
// a proxy; an action that hangs delays none of that, and no ban; and nothing is lost over restarts and kills of the service, nor told twice over a restart.
func TestActions(t *testing.T) {
	t.Parallel()
	g := off(t, config("nftables"))
	feed(t, g, hookProgram, "/usr/local/bin/hook")
	feed(t, g, sendmailProgram, "/usr/local/bin/sendmail")
	feed(t, g, webServer, "/run/server.pl")
	feed(t, g, "s3cret\n", "/etc/exile/credentials/hook")
	inside(t, g, "mount", "--make-rshared", "/") // as systemd does on a real host; it passes credentials by such a mount
	inside(t, g, "sh", "-ec", "chmod 755 /usr/local/bin/hook /usr/local/bin/sendmail; chmod -R go= /etc/exile/credentials; "+
		"systemd-run -q --unit=server perl /run/server.pl")
	if err := g.Activate(limit(t, patience)); err != nil {
		t.Fatal(err)
	}
	if got := inside(t, g, "sh", "-c", "systemctl is-enabled exiled-actions.service; systemctl is-active exiled-actions.service exiled-actions-program.socket; "+
		"ls /run/exile-actions 2>/dev/null; true"); got != "enabled\ninactive\ninactive" {
		t.Errorf("without actions: %q", got)
	}
	for name, text := range actionFiles {
		feed(t, g, text, "/etc/exile/actions.d/"+name+".yaml")
	}
	if said, err := g.Run(t.Context(), "sh", "-c", "exilectl check-config 2>&1"); err == nil || !strings.Contains(said, `wrong.yaml:1: "programm" is not one of`) {
		t.Errorf("check-config says %v: %s", err, said)
	}
	if got := inside(t, g, "exilectl", "check-config", "/etc/exile/actions.d/hook.yaml"); got != "Action hook: program (/etc/exile/actions.d/hook.yaml)." {
		t.Errorf("check-config says %s", got)
	}
	inside(t, g, "systemctl", "start", "exiled-actions.service")
	guarded := behindProxy(t, g)

	a := attacker(t, g, "198.51.100.61")
	guess(t, a, 3)
	lastGuess(t, g, a)
	banned(t, g, a, 1)
	actedOn(t, g, a.Addr.String())
	if guarded {
		eventually(t, "nginx refuses the address", func() bool { return proxied(t, g, a.Addr.String()) == "403" })
	}
	// While one action hangs.
	eventually(t, "an action hangs", func() bool { return inside(t, g, "sh", "-c", "pgrep -c -x sleep || true") != "0" })
	b := attacker(t, g, "203.0.113.62")
	guess(t, b, 3)
	lastGuess(t, g, b)
	banned(t, g, b, 1)
	actedOn(t, g, b.Addr.String())

	inside(t, g, "systemctl", "stop", "exiled-actions.service")
	inside(t, g, "exilectl", "ban", "192.0.2.71")
	inside(t, g, "exilectl", "unban", "203.0.113.62")
	inside(t, g, "systemctl", "start", "exiled-actions.service")
	actedOn(t, g, "192.0.2.71")
	eventually(t, "the program is told of an unban", func() bool { return slices.Contains(hooked(t, g), "unban 203.0.113.62") })
	if got := inside(t, g, "sh", "-c", "journalctl -b -q -o cat -u 'exiled-actions-program@*' | grep -c '^told '"); got != "4" {
		t.Errorf("the program ran %s times for 4 events", got)
	}
	hanging := func() string { return inside(t, g, "sh", "-c", "pgrep -c -x sleep || true") }
	eventually(t, "the action hangs again", func() bool { return hanging() != "0" })
	if got := hanging(); got != "1" {
		t.Errorf("%s runs of the action that hangs", got)
	}
	for n := range 3 {
		inside(t, g, "systemctl", "kill", "--signal=KILL", "exiled-actions.service")
		inside(t, g, "exilectl", "ban", fmt.Sprintf("192.0.2.8%d", n))
	}
	actedOn(t, g, "192.0.2.82")
	want := []string{
		"ban 198.51.100.61", "ban 203.0.113.62", "ban 192.0.2.71", "unban 203.0.113.62", "ban 192.0.2.80", "ban 192.0.2.81", "ban 192.0.2.82",
	}
	if got := hooked(t, g); !slices.Equal(got, want) {
		t.Errorf("the program was told %q, want %q", got, want)
	}
	if guarded {
		eventually(t, "nginx knows who is banned", func() bool {
			return proxied(t, g, "192.0.2.82") == "403" && proxied(t, g, "203.0.113.62") == "200"
		})
	}
	reported(t, g)
	sandboxed(t, g)
}

// reported checks that the unit of the weekly report, which is off as shipped, makes and mails one in its sandbox.
func reported(t *testing.T, g *target.Target) {
	t.Helper()
	if got, _ := g.Run(t.Context(), "systemctl", "is-enabled", "exiled-mail-report.timer"); strings.TrimSpace(got) != "disabled" {
		t.Errorf("the timer is %s", got)
	}
	inside(t, g, "systemctl", "start", "exiled-mail-report.service")
	sent := inside(t, g, "cat", "/var/lib/exile-actions/sent")
	for _, want := range []string{"Content-Type: multipart/mixed", "\nAddresses with most attempts\n", " 198.51.100.61\n", "filename=\"report.html\""} {
		if !strings.Contains(sent, want) {
			t.Errorf("the report has no %q:\n%s\n%s", want, sent, inside(t, g, "journalctl", "-b", "-q", "-o", "cat", "-u", "exiled-mail-report"))
		}
	}
	inside(t, g, "systemd-analyze", "security", "--no-pager", "--threshold=4", "exiled-mail-report.service")
}

// actedOn waits until the actions were told of a ban.
func actedOn(t *testing.T, g *target.Target, address string) {
	t.Helper()
	eventually(t, "the program is told of "+address, func() bool { return slices.Contains(hooked(t, g), "ban "+address) })
	eventually(t, "mail about "+address, func() bool {
		return strings.Contains(inside(t, g, "sh", "-c", "cat /var/lib/exile-actions/sent 2>/dev/null || true"), ": "+address+" banned in jail")
	})
	eventually(t, "a post about "+address, func() bool {
		return strings.Contains(inside(t, g, "sh", "-c", "cat /run/posted 2>/dev/null || true"), `"address":"`+address+`"`)
	})
	eventually(t, "the list has "+address, func() bool {
		return strings.Contains(inside(t, g, "cat", "/var/lib/exile-actions/lists/web.list"), "\ndeny "+address+";")
	})
}

// hooked is what the program was told, in order. What it was told again, as after a kill in the middle of a run, has the same identifier.
func hooked(t *testing.T, g *target.Target) (all []string) {
	t.Helper()
	seen := map[string]bool{}
	for line := range strings.Lines(inside(t, g, "sh", "-c", "journalctl -b -q -o cat -u 'exiled-actions-program@*' | grep '^told ' || true")) {
		var told struct {
			ID    string
			Event struct {
				Kind string
				Ban  struct{ Address string }
			}
		}
		if err := json.Unmarshal([]byte(strings.TrimPrefix(line, "told ")), &told); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		if !seen[told.ID] {
			all = append(all, told.Event.Kind+" "+told.Event.Ban.Address)
		}
		seen[told.ID] = true
	}
	return all
}

// behindProxy starts nginx as behind a proxy, if it is there.
func behindProxy(t *testing.T, g *target.Target) bool {
	t.Helper()
	if _, err := g.Run(t.Context(), "test", "-x", "/usr/sbin/nginx"); err != nil {
		t.Error("/usr/sbin/nginx is not installed: make deps")
		return false
	}
	eventually(t, "there is a list", func() bool {
		_, err := g.Run(t.Context(), "test", "-s", "/var/lib/exile-actions/lists/web.list")
		return err == nil
	})
	feed(t, g, "events {}\nhttp { server { listen 80; access_log off; set_real_ip_from 127.0.0.1; real_ip_header X-Forwarded-For;\n"+
		"include /var/lib/exile-actions/lists/web.list; location / { empty_gif; } } }\n", "/etc/nginx/nginx.conf")
	inside(t, g, "systemctl", "start", "nginx.service")
	if got := proxied(t, g, "198.51.100.61"); got != "200" {
		t.Fatalf("nginx answers %q before the ban", got)
	}
	return true
}

// proxied is the status with which nginx answers a client whose address the proxy says.
func proxied(t *testing.T, g *target.Target, address string) string {
	t.Helper()
	const get = `exec 3<>/dev/tcp/127.0.0.1/80 && printf 'GET / HTTP/1.0\r\nX-Forwarded-For: %s\r\n\r\n' "$0" >&3 && head -1 <&3 | cut -d' ' -f2`
	return inside(t, g, "bash", "-c", get, address)
}

// sandboxed checks what the helpers could not do, that the secret reached only whom it should, and that the mistake is reported.
func sandboxed(t *testing.T, g *target.Target) {
	t.Helper()
	log := inside(t, g, "journalctl", "-b", "-q", "-o", "cat", "-u", "exiled-actions*")
	for _, bad := range []string{"wrote a file", "is root", "reads secrets", "has a network", "status=31/SYS", "s3cret"} {
		if strings.Contains(log, bad) {
			t.Errorf("the log has %q:\n%s", bad, log)
		}
	}
	if !strings.Contains(log, `wrong.yaml:1: \"programm\" is not one of`) {
		t.Errorf("the mistake in a file is not reported:\n%s", log)
	}
	if got := inside(t, g, "cat", "/run/posted"); !strings.Contains(got, "POST /hook HTTP/1.1") || !strings.Contains(got, "Authorization: Bearer s3cret") {
		t.Errorf("posted:\n%s", got)
	}
	if got := inside(t, g, "cat", "/var/lib/exile-actions/sent"); !strings.Contains(got, "args -t -oi\nFrom: exile@example.org\nTo: root\n") {
		t.Errorf("sent:\n%s", got)
	}
	for unit, most := range map[string]string{"exiled-actions": "4", "exiled-actions-program@x": "4", "exiled-actions-reload@x": "7", "exiled-actions-network@x": "12"} {
		inside(t, g, "systemd-analyze", "security", "--no-pager", "--threshold="+most, unit+".service")
	}
	for name, mode := range map[string]string{"queue.db": "exile-actions:systemd-journal:600", "status.json": "exile-actions:systemd-journal:640", "lists/web.list": "exile-actions:systemd-journal:644"} {
		if got := inside(t, g, "stat", "-c", "%U:%G:%a", "/var/lib/exile-actions/"+name); got != mode {
			t.Errorf("%s is %s, want %s", name, got, mode)
		}
	}
	if said, err := g.Run(t.Context(), "exilectl", "actions"); err == nil || !strings.Contains(said, "Problem: /etc/exile/actions.d/wrong.yaml:1: ") {
		t.Errorf("exilectl actions: %v: %s", err, said)
	}
	eventually(t, "everybody may read the metrics", func() bool {
		got, _ := g.Run(t.Context(), "runuser", "-u", "nobody", "--", "cat", "/var/lib/exile-actions/metrics.prom")
		return strings.Contains(got, "\nexile_action_done_total{action=\"hook\",kind=\"program\"} ")
	})
}
