package e2e

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"exile/e2e/host"
	"exile/e2e/target"
)

// service is a server besides sshd, from Debian's package, whose filter ships.
type service struct {
	jail    string
	program string // which make deps installs
	prepare string // lets Debian's configuration refuse a password, and starts the server
	unit    string
	ports   []uint16                                    // of TCP, where the server listens
	guess   func(context.Context, *host.Attacker) error // is refused once; else the error says what happened instead
}

// unpackFTP unpacks the package of vsftpd, in which only these files are needed. Debian installs one server of FTP at a time.
const unpackFTP = "dpkg-deb -x /var/cache/exile/vsftpd.deb /tmp/v; cd /tmp/v; cp usr/sbin/vsftpd /usr/sbin; cp etc/pam.d/vsftpd /etc/pam.d; " +
	"find . -name vsftpd.service -exec cp {} /etc/systemd/system ';'; systemctl daemon-reload"

// startFTP starts vsftpd, which logs to the journal.
const startFTP = "printf '%s\\n' listen=NO listen_ipv6=YES local_enable=YES anonymous_enable=NO syslog_enable=YES " +
	"pam_service_name=vsftpd secure_chroot_dir=/run >/etc/vsftpd.conf; systemctl start vsftpd"

// serviced are the servers in groups. Those of a group listen on the same port, and run one after the other.
var serviced = [][]service{
	{
		{
			jail: "vsftpd", program: "/var/cache/exile/vsftpd.deb", unit: "vsftpd", ports: []uint16{21}, guess: guessFTP,
			prepare: startFTP,
		},
		{
			jail: "proftpd", program: "/usr/sbin/proftpd", unit: "proftpd", ports: []uint16{21}, guess: guessFTP,
			prepare: "systemctl start proftpd",
		},
	},
	{
		{
			jail: "nginx-http-auth", program: "/usr/sbin/nginx", unit: "nginx", ports: []uint16{80}, guess: guessHTTP,
			prepare: "printf 'bob:{PLAIN}right\\n' >/etc/nginx/passwd; chmod 644 /etc/nginx/passwd; " +
				"echo 'auth_basic x; auth_basic_user_file passwd;' >/etc/nginx/conf.d/private.conf; systemctl start nginx",
		},
		{
			jail: "apache-auth", program: "/usr/sbin/apache2", unit: "apache2", ports: []uint16{80}, guess: guessHTTP,
			prepare: "htpasswd -bc /etc/apache2/passwd bob right; printf '%s\\n' '<Location />' 'AuthType Basic' 'AuthName x' " +
				"'AuthUserFile /etc/apache2/passwd' 'Require valid-user' '</Location>' >/etc/apache2/conf-enabled/private.conf; systemctl start apache2",
		},
		{
			jail: "haproxy", program: "/usr/sbin/haproxy", unit: "haproxy", ports: []uint16{80}, guess: guessHTTP,
			prepare: "printf '%s\\n' 'userlist staff' 'user bob insecure-password right' 'frontend web' 'bind :::80 v4v6' " +
				"'http-request auth unless { http_auth(staff) }' >>/etc/haproxy/haproxy.cfg; systemctl start haproxy",
		},
	},
	{
		{
			jail: "dovecot", program: "/usr/lib/dovecot/imap", unit: "dovecot", ports: []uint16{143, 993}, guess: guessIMAP,
			prepare: "systemctl start dovecot",
		},
		{
			jail: "postfix-auth", program: "/usr/sbin/postfix", unit: "postfix", ports: []uint16{25}, guess: guessSMTP,
			// Dovecot checks the passwords, and would take longer from one to the next.
			prepare: "postconf -e smtpd_sasl_auth_enable=yes smtpd_sasl_type=dovecot smtpd_sasl_path=private/auth; systemctl start postfix; " +
				"printf '%s\\n' 'service auth {' 'unix_listener /var/spool/postfix/private/auth {' 'user = postfix' '}' '}' " +
				"'service anvil {' 'unix_listener anvil-auth-penalty {' 'mode = 0' '}' '}' 'auth_failure_delay = 0' " +
				">/etc/dovecot/conf.d/99-postfix.conf; systemctl restart dovecot",
		},
	},
	{{
		jail: "postgresql", program: "/usr/bin/pg_createcluster", unit: "postgresql", ports: []uint16{5432}, guess: guessSQL,
		prepare: "cd /etc/postgresql/*/main; printf '%s\\n' \"listen_addresses = '*'\" \"log_line_prefix = '%m [%p] %h '\" >>postgresql.conf; " +
			"echo 'host all all all password' >>pg_hba.conf; systemctl restart postgresql",
	}},
	{{
		// Without InnoDB it writes little, and each host has its disk in memory.
		jail: "mariadb-audit", program: "/usr/sbin/mariadbd", unit: "mariadb", ports: []uint16{3306}, guess: guessMariaDB,
		prepare: "echo \"CREATE USER bob@'%' IDENTIFIED BY 'right';\" >/etc/mysql/bob.sql; printf '%s\\n' '[mariadb]' bind_address=* skip_name_resolve " +
			"innodb=OFF default_storage_engine=Aria init_file=/etc/mysql/bob.sql plugin_load_add=server_audit server_audit_logging=ON " +
			"server_audit_output_type=syslog server_audit_events=CONNECT >/etc/mysql/mariadb.conf.d/99-test.cnf; systemctl start mariadb",
	}},
	{{
		jail: "named", program: "/usr/sbin/named", unit: "named", ports: []uint16{53}, guess: guessDNS,
		prepare: "systemctl start named",
	}},
}

// TestServices: a jail for another service is one command. A third guess at the service bans, on its ports; sshd still answers, and so does the
// service to others.
func TestServices(t *testing.T) {
	t.Parallel()
	g := boot(t, config("nftables"))
	enable, rules := []string{"exilectl", "enable"}, "jails:\n"
	for _, s := range slices.Concat(serviced...) {
		if _, err := g.Run(t.Context(), "test", "-e", s.program); err != nil {
			t.Fatalf("%s is not installed: make deps", s.program)
		}
		enable = append(enable, s.jail)
		rules += fmt.Sprintf("  %s: {maxretry: 3}\n", s.jail)
	}
	inside(t, g, "sh", "-ec", "useradd bob; echo bob:right | chpasswd; "+unpackFTP)
	if got := inside(t, g, enable...); strings.Count(got, "which is in force") != len(enable)-2 {
		t.Errorf("enable says %s", got)
	}
	feed(t, g, rules, "/etc/exile/exile.yaml.d/60.yaml")
	inside(t, g, "exilectl", "reload")
	// Not in tests of their own: these would run beside more hosts than make e2e lets.
	var all sync.WaitGroup
	for n, group := range serviced {
		all.Go(func() {
			for m, s := range group {
				if err := s.attacked(t.Context(), g, 10*n+m+10); err != nil {
					t.Errorf("%s: %v", s.jail, err)
				}
			}
		})
	}
	all.Wait()
	if t.Failed() {
		t.Log(inside(t, g, "journalctl", "-b", "-n", "100"))
	}
	waitStatus(t, g, 0)
}

// attacked starts the server, lets addresses of both families guess until they are banned, and stops it. The addresses differ by n.
func (s *service) attacked(ctx context.Context, g *target.Target, n int) error {
	if _, err := g.Run(ctx, "sh", "-ec", s.prepare); err != nil {
		return err
	}
	if err := s.wait(ctx, g); err != nil {
		return err
	}
	var all errgroup.Group
	for _, pair := range [][2]string{
		{fmt.Sprintf("198.51.100.%d", n), "198.51.100.200"}, {fmt.Sprintf("2001:db8:bad:%d::7", n), "2001:db8:600d::8"},
	} {
		all.Go(func() error {
			a, err := g.Attacker(netip.MustParseAddr(pair[0]))
			if err != nil {
				return err
			}
			other, err := g.Attacker(netip.MustParseAddr(pair[1]))
			if err != nil {
				return err
			}
			return s.guessed(ctx, g, a, other)
		})
	}
	err := all.Wait()
	_, errStop := g.Run(ctx, "systemctl", "stop", s.unit)
	return errors.Join(err, errStop)
}

// guessed has a guess until it is banned.
func (s *service) guessed(ctx context.Context, g *target.Target, a, other *host.Attacker) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for n := range 3 {
		// The last guess may be cut off by the ban before it is answered.
		err := until(ctx, func(ctx context.Context) error { return s.guess(ctx, a) }, func(ctx context.Context) bool {
			is, err := g.IsBanned(ctx, a.Addr)
			return is && err == nil
		})
		if err != nil && n < 2 {
			return fmt.Errorf("guess %d of %s: %w", n+1, a.Addr, err)
		}
	}
	ban, err := g.WaitBan(ctx, a.Addr, 1)
	if err != nil {
		return err
	}
	if ban.Jail != s.jail || ban.Failures != 3 {
		return fmt.Errorf("%s is banned by jail %q after %d attempts", a.Addr, ban.Jail, ban.Failures)
	}
	if err := s.shut(ctx, a); err != nil {
		return err
	}
	if _, err := a.Banner(ctx); err != nil {
		return fmt.Errorf("%s does not reach sshd: %w", a.Addr, err)
	}
	if err := s.guess(ctx, other); err != nil {
		return fmt.Errorf("%s, who is not banned: %w", other.Addr, err)
	}
	return nil
}

// wait waits until the server listens.
func (s *service) wait(ctx context.Context, g *target.Target) error {
	a, err := g.Attacker(netip.MustParseAddr("198.51.100.200"))
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for _, port := range s.ports {
		for {
			conn, err := a.Dial(ctx, port)
			if err == nil {
				_ = conn.Close()
				break
			}
			select {
			case <-ctx.Done():
				return fmt.Errorf("wait for port %d: %w", port, err)
			case <-time.After(20 * time.Millisecond):
			}
		}
	}
	return nil
}

// shut reports an error if a banned address still reaches the server.
func (s *service) shut(ctx context.Context, a *host.Attacker) error {
	ctx, cancel := context.WithTimeout(ctx, host.Silence)
	defer cancel()
	var all errgroup.Group
	for _, port := range s.ports {
		all.Go(func() error {
			conn, err := a.Dial(ctx, port)
			if err == nil {
				return errors.Join(fmt.Errorf("%s reaches port %d", a.Addr, port), conn.Close())
			}
			return nil
		})
	}
	all.Go(func() error {
		if err := s.guess(ctx, a); err == nil {
			return fmt.Errorf("%s can guess again", a.Addr)
		}
		return nil
	})
	return all.Wait()
}
