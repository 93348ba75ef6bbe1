package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"exile/dbusapi"
	"exile/dbusapi/dbustest"
	"exile/internal/control"
	"exile/internal/control/controltest"
	"exile/internal/varlink"
)

// TestMain turns the test binary into the command, so that scripts run what users run.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"exilectl": main, peakName: peak})
}

// TestScripts runs the scenarios, each against its own daemon: the real service in front of a fake daemon, on a bus or,
// without one, behind a Varlink socket.
func TestScripts(t *testing.T) {
	t.Parallel()
	p := testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		UpdateScripts:       os.Getenv("UPDATE_SCRIPTS") != "",
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"commands": commands,
			"announce": announceUntilHeard,
			"state":    setState,
			"refuse":   refuse,
		},
	}
	onEachBus(t, p, serveBus)
	t.Run("varlink", func(t *testing.T) {
		t.Parallel()
		p.Setup, p.Condition = serveSocket, onBus("")
		testscript.Run(t, p)
	})
}

// onBus makes the conditions of scripts: [root], [bus], and [dbus-daemon] and [dbus-broker] by the name of the bus, empty for
// none.
func onBus(name string) func(string) (bool, error) {
	return func(condition string) (bool, error) {
		_, known := dbustest.Buses()[condition]
		switch {
		case condition == "bus":
			return name != "", nil
		case condition == "root":
			return os.Geteuid() == 0, nil
		case known:
			return condition == name, nil
		}
		return false, fmt.Errorf("unknown condition %q", condition)
	}
}

// onEachBus runs scripts on each bus that distributions have.
func onEachBus(t *testing.T, p testscript.Params, setup func(*testscript.Env, *dbustest.Bus) error) {
	t.Helper()
	for name, start := range dbustest.Buses() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p.Condition = onBus(name)
			p.Setup = func(env *testscript.Env) error { return setup(env, start(env.T().(testing.TB))) }
			testscript.Run(t, p)
		})
	}
}

type fakeKey struct{}

func serveBus(env *testscript.Env, bus *dbustest.Bus) error {
	fake, up := fakeDaemon(), make(chan struct{}, 100)
	s := dbusapi.New(dbusapi.Config{
		Address: bus.Address, Daemon: fake, Version: "1.2",
		LogLevel: new(slog.LevelVar), LogTarget: "journal",
		Connected: func(err error) {
			if err == nil {
				up <- struct{}{}
			}
		},
	})
	fake.Announce = s.Announce
	untilDone(env, s.Serve)
	<-up
	fake.Main(filepath.Join(env.WorkDir, "etc/exile.yaml"))
	env.Values[fakeKey{}] = fake
	env.Setenv("DBUS_SYSTEM_BUS_ADDRESS", bus.Address)
	return commonEnv(env)
}

// commonEnv sets what all scripts need.
func commonEnv(env *testscript.Env) error {
	completions, err := filepath.Abs("../../units/completions")
	env.Setenv("COMPLETIONS", completions)
	env.Setenv("RUNTIME_DIRECTORY", filepath.Join(env.WorkDir, "run")) // instead of one that all share
	env.Setenv("TZ", "UTC")
	return err
}

func serveSocket(env *testscript.Env) error {
	path := filepath.Join(env.T().(testing.TB).TempDir(), "socket")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return err
	}
	fake := fakeDaemon()
	s := varlink.New(varlink.Config{Daemon: fake, Version: "1.2"})
	fake.Announce = s.Announce
	untilDone(env, func(ctx context.Context) error { return s.Serve(ctx, l) })
	env.Values[fakeKey{}] = fake
	env.Setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nonexistent/bus")
	env.Setenv("EXILE_VARLINK_SOCKET", path)
	return commonEnv(env)
}

// untilDone serves until the script ends.
func untilDone(env *testscript.Env, serve func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = serve(ctx) // the script sees any failure
	}()
	env.Defer(func() {
		cancel()
		<-done
	})
}

// commands compares the commands sent to the daemon with a file.
func commands(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: commands FILE")
	}
	var got string
	for _, c := range ts.Value(fakeKey{}).(*controltest.Fake).Commands() {
		got += c + "\n"
	}
	if want := ts.ReadFile(args[0]); got != want {
		ts.Fatalf("the daemon was asked:\n%swant:\n%s", got, want)
	}
}

// announceUntilHeard bans an address again and again until the monitor in the background has written to FILE.
func announceUntilHeard(ts *testscript.TestScript, _ bool, args []string) {
	fake, file := ts.Value(fakeKey{}).(*controltest.Fake), ts.MkAbs(args[0])
	for end := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			ts.Fatalf("nothing in %s after %s", file, patience)
		}
		if info, err := os.Stat(file); err == nil && info.Size() > 0 {
			return
		}
		_, err := fake.Ban(context.Background(), control.BanRequest{Jail: "sshd", Prefix: netip.MustParsePrefix("203.0.113.5/32"), Permanent: true})
		ts.Check(err)
	}
}

func hour(h int) time.Time { return time.Date(2026, 5, 4, h, 0, 0, 0, time.UTC) }

// fakeDaemon has two jails, and names that try to move the cursor.
func fakeDaemon() *controltest.Fake {
	f := &controltest.Fake{Now: func() time.Time { return time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC) }}
	f.Set(
		control.Status{
			Version: "1.2", State: "running", Backend: "ipset", Why: "the kernel has it", Failing: 2, Entries: 1000,
			Failures: 40, Bans: 9, Unbans: 6, Repairs: 1, Position: "s=1;i=2",
			Dropped: map[string]uint64{"exile4": 1200}, Days: []control.Day{
				{Date: hour(0).AddDate(0, 0, -1), Passed: 37, Dropped: 1000, Bans: 8, Protected: 1, Denied: 1},
				{Date: hour(0), Passed: 3, Dropped: 200, Bans: 1},
			},
			Blocklists: []control.Blocklist{
				{Name: "spamhaus", File: "/var/lib/exile-lists/spamhaus", Updated: hour(9), Entries: 1500, Ranges: 1400, Cut: 2, Wide: 1, Unread: 3, Dropped: 250, Enforced: true},
				{Name: "own", File: "/etc/exile/own\x1b", Trouble: "open /etc/exile/own: no such file or directory"},
			},
		},
		[]control.JailStatus{
			{
				Name: "sshd", State: "running", Units: []string{"ssh.service", "sshd.service"}, Detection: "adaptive", MaxRetry: 5,
				Why: "built-in", Rule: "5 points within 1d; bans of 1h, 4h",
				FindTime: 10 * time.Minute, BanTime: time.Hour, Protected: []string{"127.0.0.0/8", "::1"}, Failing: 2, Total: 9,
				Failures: 40, LastBan: hour(10), Spared: 1, Denied: 1,
			},
			{Name: "web-1", State: "simulating", Units: []string{"nginx.service"}, Detection: "threshold", Why: "maxretry, /etc/exile/exile.yaml:3", Rule: "3 attempts within 1min; permanent bans", MaxRetry: 3, FindTime: time.Minute, BanTime: -1, Framable: "a client can write a line\x1b", Forgeable: true},
		},
		[]control.Ban{
			{
				Jail: "sshd", Prefix: netip.MustParsePrefix("192.0.2.7/32"), Since: hour(9), Failures: 6, Offence: 2,
				Origin: control.OriginJournal, Reason: "user \x1b[2Jroot",
			},
			{Jail: "sshd", Prefix: netip.MustParsePrefix("2001:db8::/64"), Since: hour(8), Failures: 12, Offence: 1, Origin: control.OriginManual},
			{
				Jail: "web-1", Prefix: netip.MustParsePrefix("192.0.2.7/32"), Since: hour(7),
				Until: time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC), Failures: 3, Offence: 1, Origin: control.OriginFile,
			},
		},
		[]control.Host{
			{Jail: "sshd", Prefix: netip.MustParsePrefix("198.51.100.1/32"), Failures: 2, First: hour(10), Last: hour(11)},
			{Jail: "sshd", Prefix: netip.MustParsePrefix("2001:db8:1::/64"), Failures: 1, First: hour(10), Last: hour(10)},
		},
	)
	f.Learn(
		control.Name{Jail: "sshd", Name: "oracle", Hosts: 8, Last: hour(10)},
		control.Name{Jail: "sshd", Name: "\xff\x1b[2J", Hosts: 5, Last: hour(9)},
	)
	f.Protect(netip.MustParsePrefix("127.0.0.1/32"), "ignoreip 127.0.0.0/8")
	return f
}

// refuse makes the daemon refuse commands because of a mistake in its configuration, or stop refusing.
func refuse(ts *testscript.TestScript, _ bool, args []string) {
	var err error
	if args[0] != "" {
		err = fmt.Errorf("%w: %s", control.ErrConfig, args[0])
	}
	ts.Value(fakeKey{}).(*controltest.Fake).Fail(err)
}

// setState changes the daemon's state.
func setState(ts *testscript.TestScript, _ bool, args []string) {
	fake := ts.Value(fakeKey{}).(*controltest.Fake)
	fake.Set(control.Status{State: args[0]}, nil, nil, nil)
}
