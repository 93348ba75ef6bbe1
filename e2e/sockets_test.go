package e2e

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"exile/e2e/target"
)

// scrape asks for the metrics on TCP, in the host.
const scrape = `exec 3<>/dev/tcp/127.0.0.1/9719 && printf 'GET /metrics HTTP/1.0\r\n\r\n' >&3 && cat <&3`

// TestMetricsSocket: scrapers that come before the daemon start it, and all of them are answered.
func TestMetricsSocket(t *testing.T) {
	t.Parallel()
	g := prepared(t)
	inside(t, g, "systemctl", "start", "exiled-metrics.socket")
	notRunning(t, g)
	atOnce(t, func() error {
		out, err := g.Run(limit(t, 30*time.Second), "bash", "-c", scrape)
		if err == nil && !strings.Contains(out, "\nexile_bans_wanted 0\n") {
			err = fmt.Errorf("no metrics: %q", out)
		}
		return err
	})
	inside(t, g, "systemctl", "is-active", "exiled.service")
}

// TestVarlinkSocket: callers that come before the daemon start it, and all of them are answered.
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
}

// TestNoSockets: the daemon runs without any.
func TestNoSockets(t *testing.T) {
	t.Parallel()
	g := prepared(t)
	inside(t, g, "systemctl", "mask", "--runtime", "exiled.socket", "exiled-metrics.socket")
	inside(t, g, "systemctl", "start", "exiled.service")
	inside(t, g, "exilectl", "list-jails")
}

// prepared is a host with exile installed and not running.
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
	conn, err := net.DialTimeout("unix", g.Path("/run/exile/org.exile1"), 10*time.Second)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		return "", err
	}
	if _, err := io.WriteString(conn, call+"\x00"); err != nil {
		return "", err
	}
	return bufio.NewReader(conn).ReadString(0)
}
