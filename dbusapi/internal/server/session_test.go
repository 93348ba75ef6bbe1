package server

import (
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"exile/dbusapi/dbustest"
)

// However many peers subscribe and leave, each is noticed.
func TestLeavingPeersAreNoticed(t *testing.T) {
	t.Parallel()
	for name, run := range dbustest.Buses() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bus := run(t)
			cfg := testConfig(Method{Name: "Subscribe", Do: func(c *Call) ([]any, error) { return nil, c.Subscribe() }, Action: forRoot{}})
			cfg.Address = bus.Address
			s, err := openSession(t.Context(), cfg, nil, newOpenFiles(), handlers{handleCall, refuseCall})
			if err != nil {
				t.Fatal(err)
			}
			ended := make(chan error)
			go func() { ended <- s.run(s.ctx) }()
			if err := s.enter(); err != nil {
				t.Fatal(err)
			}
			for range 800 { // more than a connection may have match rules, or a service subscribers
				comeAndGo(t, bus)
			}
			for n := 1; n > 0; time.Sleep(time.Millisecond) {
				if err := s.own(t.Context(), func() { n = len(s.subscribers.users) }); err != nil {
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
	if err := conn.Object(testName, testRoot).Call(testInterface+".Subscribe", 0).Err; err != nil {
		t.Fatal(err)
	}
}

// A call may run after its peer has left. Nothing would end what it subscribed to.
func TestLeftPeerDoesNotSubscribe(t *testing.T) {
	t.Parallel()
	s := &session{gate: newGate(""), do: make(chan func()), subscribers: subscribers{users: map[string]uint32{}}}
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
	if err := (&Call{session: s, ctx: t.Context(), sender: ":1.1", peer: p}).Subscribe(); err != nil || len(s.subscribers.users) > 0 {
		t.Errorf("subscribers %v, %v", s.subscribers.users, err)
	}
}
