package server

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/godbus/dbus/v5"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"exile/dbusapi/internal/bus"
)

const (
	testName      = "org.example1"
	testRoot      = dbus.ObjectPath("/org/example1")
	testInterface = "org.example1.Manager"
)

// testConfig is a service with one object.
func testConfig(methods ...Method) *Config {
	i := &Interface{Name: testInterface, Methods: methods}
	root := NewObject([]*Interface{ObjectManager(), i})
	return &Config{
		Name: testName, Root: testRoot, Interface: testInterface, ErrorName: func(error) string { return "" },
		Lookup: func(_ context.Context, path dbus.ObjectPath) (*Object, error) {
			if path != testRoot {
				return nil, bus.Errorf(bus.UnknownObject, "Unknown object %q.", path)
			}
			return root, nil
		},
		Snapshots: func(context.Context) ([]Snapshot, error) { return []Snapshot{{Path: testRoot, Interface: i}}, nil },
	}
}

// forRoot is an action that only root may do.
type forRoot struct{}

func (forRoot) ID() string               { return "org.example1.any" }
func (forRoot) Opens(c Credentials) bool { return c.UID == 0 }
func (forRoot) Denied() string           { return "only root may" }

// A reply that cannot be written is answered with an error.
func TestUnwritableReplyIsAnError(t *testing.T) {
	t.Parallel()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	ours, theirs := socket(t, fds[0]), socket(t, fds[1])
	defer ours.Close()
	defer theirs.Close()
	c := &Call{session: &session{cfg: testConfig(), wire: &wire{UnixConn: ours, framed: true}}, sender: ":1.1", serial: 7}
	c.reply([]any{"\xff is not UTF-8"})
	m, err := dbus.DecodeMessage(theirs)
	if err != nil {
		t.Fatal(err)
	}
	if m.Type != dbus.TypeError || m.Headers[dbus.FieldReplySerial].Value() != uint32(7) {
		t.Errorf("answered with %v", m)
	}
}

func busySession(methods ...Method) *session {
	return &session{cfg: testConfig(methods...), ctx: context.Background(), gate: newGate(""), busy: make(chan struct{}, 1)}
}

// callOf is a call of root that wants no answer.
func (s *session) callOf(t *testing.T, peer, iface, member string) *Call {
	t.Helper()
	p, _, err := s.gate.enter(peer, member, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	p.user.Store(new(Credentials))
	return &Call{session: s, ctx: s.ctx, sender: peer, peer: p, path: testRoot, iface: iface, member: member, silent: true}
}

// A peer that has sent many calls does not keep another waiting for all of them.
func TestPeersTakeTurns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := busySession()
		first := s.callOf(t, ":1.1", "", "Ping")
		first.takeSlot()
		var order []string
		for _, peer := range []string{":1.1", ":1.1", ":1.1", ":1.2"} {
			c := s.callOf(t, peer, "", "Ping")
			go func() {
				c.takeSlot()
				order = append(order, c.sender)
				c.yieldSlot()
			}()
			synctest.Wait()
		}
		first.yieldSlot()
		synctest.Wait()
		if diff := cmp.Diff([]string{":1.2", ":1.1", ":1.1", ":1.1"}, order); diff != "" {
			t.Error(diff)
		}
	})
}

// A method that waits for the disk holds up nobody.
func TestCommandsWaitAside(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		disk := make(chan struct{})
		s := busySession(Method{Name: "Pause", Action: forRoot{}, Waits: true, Do: func(*Call) ([]any, error) { <-disk; return nil, nil }})
		pause := s.callOf(t, ":1.1", testInterface, "Pause")
		go pause.run(false)
		synctest.Wait()
		s.callOf(t, ":1.1", bus.Peer, "Ping").run(false) // or else the bubble ends in a deadlock
		close(disk)
		synctest.Wait()
		if s.gate.collect(); s.gate.total != 0 || pause.hasSlot {
			t.Errorf("%d calls are left, has its slot: %t", s.gate.total, pause.hasSlot)
		}
	})
}

// The credentials of a peer are asked for once and then kept. There is no bus in this test, so asking again would fail.
func TestCredentialsAreKept(t *testing.T) {
	t.Parallel()
	c := &Call{peer: &peer{}, session: &session{}}
	c.peer.user.Store(&Credentials{})
	if err := c.Authorize(forRoot{}); err != nil || !c.root {
		t.Errorf("authorize of root: %v", err)
	}
}
