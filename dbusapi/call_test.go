package dbusapi

import (
	"testing"

	"github.com/godbus/dbus/v5"
	"golang.org/x/sys/unix"
)

// A reply that cannot be written is answered with why.
func TestWhatCannotBeWrittenIsAnError(t *testing.T) {
	t.Parallel()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	ours, theirs := socket(t, fds[0]), socket(t, fds[1])
	defer ours.Close()
	defer theirs.Close()
	c := &call{session: &session{wire: &wire{UnixConn: ours, framed: true}}, sender: ":1.1", serial: 7}
	c.reply([]any{"\xff is not UTF-8"})
	m, err := dbus.DecodeMessage(theirs)
	if err != nil {
		t.Fatal(err)
	}
	if m.Type != dbus.TypeError || m.Headers[dbus.FieldReplySerial].Value() != uint32(7) {
		t.Errorf("answered with %v", m)
	}
}
