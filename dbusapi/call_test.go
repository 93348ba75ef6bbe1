package dbusapi

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/godbus/dbus/v5"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"exile/internal/control"
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

func busySession(w control.Writer) *session {
	return &session{
		service: New(Config{Writer: w}), ctx: context.Background(), gate: newGate(), objects: newObjects(), busy: make(chan struct{}, 1),
	}
}

// callOf is a call of root that wants no answer.
func (s *session) callOf(t *testing.T, peer, iface, member, signature string, body ...any) *call {
	t.Helper()
	p, _, err := s.gate.enter(peer, member, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	p.user.Store(new(control.Peer))
	return &call{
		session: s, ctx: s.ctx, sender: peer, peer: p, path: managerPath, iface: iface, member: member, signature: signature,
		body: body, silent: true,
	}
}

// Who has sent many calls does not keep another waiting for all of them.
func TestPeersTakeTurns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := busySession(nil)
		first := s.callOf(t, ":1.1", "", "Ping", "")
		first.work()
		var order []string
		for _, peer := range []string{":1.1", ":1.1", ":1.1", ":1.2"} {
			c := s.callOf(t, peer, "", "Ping", "")
			go func() {
				c.work()
				order = append(order, c.sender)
				c.rest()
			}()
			synctest.Wait()
		}
		first.rest()
		synctest.Wait()
		if diff := cmp.Diff([]string{":1.2", ":1.1", ":1.1", ":1.1"}, order); diff != "" {
			t.Error(diff)
		}
	})
}

// slow is a daemon whose disk waits.
type slow struct {
	control.Writer
	disk chan struct{}
}

func (s slow) Pause(context.Context, time.Duration) error { <-s.disk; return nil }

// A command that waits for the disk holds up nobody.
func TestCommandsWaitAside(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := slow{disk: make(chan struct{})}
		s := busySession(w)
		pause := s.callOf(t, ":1.1", ManagerInterface, "Pause", "tt", uint64(1), uint64(0))
		go pause.run(false)
		synctest.Wait()
		s.callOf(t, ":1.1", peerInterface, "Ping", "").run(false) // or else the bubble ends in a deadlock
		close(w.disk)
		synctest.Wait()
		if s.gate.collect(); s.gate.total != 0 || pause.working {
			t.Errorf("%d calls are left, working: %t", s.gate.total, pause.working)
		}
	})
}
