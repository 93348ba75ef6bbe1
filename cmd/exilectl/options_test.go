package main

import (
	"errors"
	"testing"

	"exile/dbusapi"
)

// What helps is said when the daemon is not there.
func TestFailureHasTheRemedy(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"org.freedesktop.DBus.Error.ServiceUnknown":    "failed to look: exiled is not running (start it with: systemctl start exiled)",
		"org.freedesktop.systemd1.NoSuchUnit":          "failed to look: exiled is not running (start it with: systemctl start exiled)",
		"org.freedesktop.DBus.Error.TimedOut":          "failed to look: exiled does not start (see why with: journalctl -u exiled)",
		"org.freedesktop.DBus.Error.Spawn.ChildExited": "failed to look: exiled does not start (see why with: journalctl -u exiled)",
		"org.freedesktop.DBus.Error.Timeout":           "failed to look: It took too long.",
	} {
		if got := failure(&dbusapi.RemoteError{Name: name, Message: "It took too long."}, "look").Error(); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if got := failure(errors.New("lost"), "look").Error(); got != "failed to look: lost" {
		t.Errorf("%q", got)
	}
}
