package main

import (
	"context"
	"errors"
	"strings"
	"testing"

	"exile/dbusapi/client"
)

// If the daemon is not there, the error says what to do.
func TestFailureHasTheRemedy(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"org.freedesktop.DBus.Error.ServiceUnknown":    "failed to look: exiled is not running (start it with: systemctl start exiled)",
		"org.freedesktop.systemd1.NoSuchUnit":          "failed to look: exiled is not running (start it with: systemctl start exiled)",
		"org.freedesktop.DBus.Error.TimedOut":          "failed to look: exiled does not start: It took too long. (see journalctl -u exiled)",
		"org.freedesktop.DBus.Error.Spawn.ChildExited": "failed to look: exiled does not start: It took too long. (see journalctl -u exiled)",
		"org.freedesktop.DBus.Error.Timeout":           "failed to look: It took too long.",
	} {
		if got := failure(&client.RemoteError{Name: name, Message: "It took too long."}, "look").Error(); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if got := failure(errors.New("lost"), "look").Error(); got != "failed to look: lost" {
		t.Errorf("%q", got)
	}
}

// -H accepts what systemctl -H accepts.
func TestSSHCommand(t *testing.T) {
	t.Parallel()
	for where, want := range map[string]string{
		"gate":                     "ssh -xT -- gate systemd-stdio-bridge",
		"root@gate":                "ssh -xT -- root@gate systemd-stdio-bridge",
		"root@gate:2222":           "ssh -xT -p 2222 -- root@gate systemd-stdio-bridge",
		"root@[2001:db8::1]":       "ssh -xT -- root@2001:db8::1 systemd-stdio-bridge",
		"[2001:db8::1]:22":         "ssh -xT -p 22 -- 2001:db8::1 systemd-stdio-bridge",
		"2001:db8::1":              "ssh -xT -- 2001:db8::1 systemd-stdio-bridge",
		"gate/box":                 "ssh -xT -- gate systemd-stdio-bridge --machine=box",
		"me@host@gate:2222/.host":  "ssh -xT -p 2222 -- me@host@gate systemd-stdio-bridge --machine=.host",
		"-oProxyCommand=x":         "ssh -xT -- -oProxyCommand=x systemd-stdio-bridge",
		"gate:-oProxyCommand=evil": "ssh -xT -p -oProxyCommand=evil -- gate systemd-stdio-bridge",
	} {
		if got := strings.Join(sshCommand(where), " "); got != want {
			t.Errorf("%s: %q, want %q", where, got, want)
		}
	}
}

// Scripts can tell a daemon that is not running from one that refuses.
func TestNotRunningHasAStatus(t *testing.T) {
	t.Parallel()
	gone := failure(&client.RemoteError{Name: "org.freedesktop.DBus.Error.NameHasNoOwner"}, "look")
	for want, err := range map[int]error{
		exitNotRunning: errors.Join(errors.New("another"), gone), exitNotBanned: &exitError{status: exitNotBanned}, 1: errors.New("refused"), 0: nil,
	} {
		if got := exitStatus(err); got != want {
			t.Errorf("%v: status %d, want %d", err, got, want)
		}
	}
}

func TestInterruptedIsNoFailure(t *testing.T) {
	t.Parallel()
	if got := exitStatus(failure(context.Canceled, "look")); got != 130 {
		t.Errorf("status %d, want 130", got)
	}
}
