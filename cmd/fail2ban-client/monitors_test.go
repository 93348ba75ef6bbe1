package main

import (
	"bufio"
	"context"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"exile/dbusapi/client"
	"exile/internal/control"
)

// monitored is a daemon with two bans in mail and one in web, and three addresses that failed in web.
func monitored(t *testing.T) client.Config {
	t.Helper()
	all := jails()
	all[3].Failing, all[3].Failures = 3, 41
	fake, bus := serve(t, all)
	ban := func(jail, addr string) control.Ban {
		return control.Ban{Jail: jail, Prefix: netip.MustParsePrefix(addr), Since: time.Now()}
	}
	fake.Set(control.Status{State: "running"}, all, []control.Ban{ban("mail", "192.0.2.1/32"), ban("mail", "2001:db8::/64"), ban("web", "192.0.2.1/32")}, nil)
	return bus
}

// telegraf parses as the documentation of Telegraf's plugin fail2ban says: it asks for the status, and of each jail in its list takes what is
// after the colon of two lines.
func telegraf(t *testing.T, ask func(...string) string) map[string][2]int {
	t.Helper()
	found := make(map[string][2]int)
	field := func(text, label string) string {
		for s := bufio.NewScanner(strings.NewReader(text)); s.Scan(); {
			if _, value, is := strings.Cut(s.Text(), label+":"); is {
				return strings.TrimSpace(value)
			}
		}
		t.Errorf("no %q in %q", label, text)
		return ""
	}
	number := func(text, label string) int {
		n, err := strconv.Atoi(field(text, label))
		if err != nil {
			t.Error(err)
		}
		return n
	}
	for jail := range strings.SplitSeq(field(ask("status"), "Jail list"), ",") {
		said := ask("status", strings.TrimSpace(jail))
		found[strings.TrimSpace(jail)] = [2]int{number(said, "Currently failed"), number(said, "Currently banned")}
	}
	return found
}

func TestTelegraf(t *testing.T) {
	t.Parallel()
	run := ours(t, monitored(t))
	got := telegraf(t, func(args ...string) string { out, _, _ := run(args); return out })
	if diff := cmp.Diff(map[string][2]int{"a-very-long-name": {}, "mail": {0, 2}, "open": {}, "web": {3, 1}}, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// TestMonitors runs the plugins that Debian has for Munin, Nagios and Cacti, as they are.
func TestMonitors(t *testing.T) {
	t.Parallel()
	ours, err := exec.LookPath("fail2ban-client") // this program: see TestMain
	if err != nil {
		t.Fatal(err)
	}
	bus, examples, munin := monitored(t), filepath.Join(packages, "trixie/usr/share/doc/fail2ban/examples"), filepath.Join(packages, "munin/usr/share/munin/plugins")
	for name, p := range map[string]struct {
		language, file string
		args           []string
		want           string
		code           int
	}{
		"munin, values":     {"bash", munin + "/fail2ban", []string{}, "a_very_long_name.value 0\nmail.value 2\nopen.value 0\nweb.value 1\n", 0},
		"munin, autoconf":   {"bash", munin + "/fail2ban", []string{"autoconf"}, "yes\n", 0},
		"nagios, all jails": {"perl", examples + "/nagios/check_fail2ban", []string{"-P", ours, "-w", "3", "-c", "9", "-p"}, "CHECK FAIL2BAN ACTIVITY - WARNING - 4 detected jails with 3 current banned IP(s) | a-very-long-name.currentBannedIP=0 mail.currentBannedIP=2 open.currentBannedIP=0 web.currentBannedIP=1 ", 1},
		"nagios, one jail":  {"perl", examples + "/nagios/check_fail2ban", []string{"-P", ours, "-j", "mail", "-w", "5", "-c", "9"}, "CHECK FAIL2BAN ACTIVITY - OK - 2 current banned IP(s) for the specific jail mail", 0},
		"cacti":             {"bash", examples + "/cacti/fail2ban_stats.sh", []string{"web"}, "failed:41 banned:1\n", 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := os.Stat(p.file); err != nil {
				t.Skipf("SKIPPED, NOTHING WAS TESTED: %v; run internal/tools/fail2ban.sh as root", err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			cmd := exec.CommandContext(ctx, p.language, append([]string{p.file}, p.args...)...)
			cmd.Env = append(os.Environ(), "DBUS_SYSTEM_BUS_ADDRESS="+bus.Address, "MUNIN_LIBDIR="+filepath.Dir(munin), "client="+ours)
			out, err := cmd.Output()
			if diff := cmp.Diff(p.want, string(out)); diff != "" || cmd.ProcessState.ExitCode() != p.code {
				t.Errorf("%v\n%s", err, diff)
			}
		})
	}
}
