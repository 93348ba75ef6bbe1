package e2e

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"exile/e2e/host"
	"exile/e2e/target"
)

// managerCall calls a method of the manager without waiting for a human.
var managerCall = []string{
	"busctl", "--allow-interactive-authorization=no", "call", "org.exile1", "/org/exile1", "org.exile1.Manager",
}

// TestBusctl: what an admin tries first with any system service works with this one.
func TestBusctl(t *testing.T) {
	t.Parallel()
	g := boot(t, config("ipset"))
	for _, tt := range []struct {
		ask  []string
		want []string
	}{
		{[]string{"busctl", "tree", "org.exile1"}, []string{"/org/exile1", "/org/exile1/jail/sshd"}},
		{[]string{"busctl", "introspect", "org.exile1", "/org/exile1"}, []string{
			"org.exile1.Manager ", ".ListBans ", ".BanNew ", "org.freedesktop.DBus.ObjectManager ", "\"running\"",
		}},
		{[]string{"busctl", "introspect", "org.exile1", "/org/exile1/jail/sshd"}, []string{"org.exile1.Jail ", ".Name ", "\"sshd\""}},
		{append(managerCall, "Ban", "sstst", "sshd", "203.0.113.9", "0", "by hand", "0"), []string{"t 1"}},
		{append(managerCall, "ListBans", "ssut", "", "", "0", "0"), []string{`a(ssttuusb)s 1 "sshd" "203.0.113.9"`, `"manual" false ""`}},
		// Which clients do not read is not told to everybody on the bus.
		{[]string{
			"runuser", "-u", "exile", "--", "busctl", "call", "org.freedesktop.DBus", "/org/freedesktop/DBus",
			"org.freedesktop.DBus.Debug.Stats", "GetConnectionStats", "s", "org.exile1",
		}, []string{"OutgoingBytes"}},
		{[]string{"systemctl", "service-log-level", "exiled.service"}, []string{"info"}},
		{[]string{"systemctl", "service-log-level", "exiled.service", "debug"}, nil},
		{[]string{"systemctl", "service-log-level", "exiled.service"}, []string{"debug"}},
		{[]string{"systemctl", "service-log-target", "exiled.service"}, []string{"journal"}},
	} {
		got := inside(t, g, tt.ask...)
		for _, want := range tt.want {
			if !strings.Contains(got, want) {
				t.Errorf("%q does not say %q:\n%s", tt.ask, want, got)
			}
		}
	}
}

// TestBusMonitor: a listener hears of a ban and of the counter that it changed.
func TestBusMonitor(t *testing.T) {
	t.Parallel()
	g := boot(t, config("ipset"))
	inside(t, g, "sh", "-c", `
		systemd-run -q --unit=listen exilectl monitor
		systemd-run -q --unit=spy busctl monitor org.exile1`)
	eventually(t, "busctl and exilectl hear of the ban", func() bool {
		inside(t, g, "exilectl", "ban", "-q", "203.0.113.9") // repeated until both listen
		spy, _ := g.Run(t.Context(), "journalctl", "-u", "spy", "-o", "cat")
		listen, _ := g.Run(t.Context(), "journalctl", "-u", "listen", "-o", "cat")
		return strings.Contains(spy, "Member=BanNew") && strings.Contains(spy, "Member=PropertiesChanged") &&
			strings.Contains(spy, "NBanned") && strings.Contains(listen, "203.0.113.9")
	})
}

// TestReload: a new configuration is live when the reload returns; a bad one changes nothing and says where and why.
func TestReload(t *testing.T) {
	t.Parallel()
	g := boot(t, config("ipset"))
	a := attacker(t, g, "198.51.100.7")
	guess(t, a, 2)
	counted(t, g, a, 2)
	write := func(text string) {
		if _, err := g.Feed(t.Context(), text, "tee", "/etc/exile/exile.yaml"); err != nil {
			t.Fatal(err)
		}
	}
	write(config("ipset") + "    maxretyr: 2\n")
	for _, reload := range [][]string{{"exilectl", "reload"}, {"systemctl", "reload", "exiled"}} {
		_, err := g.Run(limit(t, patience), reload...)
		if err == nil {
			t.Errorf("%q took a bad configuration", reload)
		}
		if reload[0] != "exilectl" {
			continue
		}
		for _, word := range []string{"/etc/exile/exile.yaml:7", "maxretyr", "maxretry"} {
			if err != nil && !strings.Contains(err.Error(), word) {
				t.Errorf("%q does not say %q: %v", reload, word, err)
			}
		}
	}
	says(t, g, "exile.yaml:7")
	inside(t, g, "systemctl", "is-active", "exiled")
	counted(t, g, a, 2)
	guess(t, a, 1)
	counted(t, g, a, 3)

	write(strings.Replace(config("ipset"), "maxretry: 4", "maxretry: 5", 1))
	inside(t, g, "systemctl", "reload", "exiled")
	if got := inside(t, g, "exilectl", "status", "sshd"); !strings.Contains(got, "5 attempts within") {
		t.Errorf("the new configuration is not live:\n%s", got)
	}
	guess(t, a, 1)
	counted(t, g, a, 4) // with maxretry 4 it would be banned
	lastGuess(t, g, a)
	ban, err := g.WaitBan(limit(t, patience), a.Addr, 1)
	if err != nil || ban.Failures != 5 {
		t.Errorf("after the reload: banned after %d attempts, %v; want 5", ban.Failures, err)
	}
}

// TestBusRestart: attackers are banned while the bus is dead; when it is back, so is the name.
func TestBusRestart(t *testing.T) {
	t.Parallel()
	busRestart(t, boot(t, config("ipset")), "dbus.service")
}

// TestDBusBroker: the same on the other bus that distributions have.
func TestDBusBroker(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat("/usr/bin/dbus-broker-launch"); err != nil {
		t.Skip("SKIPPED, NOTHING WAS TESTED: dbus-broker is not installed")
	}
	g := off(t, config("ipset"))
	inside(t, g, "systemctl", "enable", "dbus-broker.service")
	if err := g.PowerOff(limit(t, patience)); err != nil {
		t.Fatal(err)
	}
	if err := g.Start(limit(t, patience)); err != nil {
		t.Fatal(err)
	}
	if err := g.Activate(limit(t, patience)); err != nil {
		t.Fatal(err)
	}
	inside(t, g, "systemctl", "is-active", "dbus-broker.service")
	if got := inside(t, g, "busctl", "tree", "org.exile1"); !strings.Contains(got, "/org/exile1/jail/sshd") {
		t.Errorf("no jail in the tree:\n%s", got)
	}
	everyVerb(t, g)
	busRestart(t, g, "dbus-broker.service")
}

func busRestart(t *testing.T, g *target.Target, bus string) {
	t.Helper()
	first, second := attacker(t, g, "198.51.100.7"), attacker(t, g, "198.51.100.17")
	pid := inside(t, g, "systemctl", "show", "-P", "MainPID", "exiled")
	inside(t, g, "systemd-run", "-q", "--unit=listen", "exilectl", "monitor")
	heard := func(address string) func() bool {
		return func() bool {
			inside(t, g, "exilectl", "ban", "-q", address)
			inside(t, g, "exilectl", "unban", "-q", address) // so that the next ban is an event
			said, _ := g.Run(t.Context(), "journalctl", "-u", "listen", "-o", "cat")
			return strings.Contains(said, "ban   "+address)
		}
	}
	eventually(t, "the monitor hears of bans", heard("203.0.113.8"))
	guess(t, first, 2)
	inside(t, g, "systemctl", "mask", "--runtime", bus) // so that no call starts it again
	inside(t, g, "systemctl", "kill", "--kill-whom=all", "-s", "KILL", bus)
	eventually(t, "the bus is dead", func() bool {
		_, err := g.Run(t.Context(), "busctl", "--timeout=1", "status", "org.exile1")
		return err != nil
	})
	for _, a := range []*host.Attacker{first, second} {
		guess(t, a, map[*host.Attacker]int{first: 1, second: 3}[a])
		lastGuess(t, g, a)
		banned(t, g, a, 1)
		silent(t, a)
	}
	inside(t, g, "exilectl", "is-banned", first.Addr.String()) // over the Varlink socket
	inside(t, g, "exilectl", "reload")
	// systemctl talks to systemd directly when there is no bus.
	inside(t, g, "systemctl", "unmask", "--runtime", bus)
	inside(t, g, "systemctl", "restart", "dbus.socket")
	inside(t, g, "systemctl", "start", bus)
	eventually(t, "the name is back", func() bool {
		out, err := g.Run(t.Context(), append(managerCall, "ListBans", "ssut", "", "", "0", "0")...)
		return err == nil && strings.Contains(out, first.Addr.String()) && strings.Contains(out, second.Addr.String())
	})
	eventually(t, "the monitor hears of bans on the new bus", heard("203.0.113.9"))
	if now := inside(t, g, "systemctl", "show", "-P", "MainPID", "exiled"); now != pid {
		t.Errorf("exiled was started again: PID %s, then %s", pid, now)
	}
}

// TestVerbs runs every verb of exilectl once against a real daemon.
func TestVerbs(t *testing.T) {
	t.Parallel()
	g := boot(t, config("ipset"))
	everyVerb(t, g)
	fromAfar(t, g)
}

// fromAfar controls the host from another one, over real ssh, as the user who logs in there.
func fromAfar(t *testing.T, g *target.Target) {
	t.Helper()
	if err := g.AddUser(t.Context(), "alice", "a known secret"); err != nil {
		t.Fatal(err)
	}
	inside(t, g, "usermod", "-aG", "systemd-journal", "alice") // so she may see who is banned
	inside(t, g, "sh", "-ec", `
		mkdir -p /root/.ssh; ssh-keygen -q -t ed25519 -N "" -f /root/.ssh/id
		install -m 700 -d -o alice -g alice /home/alice/.ssh
		tee /root/.ssh/authorized_keys </root/.ssh/id.pub >/home/alice/.ssh/authorized_keys
		printf "IdentityFile /root/.ssh/id\nStrictHostKeyChecking accept-new\n" >/root/.ssh/config`)
	inside(t, g, "exilectl", "-H", "root@127.0.0.1", "ban", "-q", "203.0.113.9")
	if got := inside(t, g, "exilectl", "-H", "alice@127.0.0.1", "list-bans"); !strings.Contains(got, "203.0.113.9") {
		t.Errorf("alice sees from afar:\n%s", got)
	}
	if got := inside(t, g, "exilectl", "-H", "root@127.0.0.1", "export"); !strings.Contains(got, "203.0.113.9") {
		t.Errorf("the export from afar, where no files pass, is:\n%s", got)
	}
	for user, want := range map[string]string{"alice": "nteractive authentication required", "nobody-here": "ssh -xT -- nobody-here@127.0.0.1"} {
		_, err := g.Run(limit(t, patience), "exilectl", "-H", user+"@127.0.0.1", "unban", "203.0.113.9")
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s unbans from afar: %v, want %q", user, err, want)
		}
	}
}

func everyVerb(t *testing.T, g *target.Target) {
	t.Helper()
	const line = "sshd[7]: Failed password for root from 203.0.113.5 port 22 ssh2\n"
	for _, tt := range []struct {
		args, stdin string
		status      int
		want        string
	}{
		{args: "--version", want: "exile "},
		{args: "status", want: "State: running"},
		{args: "status sshd", want: "4 attempts within 10min"},
		{args: "list-jails", want: "1 jail listed."},
		{args: "-M .host list-jails", want: "1 jail listed."},
		{args: "is-banned 203.0.113.9", status: 3, want: "not banned"},
		{args: "is-banned --jail=nosuch 203.0.113.9", status: 4},
		{args: "ban 203.0.113.9 2001:db8:1::/64", want: "Banned 203.0.113.9 until"},
		{args: "ban 127.0.0.1", status: 1},
		{args: "is-banned 203.0.113.9", want: "banned"},
		{args: "status 203.0.113.9", want: "State: banned"},
		{args: "list-bans", want: "2 bans listed."},
		{args: "list-bans nosuch", status: 1},
		{args: "list-failures", want: "0 addresses listed."},
		{args: "list-names", want: "0 names listed."},
		{args: "forget 203.0.113.5 oracle", want: "Nothing was known about oracle."},
		{args: "export", want: `"address":"2001:db8:1::/64"`},
		{args: "unban 203.0.113.9", want: "Unbanned 203.0.113.9 in jail sshd."},
		{args: "unban 203.0.113.9", want: "203.0.113.9 was not banned."},
		{args: "unban --all", want: "Lifted 1 ban."},
		{args: "import", stdin: `{"address":"203.0.113.8","jail":"sshd","until_usec":null}` + "\n", want: "Imported 1 ban."},
		{args: "flush sshd", want: "Lifted 1 ban."},
		{args: "show -P State", want: "running"},
		{args: "statistics", want: "sshd"},
		{args: "statistics --reset"},
		{args: "log-level", want: "info"},
		{args: "pause 10m", want: "Banning is paused for 10min, and no ban is in force."},
		{args: "status", want: "State: paused"},
		{args: "pause --off", want: "Banning has resumed."},
		{args: "reset-firewall"},
		{args: "reload"},
		{args: "cat-config", want: "maxretry: 4"},
		{args: "check-config", want: "The configuration is valid."},
		{args: "match -", stdin: line, want: "203.0.113.5"},
		{args: "no-such-verb", status: 1},
	} {
		out, err := g.Feed(limit(t, patience), tt.stdin, append([]string{"exilectl"}, strings.Fields(tt.args)...)...)
		if status := exitStatus(err); status != tt.status || !strings.Contains(out, tt.want) {
			t.Errorf("exilectl %s: status %d, want %d and %q:\n%s%v", tt.args, status, tt.status, tt.want, out, err)
		}
	}
	asksBefore(t, g)
}

// asksBefore: at a terminal a flush of many bans asks first, and goes ahead only after a yes.
func asksBefore(t *testing.T, g *target.Target) {
	t.Helper()
	inside(t, g, "sh", "-c", "exilectl ban -q 203.0.113.1 203.0.113.2 203.0.113.3 203.0.113.4 203.0.113.5 203.0.113.6 203.0.113.7 203.0.113.8 203.0.113.10 203.0.113.11 203.0.113.12")
	for _, tt := range []struct {
		say, do, want string
		left          int
	}{
		{"n", "flush", "Lift 11 bans of all jails? [y/N]", 11},
		{"", "unban --all", "othing was lifted", 11},
		{"y", "flush sshd", "Lift 11 bans of sshd? [y/N]", 0},
	} {
		out, _ := g.Run(limit(t, patience), "sh", "-c", "echo "+tt.say+" | script -qec 'exilectl "+tt.do+"' /dev/null")
		if !strings.Contains(out, tt.want) {
			t.Errorf("%s, answered %q: said %q, want %q", tt.do, tt.say, out, tt.want)
		}
		if s := status(t, g); s.Banned != tt.left {
			t.Errorf("%s, answered %q: %d bans left, want %d", tt.do, tt.say, s.Banned, tt.left)
		}
	}
}

func exitStatus(err error) int {
	if err == nil {
		return 0
	}
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return exit.ExitCode()
	}
	return -1
}

// says waits until the journal has these words of exiled and its helpers.
func says(t *testing.T, g *target.Target, words string) {
	t.Helper()
	eventually(t, "exiled says: "+words, func() bool { return strings.Contains(g.Log(t.Context()), words) })
}

// eventually waits until the condition holds.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	within(t, patience, what, is)
}

func within(t *testing.T, d time.Duration, what string, is func() bool) {
	t.Helper()
	ctx := limit(t, d)
	for !is() {
		select {
		case <-ctx.Done():
			t.Fatalf("not so after %v: %s", d, what)
		case <-time.After(50 * time.Millisecond):
		}
	}
}
