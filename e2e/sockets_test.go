package e2e

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"exile/e2e/host"
	"exile/e2e/target"
)

// scrape asks for the metrics on TCP, in the host.
const scrape = `exec 3<>/dev/tcp/127.0.0.1/9719 && printf 'GET /metrics HTTP/1.0\r\n\r\n' >&3 && cat <&3`

// TestMetricsSocket: scrapers that come before the daemon start it, and all of them get an answer.
func TestMetricsSocket(t *testing.T) {
	t.Parallel()
	g := prepared(t)
	inside(t, g, "systemctl", "start", "exiled-metrics.socket")
	notRunning(t, g)
	atOnce(t, func() error {
		out, err := g.Run(limit(t, patience), "bash", "-c", scrape)
		if err == nil && !strings.Contains(out, "\nexile_bans_wanted 0\n") {
			err = fmt.Errorf("no metrics: %q", out)
		}
		return err
	})
	inside(t, g, "systemctl", "is-active", "exiled.service")
	scrapeInCrowd(t, g)
	reports(t, g)
}

// crowd is a user who opens 600 connections to the metrics and says nothing, again and again.
const crowd = `exec setpriv --reuid=nobody --clear-groups bash -c '
for ((n = 1; ; n++)); do
	exec {fd}<>/dev/tcp/127.0.0.1/9719 && fds+=($fd)
	if ((n == 600)); then echo full; fi
	if ((n > 600)); then old=${fds[n - 601]}; exec {old}>&-; sleep 0.01; fi
done'`

// scrapeInCrowd scrapes as root and as another user while one user occupies all the connections there are.
func scrapeInCrowd(t *testing.T, g *target.Target) {
	t.Helper()
	ctx, cancel := context.WithCancel(limit(t, patience))
	defer cancel()
	cmd := g.Command(ctx, "sh", "-c", crowd)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { cancel(); _ = cmd.Wait() }()
	if said, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatalf("the crowd says %q: %v", said, err)
	}
	for _, who := range []string{"root", "daemon"} {
		for range 5 {
			out, err := g.Run(limit(t, 4*time.Second), "setpriv", "--reuid="+who, "--clear-groups", "bash", "-c", scrape)
			if err != nil || !strings.Contains(out, "\nexile_bans_wanted 0\n") {
				t.Errorf("%s scrapes in a crowd: %v: %.80q", who, err, out)
			}
		}
	}
}

// TestVarlinkSocket: callers that come before the daemon start it, and all of them get an answer.
func TestVarlinkSocket(t *testing.T) {
	t.Parallel()
	g := prepared(t)
	inside(t, g, "systemctl", "start", "exiled.socket")
	notRunning(t, g)
	atOnce(t, func() error {
		out, err := varlink(t, g, `{"method":"org.exile1.GetStatus"}`)
		if err == nil && !strings.Contains(out, `"banned":0`) {
			err = fmt.Errorf("no status: %q", out)
		}
		return err
	})
	inside(t, g, "systemctl", "is-active", "exiled.service")
	out, err := varlink(t, g, `{"method":"org.exile1.Ban","parameters":{"address":"203.0.113.9"}}`)
	if err != nil || !strings.Contains(out, `"203.0.113.9"`) {
		t.Errorf("a ban by root: %q, %v", out, err)
	}
	if got := inside(t, g, "exilectl", "list-bans"); !strings.Contains(got, "203.0.113.9") {
		t.Errorf("the ban is not there:\n%s", got)
	}
	if got := inside(t, g, "stat", "-c", "%a", "/run/exile/org.exile1"); got != "666" {
		t.Errorf("the socket has mode %s", got)
	}
	// The configuration's drop-ins may lie here: the daemon must not be able to write its own.
	if got := inside(t, g, "stat", "-c", "%U:%G %a", "/run/exile"); strings.TrimSpace(got) != "root:root 755" {
		t.Errorf("the folder of the socket is of %s", got)
	}
}

// TestVarlinkctl: systemd's own client finds its way, and receives events.
func TestVarlinkctl(t *testing.T) {
	t.Parallel()
	g := boot(t, config("ipset"))
	if _, err := g.Run(t.Context(), "which", "varlinkctl"); err != nil {
		t.Skip("SKIPPED, NOTHING WAS TESTED: the systemd of this host has no varlinkctl, which came with 255")
	}
	const socket, nobody = "/run/exile/org.exile1", "setpriv --reuid=nobody --clear-groups -- "
	const reader = "setpriv --reuid=nobody --groups=systemd-journal -- "
	for _, step := range []struct {
		command string
		want    []string
	}{
		{"varlinkctl info " + socket, []string{"exile", "org.exile1"}},
		{"varlinkctl list-interfaces " + socket, []string{"org.exile1", "org.varlink.service"}},
		{"varlinkctl introspect " + socket + " org.exile1", []string{"method GetStatus", "method Monitor", "error NoSuchJail"}},
		{"varlinkctl call " + socket + " org.exile1.GetStatus {}", []string{`"state"`, `"running"`, `"ipset"`}},
		{"varlinkctl call " + socket + ` org.exile1.Ban '{"address":"203.0.113.9"}'`, []string{"203.0.113.9"}},
		{reader + "varlinkctl call " + socket + " org.exile1.ListBans {}", []string{"203.0.113.9"}},
		{nobody + "varlinkctl call " + socket + " org.exile1.ListBans {} 2>&1; true", []string{"PermissionDenied"}},
		{nobody + "varlinkctl call --more " + socket + " org.exile1.Monitor {} 2>&1; true", []string{"PermissionDenied"}},
		{nobody + "varlinkctl call " + socket + ` org.exile1.Unban '{"address":"203.0.113.9"}' 2>&1; true`, []string{"PermissionDenied"}},
	} {
		out := inside(t, g, "sh", "-c", step.command)
		for _, word := range step.want {
			if !strings.Contains(out, word) {
				t.Errorf("%s: no %q in\n%s", step.command, word, out)
			}
		}
	}
	overhear(t, g, reader+"varlinkctl call --json=short --more "+socket+" org.exile1.Monitor {}")
}

// overhear checks that a monitoring command reports a lifted ban.
func overhear(t *testing.T, g *target.Target, command string) {
	t.Helper()
	ctx, cancel := context.WithCancel(limit(t, patience))
	defer cancel()
	cmd := g.Command(ctx, "sh", "-c", "exec "+command)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { cancel(); _ = cmd.Wait() }()
	lines := bufio.NewScanner(out)
	if !lines.Scan() { // the first reply says that from now on nothing is missed
		t.Fatalf("%s says nothing: %v", command, lines.Err())
	}
	inside(t, g, "exilectl", "unban", "203.0.113.9")
	for lines.Scan() {
		if strings.Contains(lines.Text(), `"unban"`) && strings.Contains(lines.Text(), "203.0.113.9") {
			return
		}
	}
	t.Errorf("%s does not tell of the end of a ban: %v", command, lines.Err())
}

// TestBusActivation: callers on the bus start the daemon where it is enabled, and all of them get an answer; where it is not
// enabled nobody starts it.
func TestBusActivation(t *testing.T) {
	t.Parallel()
	g := prepared(t)
	if out, err := g.Run(limit(t, patience), "busctl", "call", "org.exile1", "/org/exile1", "org.exile1.Manager", "Describe"); err == nil {
		t.Errorf("a daemon that is not enabled answers %s", out)
	}
	notRunning(t, g)
	inside(t, g, "systemctl", "enable", "exiled.service")
	notRunning(t, g)
	atOnce(t, func() error {
		out, err := g.Run(limit(t, patience), "busctl", "call", "org.exile1", "/org/exile1", "org.exile1.Manager", "Describe")
		if err == nil && !strings.Contains(out, `\"backend\"`) {
			err = fmt.Errorf("no description: %q", out)
		}
		return err
	})
	inside(t, g, "systemctl", "is-active", "exiled.service")
}

// TestWatchdog: a daemon that hangs is killed and restarted, and the bans stay in force.
func TestWatchdog(t *testing.T) {
	t.Parallel()
	g := off(t, config("ipset"))
	feed(t, g, "[Service]\nWatchdogSec=12\n", "/etc/systemd/system/exiled.service.d/watchdog.conf")
	if err := g.Activate(limit(t, patience)); err != nil {
		t.Fatal(err)
	}
	exile := attacker(t, g, "198.51.100.51")
	inside(t, g, "exilectl", "ban", exile.Addr.String())
	s := besiege(t, []*host.Attacker{exile})
	pid := inside(t, g, "systemctl", "show", "--value", "-p", "MainPID", "exiled.service")
	inside(t, g, "kill", "-STOP", pid)
	eventually(t, "the watchdog has it started again", func() bool {
		return inside(t, g, "systemctl", "show", "--value", "-p", "NRestarts", "exiled.service") != "0"
	})
	eventually(t, "the daemon is back", func() bool {
		_, err := g.Run(t.Context(), "systemctl", "is-active", "exiled.service")
		return err == nil
	})
	if got := inside(t, g, "exilectl", "list-bans"); !strings.Contains(got, exile.Addr.String()) {
		t.Errorf("the ban is gone:\n%s", got)
	}
	s.stop()
	says(t, g, "Watchdog timeout")
}

// TestNoSockets: the daemon runs without any sockets.
func TestNoSockets(t *testing.T) {
	t.Parallel()
	g := prepared(t)
	inside(t, g, "systemctl", "mask", "--runtime", "exiled.socket", "exiled-metrics.socket")
	inside(t, g, "systemctl", "start", "exiled.service")
	inside(t, g, "exilectl", "list-jails")
}

// prepared is a host with exile installed but not running.
func prepared(t *testing.T) *target.Target {
	t.Helper()
	g := off(t, config("ipset"))
	inside(t, g, "systemd-sysusers")
	inside(t, g, "busctl", "call", "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "ReloadConfig")
	return g
}

func notRunning(t *testing.T, g *target.Target) {
	t.Helper()
	if got, err := g.Run(t.Context(), "systemctl", "is-active", "exiled.service"); err == nil {
		t.Errorf("exiled is %q before anybody asked", got)
	}
}

// atOnce calls from several sides before the daemon runs.
func atOnce(t *testing.T, call func() error) {
	t.Helper()
	var group errgroup.Group
	for range 5 {
		group.Go(call)
	}
	if err := group.Wait(); err != nil {
		t.Error(err)
	}
}

// varlink calls a method as root and returns the reply.
func varlink(t *testing.T, g *target.Target, call string) (string, error) {
	t.Helper()
	conn, err := net.DialTimeout("unix", g.Path("/run/exile/org.exile1"), patience)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return "", err
	}
	if _, err := io.WriteString(conn, call+"\x00"); err != nil {
		return "", err
	}
	return bufio.NewReader(conn).ReadString(0)
}
