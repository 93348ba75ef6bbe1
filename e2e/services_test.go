package e2e

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"exile/e2e/host"
	"exile/e2e/target"
)

// service is a server besides sshd, from Debian's package, whose filter ships.
type service struct {
	binary  string // without it the test is skipped
	prepare string // makes the server log to the journal, and starts it
	port    uint16
	guess   func(t *testing.T, a *host.Attacker) // is refused once
}

var serviced = map[string]service{
	"vsftpd": {
		binary: "/usr/sbin/vsftpd",
		prepare: "printf '%s\\n' listen=NO listen_ipv6=YES local_enable=YES anonymous_enable=NO syslog_enable=YES " +
			"pam_service_name=vsftpd secure_chroot_dir=/run >/etc/vsftpd.conf && systemctl start vsftpd",
		port:  21,
		guess: guessFTP,
	},
	"nginx-http-auth": {
		binary: "/usr/sbin/nginx",
		prepare: "printf 'bob:{PLAIN}right\\n' >/etc/nginx/passwd && chmod 644 /etc/nginx/passwd && " +
			"printf '%s\\n' 'events {}' 'error_log syslog:server=unix:/dev/log,nohostname;' 'http { server { listen 80; listen [::]:80; " +
			"access_log off; auth_basic x; auth_basic_user_file passwd; root /usr/share; } }' >/etc/nginx/nginx.conf && " +
			"rm -f /var/log/nginx/*access.log && systemctl start nginx",
		port:  80,
		guess: guessHTTP,
	},
}

// TestServices: a jail for another service is one command. Its third guess bans, on the ports of the service; sshd still answers, and so does
// the service to others.
func TestServices(t *testing.T) {
	t.Parallel()
	g := boot(t, config("nftables"))
	n := byte(10)
	for jail, s := range serviced {
		if _, err := g.Run(t.Context(), "test", "-x", s.binary); err != nil {
			t.Errorf("%s is not installed: make deps", s.binary)
			continue
		}
		inside(t, g, "sh", "-ec", s.prepare)
		if got := inside(t, g, "exilectl", "enable", jail); !strings.Contains(got, "which is in force") {
			t.Errorf("enable %s says %s", jail, got)
		}
		inside(t, g, "sh", "-ec", fmt.Sprintf("printf 'jails: {%s: {maxretry: 3}}\\n' >/etc/exile/exile.yaml.d/60.yaml && exilectl reload", jail))
		for _, addr := range []netip.Addr{netip.AddrFrom4([4]byte{198, 51, 100, n}), netip.MustParseAddr(fmt.Sprintf("2001:db8:bad:%d::7", n))} {
			served(t, g, jail, s, addr)
		}
		n++
		inside(t, g, "exilectl", "disable", jail)
	}
}

// served has an address guess at a service until it is banned.
func served(t *testing.T, g *target.Target, jail string, s service, addr netip.Addr) {
	t.Helper()
	a := attacker(t, g, addr.String())
	for range 3 {
		s.guess(t, a)
	}
	ban, err := g.WaitBan(limit(t, 10*time.Second), addr, 1)
	if err != nil {
		t.Fatalf("%s: %v\n%s", jail, err, inside(t, g, "journalctl", "-b", "-n", "20"))
	}
	if ban.Jail != jail || ban.Failures != 3 {
		t.Errorf("%s: banned by jail %q after %d attempts", addr, ban.Jail, ban.Failures)
	}
	if conn, err := a.Dial(limit(t, 3*time.Second), s.port); err == nil {
		t.Errorf("%s reaches port %d", addr, s.port)
		_ = conn.Close()
	}
	greeted(t, a)
	other := attacker(t, g, map[bool]string{true: "198.51.100.200", false: "2001:db8:600d::8"}[addr.Is4()])
	conn, err := other.Dial(t.Context(), s.port)
	if err != nil {
		t.Fatalf("%s: nobody else gets in: %v", jail, err)
	}
	_ = conn.Close()
}

// guessFTP logs in with a wrong password.
func guessFTP(t *testing.T, a *host.Attacker) {
	t.Helper()
	conn, err := a.Dial(t.Context(), 21)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	r := bufio.NewReader(conn)
	for _, step := range []struct{ say, want string }{{"", "220"}, {"USER root\r\n", "331"}, {"PASS wrong\r\n", "530"}} {
		if _, err := io.WriteString(conn, step.say); err != nil {
			t.Fatal(err)
		}
		line, err := r.ReadString('\n')
		if step.want == "530" && errors.Is(err, syscall.ECONNRESET) {
			return // the ban was faster than the answer
		}
		if err != nil || !strings.HasPrefix(line, step.want) {
			t.Fatalf("the FTP server says %q (%v), want %s", line, err, step.want)
		}
	}
}

// guessHTTP asks for a page with a wrong password.
func guessHTTP(t *testing.T, a *host.Attacker) {
	t.Helper()
	conn, err := a.Dial(t.Context(), 80)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://host.example/", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.SetBasicAuth("bob", "wrong")
	req.Close = true
	if err := req.Write(conn); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusUnauthorized {
		t.Fatalf("nginx answers %s", resp.Status)
	}
}
