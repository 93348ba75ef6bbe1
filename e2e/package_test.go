package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"exile/e2e/host"
	"exile/e2e/target"
)

// TestPackage takes a host without exile through the life of the package: once installed it guards sshd; upgraded under
// attack it lets nobody in, even if the new version rejects the configuration; removed it cleans up the kernel; reinstalled
// it continues where it was; purged it leaves no trace.
func TestPackage(t *testing.T) {
	t.Parallel()
	debs := packages(t, "1.0.0", "1.1.0")
	g := virgin(t)
	inside(t, g, "journalctl", "--update-catalog") // a real host has one
	before := traces(t, g)

	dpkg(t, g, "-i", debs[0])
	running(t, g)
	if got := strings.Fields(inside(t, g, "sh", "-c", `exilectl --version; /usr/lib/exile/exiled --version; dpkg-query -W exile`) + " " + nowRuns(t, g)); !slices.Equal(got,
		[]string{"exile", "1.0.0", "exile", "1.0.0", "exile", "1.0.0", "s", `"1.0.0"`}) {
		t.Errorf("the programs, the package and the bus say %q", got)
	}
	hardened(t, g)
	small(t, g)
	for _, page := range []string{"exiled", "exile", "exilectl", "exile.yaml", "org.exile1"} {
		if out, err := g.Run(t.Context(), "sh", "-c", "! command -v man >/dev/null || man -w "+page+" 2>&1"); err != nil {
			t.Errorf("man %s: %v: %s", page, err, out)
		}
	}
	asFail2ban(t, g, debs[0])
	asCrowdSec(t, g, debs[0])
	// journald reads its limit from the package's drop-in when sshd starts.
	inside(t, g, "systemctl", "restart", "ssh.service")
	if got := inside(t, g, "readlink", "/run/systemd/units/log-rate-limit-burst:ssh.service"); got != "1000000" {
		t.Errorf("journald accepts %s lines of sshd in 30s", got)
	}
	exile := attacker(t, g, "198.51.100.41")
	guess(t, exile, 4)
	lastGuess(t, g, exile)
	bannedAfterFive(t, g, exile)
	s := besiege(t, []*host.Attacker{exile})

	upgrade(t, g, debs[1])
	keep(t, g, debs[0])

	s.stop()
	dpkg(t, g, "-r", "exile")
	clean(t, g)
	greeted(t, exile)
	dpkg(t, g, "-i", debs[1])
	running(t, g)
	silent(t, exile)

	// As the manual says.
	inside(t, g, "systemctl", "enable", "exiled-metrics.socket")
	inside(t, g, "systemctl", "restart", "exiled.service")
	if got := inside(t, g, "bash", "-c", scrape); !strings.Contains(got, "\nexile_bans_enforced 2\n") {
		t.Errorf("no metrics: %q", got)
	}
	dpkg(t, g, "-P", "exile")
	clean(t, g)
	if diff := cmp.Diff(before, traces(t, g)); diff != "" {
		t.Errorf("purged, it leaves (-before +after):\n%s", diff)
	}
	if *root == "/" { // other hosts have no rpm
		lifeOfRPM(t, g, exile, debs)
	}
}

// lifeOfRPM takes the host through the life of the .rpm packages, which lie beside the .deb ones. The journal still tells of
// the guesses, so the first start bans the guessers.
func lifeOfRPM(t *testing.T, g *target.Target, exile *host.Attacker, debs []string) {
	t.Helper()
	rpms := make([]string, len(debs))
	for i, deb := range debs {
		found, _ := filepath.Glob(filepath.Join(filepath.Dir(deb), "exile-[0-9]*.rpm")) // the pattern is well formed
		if len(found) != 1 {
			t.Fatalf("beside %s are %q, want one .rpm", deb, found)
		}
		rpms[i] = found[0]
	}
	install(t, g, "-i", rpms[0])
	running(t, g)
	hardened(t, g)
	eventually(t, "the guesser is banned", func() bool {
		_, err := g.Run(t.Context(), "exilectl", "is-banned", exile.Addr.String())
		return err == nil
	})
	s := besiege(t, []*host.Attacker{exile})
	install(t, g, "-U", rpms[1])
	running(t, g)
	s.stop()
	if got := nowRuns(t, g); !strings.Contains(got, "1.1.0") {
		t.Errorf("version %s runs after the upgrade", got)
	}
	install(t, g, "-e", "exile")
	clean(t, g)
	greeted(t, exile)
	left := inside(t, g, "sh", "-c", `find /usr -xdev -name '*exile*'; find /etc/systemd /run/systemd/units -name '*exile*' ! -name '*.service.d'
		systemctl list-units --all --no-legend --no-pager '*exile*'`)
	if left != "" {
		t.Errorf("erased, it leaves:\n%s", left)
	}
}

// install runs rpm for a package as on an RPM host; Debian's rpm must be told that this is intended.
func install(t *testing.T, g *target.Target, verb, name string) {
	t.Helper()
	if verb != "-e" {
		name = carry(t, g, name)
	}
	out, err := g.Run(limit(t, patience), "sh", "-c", `rpm --force-debian --nodeps --dbpath /var/lib/rpm "$@" 2>&1`, "sh", verb, name)
	t.Logf("rpm %s %s:\n%s", verb, filepath.Base(name), out)
	if err != nil {
		t.Fatal(err)
	}
}

// carry takes a file into the host and returns its name there.
func carry(t *testing.T, g *target.Target, name string) string {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	name = filepath.Join("/tmp", filepath.Base(name))
	if err := os.WriteFile(g.Path(name), data, 0o644); err != nil {
		t.Fatal(err)
	}
	return name
}

// packages builds the packages of the versions.
func packages(t *testing.T, versions ...string) (debs []string) {
	t.Helper()
	if err := host.Available(); err != nil {
		t.Skip("SKIPPED, NOTHING WAS TESTED:", err)
	}
	for _, v := range versions {
		deb, err := target.Package(limit(t, 10*time.Minute), v, t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		debs = append(debs, deb)
	}
	return debs
}

// virgin boots a host that has never seen exile.
func virgin(t *testing.T) *target.Target {
	t.Helper()
	h, err := host.Boot(limit(t, patience), host.Options{Lower: *root, Files: target.Strict()})
	if err != nil {
		t.Fatal(err)
	}
	g := &target.Target{Host: h}
	t.Cleanup(func() { done(t, g) })
	if _, err := g.Run(t.Context(), "which", "dpkg"); err != nil {
		t.Skip("SKIPPED, NOTHING WAS TESTED: this host has no dpkg")
	}
	inside(t, g, "rm", "-f", "/var/lib/man-db/auto-update") // an index of all manuals takes longer than the rest of the test
	return g
}

// traces is what a package could leave behind: files by name, accounts, units and failures. /var/cache/exile is the tests' own: other hosts are made
// there meanwhile.
func traces(t *testing.T, g *target.Target) []string {
	t.Helper()
	found := strings.Split(inside(t, g, "sh", "-c", `
		find /etc /var /run -xdev ! -path '/var/log/*' ! -path '/var/cache/exile/*' ! -path '/run/log/*' ! -path '/run/systemd/*' ! -path '/run/udev/*'
		find /usr -xdev -name '*exile*'
		getent passwd; getent group
		systemctl list-unit-files --no-legend --no-pager; systemctl list-units --all --no-legend --no-pager '*exile*'
	`), "\n")
	slices.Sort(found) // files that are made again change their place in the folder
	return found
}

// dpkg runs dpkg for a package, whose file may be outside the host.
func dpkg(t *testing.T, g *target.Target, verb, name string) string {
	t.Helper()
	if verb == "-i" {
		name = carry(t, g, name)
	}
	out, err := g.Run(limit(t, patience), "sh", "-c", `dpkg "$@" 2>&1`, "sh", verb, name)
	t.Logf("dpkg %s %s:\n%s", verb, filepath.Base(name), out)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// running checks that the daemon and its socket are enabled and running, with no configuration but the package's.
func running(t *testing.T, g *target.Target) {
	t.Helper()
	for _, unit := range []string{"exiled.service", "exiled.socket", "exiled-accounts.path"} {
		inside(t, g, "systemctl", "is-enabled", unit)
		inside(t, g, "systemctl", "is-active", unit)
	}
	inside(t, g, "systemctl", "is-active", "exiled-names.socket")
	inside(t, g, "systemctl", "is-active", "exiled-logs.socket")
	inside(t, g, "systemctl", "is-enabled", "exiled-accounts.service")
	inside(t, g, "test", "-s", "/run/exile-accounts/accounts.json")
	eventually(t, "the daemon is well", func() bool {
		return strings.Contains(inside(t, g, "exilectl", "show", "-p", "State"), "running")
	})
	if got := inside(t, g, "sh", "-c", "ls -A /etc/exile; ls -A /etc/exile/* 2>/dev/null; true"); got != "" {
		t.Errorf("the package writes to /etc/exile: %s", got)
	}
}

// hardened checks the security of the running units with systemd.
func hardened(t *testing.T, g *target.Target) {
	t.Helper()
	for _, unit := range []string{"exiled.service", "exiled-accounts.service"} {
		out, err := g.Run(limit(t, patience), "systemd-analyze", "security", "--no-pager", "--threshold=11", unit)
		if err != nil {
			t.Errorf("%v\n%s", err, out)
		}
		t.Log(out[strings.LastIndex(strings.TrimSpace(out), "\n")+1:])
	}
	if got := inside(t, g, "sh", "-c", "systemd-analyze verify --man=no /usr/lib/systemd/system/exiled* 2>&1"); got != "" {
		t.Errorf("systemd-analyze verify says:\n%s", got)
	}
}

// maxResident is how much memory an idle daemon may hold, in KiB.
const maxResident = 16_000_000 / 1024

// small checks that an idle daemon is small once it has released the memory of its start.
func small(t *testing.T, g *target.Target) {
	t.Helper()
	var words []string
	eventually(t, fmt.Sprintf("an idle daemon holds at most %d KiB", maxResident), func() bool {
		words = strings.Fields(inside(t, g, "sh", "-c", "grep -E 'VmRSS|RssAnon' /proc/$(systemctl show --value -p MainPID exiled.service)/status"))
		n, err := strconv.Atoi(words[slices.Index(words, "VmRSS:")+1])
		return err == nil && n <= maxResident
	})
	t.Log(words)
}

// upgrade installs another version while an attacker guesses: no guess is lost and none counts twice.
func upgrade(t *testing.T, g *target.Target, deb string) {
	t.Helper()
	busy := attacker(t, g, "203.0.113.42")
	guess(t, busy, 1)
	ctx, guessed := context.WithCancel(limit(t, patience))
	var failed error
	go func() {
		defer guessed()
		for range 3 {
			if err := busy.Guess(ctx, "root", 1); !errors.Is(err, host.ErrDenied) {
				failed = errors.Join(failed, err)
			}
		}
	}()
	dpkg(t, g, "-i", deb)
	running(t, g)
	<-ctx.Done()
	if failed != nil {
		t.Errorf("guesses during the upgrade: %v", failed)
	}
	if got := nowRuns(t, g); !strings.Contains(got, "1.1.0") {
		t.Errorf("version %s runs after the upgrade", got)
	}
	counted(t, g, busy, 4)
	lastGuess(t, g, busy)
	bannedAfterFive(t, g, busy)
}

// nowRuns is the version of the running exiled.
func nowRuns(t *testing.T, g *target.Target) string {
	t.Helper()
	return inside(t, g, "busctl", "get-property", "org.exile1", "/org/exile1", "org.exile1.Manager", "Version")
}

// bannedAfterFive waits for the ban of an address that guessed five times, the limit of the package's configuration.
func bannedAfterFive(t *testing.T, g *target.Target, a *host.Attacker) {
	t.Helper()
	ban, err := g.WaitBan(limit(t, patience), a.Addr, 1)
	if err != nil {
		t.Fatal(err)
	}
	if ban.Jail != "sshd" || ban.Failures != 5 {
		t.Errorf("%s was banned by jail %q after %d attempts, want sshd and 5", a.Addr, ban.Jail, ban.Failures)
	}
}

// keep installs a version that rejects the configuration: exiled keeps running with the last one that worked, and dpkg says
// why.
func keep(t *testing.T, g *target.Target, deb string) {
	t.Helper()
	feed(t, g, "jails:\n  sshd:\n    maxretyr: 4\n", "/etc/exile/exile.yaml.d/typo.yaml")
	if said := dpkg(t, g, "-i", deb); !strings.Contains(said, "typo.yaml:3") || !strings.Contains(said, "uses the last one that worked") {
		t.Errorf("dpkg does not say what is wrong:\n%s", said)
	}
	mistaken(t, g, "typo.yaml:3", "in force is the last configuration that worked")
	if got := nowRuns(t, g); !strings.Contains(got, "1.0.0") {
		t.Errorf("version %s runs after the upgrade", got)
	}
	corrected(t, g, "rm -r /etc/exile/exile.yaml.d")
}
