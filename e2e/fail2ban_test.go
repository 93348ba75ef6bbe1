package e2e

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"exile/e2e/target"
)

// offenders is what fail2ban's database has of an address that is banned for another hour, and of one that was banned twice, long ago.
const offenders = `CREATE TABLE bips(ip TEXT NOT NULL, jail TEXT NOT NULL, timeofban INTEGER NOT NULL, bantime INTEGER NOT NULL,
	bancount INTEGER NOT NULL DEFAULT 1, data JSON, PRIMARY KEY(ip, jail));
INSERT INTO bips VALUES ('%[2]s', '%[1]s', strftime('%%s', 'now') - 60, 3660, 1, NULL), ('%[3]s', '%[1]s', strftime('%%s', 'now') - 7200, 600, 2, NULL),
	('203.0.113.7', '%[1]s', strftime('%%s', 'now'), 3600, 1, NULL);
`

// TestFail2ban: the setups of tutorials move over. exilectl status warns while both guard sshd, the import bans whom fail2ban has banned, and
// guesses at sshd and at nginx are banned as before.
func TestFail2ban(t *testing.T) {
	t.Parallel()
	g := boot(t, "backend: nftables\n")
	all := slices.Concat(serviced...)
	web := all[slices.IndexFunc(all, func(s service) bool { return s.jail == "nginx-http-auth" })]
	inside(t, g, "test", "-x", web.program)
	inside(t, g, "sh", "-ec", web.prepare)
	feed(t, g, "[Service]\nExecStart=/bin/sleep infinity\n", "/etc/systemd/system/fail2ban.service") // what runs is enough
	inside(t, g, "systemctl", "daemon-reload")
	setups, err := filepath.Glob("../internal/fail2ban/testdata/setups/*.txtar")
	if err != nil || len(setups) != 3 {
		t.Fatal(setups, err)
	}
	for i, file := range setups {
		t.Log(file)
		a, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		moveOver(t, g, a, byte(10*(i+1)))
	}
}

// jailOf finds the jails for sshd and for nginx's passwords in a setup.
var (
	sshJail = regexp.MustCompile(`(?m)^\[(sshd?)\]$`)
	webJail = regexp.MustCompile(`(?m)^\[(nginx-(?:http-)?auth)\]$`)
)

func moveOver(t *testing.T, g *target.Target, a *txtar.Archive, n byte) {
	t.Helper()
	inside(t, g, "rm", "-rf", "/etc/fail2ban", "/etc/exile/exile.yaml.d")
	text := ""
	for _, f := range a.Files {
		if strings.HasPrefix(f.Name, "etc/") {
			feed(t, g, string(f.Data), "/"+f.Name)
			text += string(f.Data)
		}
	}
	ssh, web := sshJail.FindStringSubmatch(text)[1], webJail.FindStringSubmatch(text)[1]
	held, former := netip.AddrFrom4([4]byte{198, 51, 100, n}), netip.AddrFrom4([4]byte{198, 51, 100, n + 1})
	feed(t, g, database(t, fmt.Sprintf(offenders, ssh, held, former)), "/var/lib/fail2ban/fail2ban.sqlite3")

	inside(t, g, "systemctl", "start", "fail2ban.service")
	if said := inside(t, g, "exilectl", "status", "--full"); !strings.Contains(said, "fail2ban.service is active and guards what jail sshd guards") {
		t.Errorf("the status does not warn:\n%s", said)
	}
	inside(t, g, "systemctl", "stop", "fail2ban.service")
	said := inside(t, g, "exilectl", "import-fail2ban", "--output=/etc/exile/exile.yaml.d")
	want := "2 current bans and the past of 3 addresses can be carried over"
	if strings.Contains(text, "203.0.113.") { // the third one is in ignoreip
		want = "1 current ban and the past of 2 addresses can be carried over"
	}
	if !strings.Contains(said, want) {
		t.Errorf("the import does not say %q:\n%s", want, said)
	}
	inside(t, g, "exilectl", "reload")
	inside(t, g, "exilectl", "import", "/etc/exile/exile.yaml.d/fail2ban-bans.json")
	if said := inside(t, g, "exilectl", "status", "--full"); strings.Contains(said, "fail2ban.service") {
		t.Errorf("the status warns of a program that has ended:\n%s", said)
	}

	silent(t, attacker(t, g, held.String()))
	again := attacker(t, g, former.String())
	guess(t, again, 2)
	_ = untilBanned(t, g, again, func(ctx context.Context) (err error) {
		for ctx.Err() == nil { // as many as it takes, three or four in all
			err = again.Guess(ctx, "root", 1)
		}
		return err
	})
	ban, err := g.WaitBan(limit(t, patience), former, 1)
	if err != nil || ban.Jail != "sshd" {
		t.Fatalf("%s is not banned for its guesses: %+v, %v", former, ban, err)
	}
	silent(t, again)
	if said := inside(t, g, "exilectl", "status", former.String()); !strings.Contains(said, "Offences: 3") {
		t.Errorf("the third ban is not the third:\n%s", said)
	}
	guesser := attacker(t, g, netip.AddrFrom4([4]byte{198, 51, 100, n + 2}).String())
	for n := range 3 {
		if err := untilBanned(t, g, guesser, func(ctx context.Context) error { return guessHTTP(ctx, guesser) }); err != nil && n < 2 { // the last one may be cut off
			t.Fatal(err)
		}
	}
	if ban, err = g.WaitBan(limit(t, patience), guesser.Addr, 1); err != nil || ban.Jail != web {
		t.Fatalf("%s is not banned for its guesses at nginx: %+v, %v\n%s", guesser.Addr, ban, err, inside(t, g, "journalctl", "-b", "-n", "20"))
	}
	greeted(t, guesser)
}

// database has SQLite make a database, and returns it.
func database(t *testing.T, sql string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "db")
	cmd := exec.Command("sqlite3", "-bail", file)
	cmd.Stdin = strings.NewReader(sql)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("sqlite3 (make deps): %v: %s", err, out)
	}
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
