package dbusapi

import (
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"exile/dbusapi/dbustest"
	"exile/internal/control"
	"exile/internal/control/controltest"
)

// However many peers subscribe and leave, each is noticed.
func TestAllWhoLeaveAreNoticed(t *testing.T) {
	t.Parallel()
	for name, run := range dbustest.Buses() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bus := run(t)
			fake := &controltest.Fake{}
			s, err := openSession(t.Context(), New(Config{Address: bus.Address, Reader: fake, Writer: fake}))
			if err != nil {
				t.Fatal(err)
			}
			ended := make(chan error)
			go func() { ended <- s.run(s.ctx) }()
			if err := s.enter(); err != nil {
				t.Fatal(err)
			}
			for range 800 { // more than there may be match rules of a connection, and subscribers
				comeAndGo(t, bus)
			}
			for n := 1; n > 0; time.Sleep(time.Millisecond) {
				if err := s.own(t.Context(), func() { n = len(s.subs) }); err != nil {
					t.Fatal(err)
				}
			}
			s.close()
			<-ended
		})
	}
}

// comeAndGo is a peer that subscribes and leaves.
func comeAndGo(t *testing.T, bus *dbustest.Bus) {
	t.Helper()
	conn, err := dbus.Connect(bus.Address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.Object(BusName, managerPath).Call(ManagerInterface+".Subscribe", 0).Err; err != nil {
		t.Fatal(err)
	}
}

// A call may run after its peer has left. Nothing would end what it subscribed to.
func TestWhoHasLeftDoesNotSubscribe(t *testing.T) {
	t.Parallel()
	s := &session{gate: newGate(), do: make(chan func()), subs: map[string]uint32{}}
	p, _, err := s.gate.enter(":1.1", "Subscribe", time.Unix(0, 0))
	if err != nil {
		t.Fatal(err)
	}
	s.gate.gone(":1.1")
	s.gate.leave(ended{peer: p})
	if s.gate.collect(); len(s.gate.peers) > 0 || s.gate.total > 0 {
		t.Errorf("%d peers and %d calls are left", len(s.gate.peers), s.gate.total)
	}
	go func() { (<-s.do)() }()
	if err := s.subscribe(&call{session: s, ctx: t.Context(), sender: ":1.1", peer: p}); err != nil || len(s.subs) > 0 {
		t.Errorf("subscribers %v, %v", s.subs, err)
	}
}

// The bus is asked once who a peer is. Here there is no bus to ask.
func TestWhoCallsIsKnown(t *testing.T) {
	t.Parallel()
	c := &call{peer: &peer{}, session: &session{service: &Service{}}}
	c.peer.user.Store(&control.Peer{})
	if err := c.authorize(control.MayBan); err != nil || !c.root {
		t.Errorf("authorize of root: %v", err)
	}
}
