package fail2ban

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"exile/internal/control"
	"exile/internal/sqlite"
)

// database has SQLite itself make a database.
func database(t *testing.T, sql string) string {
	t.Helper()
	if _, err := exec.LookPath("sqlite3"); err != nil {
		t.Skip("SKIPPED, NOTHING WAS TESTED: sqlite3 is not here (make deps)")
	}
	file := filepath.Join(t.TempDir(), "fail2ban.sqlite3")
	cmd := exec.Command("sqlite3", "-bail", file)
	cmd.Stdin = strings.NewReader(sql)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("sqlite3: %v: %s", err, out)
	}
	return file
}

func setUp() fstest.MapFS {
	return fstest.MapFS{"etc/fail2ban/jail.local": {Data: []byte("[DEFAULT]\nignoreip = 203.0.113.0/24\nbantime = 1h\n" +
		"[sshd]\nenabled = true\n[vsftpd]\nenabled = true\n[recidive]\nenabled = true\n")}}
}

// Each offender comes over, or is in the report.
func TestCarry(t *testing.T) {
	t.Parallel()
	sql, err := os.ReadFile("testdata/database.sql")
	if err != nil {
		t.Fatal(err)
	}
	h, err := ReadHistory(database(t, string(sql)))
	if err != nil {
		t.Fatal(err)
	}
	r := mustMove(t, setUp(), false)
	before := len(r.Notes)
	bans, holding := r.Carry(h, "/db", time.Unix(1000000, 0))
	var got []string
	for _, b := range bans {
		until := "ever"
		if !b.Until.IsZero() {
			until = fmt.Sprint(b.Until.Unix())
		}
		got = append(got, fmt.Sprintf("%s %s %d-%s %d", b.Jail, control.FormatPrefix(b.Prefix), b.Since.Unix(), until, b.Offence))
	}
	want := []string{
		"recidive 192.0.2.1 999000-1603800 1",
		"sshd 192.0.2.1 999000-1002600 3",
		"sshd 192.0.2.2 900000-903600 1",
		"sshd 192.0.2.3 1-ever 1",
		"sshd 192.0.2.4 1000000-1000600 1",
		"sshd 192.0.2.5 999999-ever 1",
		"sshd 2001:db8::1 999990-1000590 2",
		"vsftpd 198.51.100.0/24 999990-1000590 3",
	}
	if diff := cmp.Diff(got, want); diff != "" || holding != 7 {
		t.Errorf("%d hold (-got +want):\n%s", holding, diff)
	}
	var report []string
	for _, n := range r.Notes[before:] {
		report = append(report, fmt.Sprintf("%s %s: %s", n.Kind, strings.Join(n.Jails, ","), n.Text))
	}
	if diff := cmp.Diff(report, []string{
		"not moved gone: the bans of 2 addresses, because no jail here is it",
		"moved recidive: 1 current ban, and the past of 1 address",
		"moved sshd: 5 current bans, and the past of 6 addresses",
		"moved vsftpd: 1 current ban, and the past of 1 address",
		"not moved vsftpd: the bans of 1 address, which ignoreip names: 203.0.113.5",
		"not moved vsftpd: the bans of 1 network, which are too wide: 10.0.0.0/7",
		`not moved ev\x1bil: what was banned is no address, or has no time: "", in all 2`,
		`not moved sshd: what was banned is no address, or has no time: "bob", "192.0.2.8/32", in all 3`,
	}); diff != "" {
		t.Errorf("(-got +want):\n%s", diff)
	}
}

// What cannot be read is refused, with what to do.
func TestReadHistoryRefuses(t *testing.T) {
	t.Parallel()
	const old = "CREATE TABLE bans(jail TEXT NOT NULL, ip TEXT, timeofban INTEGER NOT NULL, data JSON);"
	waiting := database(t, old)
	if err := os.WriteFile(waiting+"-wal", []byte("7"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		file string
		is   error
		text string
	}{
		"old":     {database(t, old), nil, "fail2ban before 0.11"},
		"columns": {database(t, "CREATE TABLE bips(ip, jail, timeofban);"), nil, "fail2ban before 0.11"},
		"waiting": {waiting, sqlite.ErrPending, "systemctl stop fail2ban"},
		"missing": {filepath.Join(t.TempDir(), "x"), fs.ErrNotExist, "x"},
		"folder":  {t.TempDir(), nil, "not a regular file"},
	} {
		if _, err := ReadHistory(test.file); err == nil || test.is != nil && !errors.Is(err, test.is) || !strings.Contains(err.Error(), test.text) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestDatabase(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		files map[string]string
		want  string
		fails bool
	}{
		"default":  {nil, "/var/lib/fail2ban/fail2ban.sqlite3", false},
		"stock":    {map[string]string{"fail2ban.conf": "[DEFAULT]\ndbfile = /a\n"}, "/a", false},
		"order":    {map[string]string{"fail2ban.conf": "[DEFAULT]\ndbfile = /a\n", "fail2ban.d/x.conf": "[Definition]\ndbfile=/b", "fail2ban.local": "[DEFAULT]\ndbfile = /c"}, "/c", false},
		"none":     {map[string]string{"fail2ban.local": "[DEFAULT]\ndbfile = None\n"}, "", false},
		"memory":   {map[string]string{"fail2ban.local": "[Definition]\ndbfile = :memory:\n"}, "", false},
		"relative": {map[string]string{"fail2ban.local": "[Definition]\ndbfile = %(x)s\n"}, "", true},
	} {
		files := setUp()
		for file, text := range test.files {
			files["etc/fail2ban/"+file] = &fstest.MapFile{Data: []byte(text)}
		}
		s, err := Read(files, "etc/fail2ban")
		if err != nil {
			t.Fatal(err)
		}
		if got, _, err := s.Database(); got != test.want || (err != nil) != test.fails {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}
