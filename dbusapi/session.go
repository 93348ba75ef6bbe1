package dbusapi

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"github.com/godbus/dbus/v5"

	"exile/internal/control"
)

// session is one connection to the bus and all that ends with it. What changes in it belongs to the goroutine in run;
// others hand it functions.
type session struct {
	service *Service
	conn    *dbus.Conn
	wire    *wire
	ctx     context.Context // ends with the connection
	cancel  context.CancelFunc
	ready   chan struct{} // closed when conn is set
	gate    *gate
	busy    chan struct{} // held by the call that is worked on
	objects objects
	do      chan func()       // run by run
	gone    chan string       // names that left the bus
	subs    map[string]uint32 // user by unique name
	told    int               // signals to them since it was asked who reads
	changes changes

	questions chan struct{} // one for each question that polkit has not answered
	large     chan struct{} // held by the page or file that is being made or sent; who has it has the two that follow
	page      []byte
	given     given
	mute      atomic.Bool // the bus does not say who does not read
}

// openSession connects. The session can serve when it runs and has the name.
func openSession(ctx context.Context, s *Service) (*session, error) {
	ss := &session{
		service: s, gate: newGate(), busy: make(chan struct{}, 1), objects: newObjects(), ready: make(chan struct{}), do: make(chan func()), gone: make(chan string),
		questions: make(chan struct{}, maxQuestions), large: make(chan struct{}, 1), given: given{peers: map[string]int{}},
		subs: map[string]uint32{}, changes: newChanges(),
	}
	// The connection reads from the moment it is made; nobody knows of it before it has the name.
	ctx, ss.cancel = context.WithCancel(ctx)
	ss.ctx = ctx
	conn, wire, err := dialWire(ctx, s.cfg.Address, ss.refuse,
		dbus.WithIncomingInterceptor(ss.intercept), dbus.WithSignalHandler(ss))
	if err != nil {
		ss.cancel()
		return nil, wrapBus(err, "connect to the bus")
	}
	ss.conn, ss.wire = conn, wire
	close(ss.ready)
	context.AfterFunc(conn.Context(), ss.cancel)
	return ss, nil
}

// leaving is what the bus says of each name that leaves. A rule for each peer that we want to know of would be in the way of
// the next: dbus-daemon keeps it when the peer has left, and allows so many.
const leaving = "type='signal',sender='org.freedesktop.DBus',interface='org.freedesktop.DBus',member='NameOwnerChanged',arg2=''"

// enter asks to be told who leaves, and takes the name. The session must run: somebody may leave meanwhile.
func (s *session) enter() error {
	if err := s.conn.BusObject().Call("org.freedesktop.DBus.AddMatch", 0, leaving).Err; err != nil {
		return wrapBus(err, "ask the bus who leaves")
	}
	reply, err := s.conn.RequestName(BusName, dbus.NameFlagDoNotQueue)
	if err == nil && reply != dbus.RequestNameReplyPrimaryOwner {
		err = fmt.Errorf("another process has it")
	}
	if err != nil {
		return wrapBus(err, "take the name "+BusName)
	}
	return nil
}

func (s *session) close() {
	s.cancel()
	_ = s.conn.Close()
}

// run owns the subscribers and what was last announced, until the connection or ctx ends.
func (s *session) run(ctx context.Context) error {
	defer s.changes.stop()
	s.changes.start(s)
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-s.ctx.Done():
			return errLost
		case f := <-s.do:
			f()
		case name := <-s.gone:
			delete(s.subs, name)
		case e := <-s.service.events:
			s.announce(*e)
		case <-s.changes.timer.C:
			s.changes.refresh(s)
		}
	}
}

// own runs f in the goroutine that owns the session's state and waits for it.
func (s *session) own(ctx context.Context, f func()) error {
	done := make(chan struct{})
	select {
	case s.do <- func() { f(); close(done) }:
		<-done
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// DeliverSignal is called by godbus in its reading goroutine. Only the bus itself tells us of peers that left; what
// others send is dropped here, so that it is never queued.
func (s *session) DeliverSignal(iface, name string, sig *dbus.Signal) {
	if sig.Sender != "org.freedesktop.DBus" || iface != "org.freedesktop.DBus" || name != "NameOwnerChanged" {
		return
	}
	var peer, before, after string
	if dbus.Store(sig.Body, &peer, &before, &after) != nil || after != "" {
		return
	}
	s.gate.gone(peer)
	select {
	case s.gone <- peer:
	case <-s.ctx.Done():
	}
}

// Limits on who may have subscribed at once: each is sent every ban.
const (
	maxSubscribers        = 256
	maxSubscribersPerUser = 16 // but for root
)

// subscribe is idempotent: the tabs of a browser share one connection. Who has left by now does not subscribe: it was
// noted as gone before run was told.
func (s *session) subscribe(c *call) error {
	var err error
	asked := s.own(c.ctx, func() {
		_, already := s.subs[c.sender]
		switch {
		case already || c.peer.hasLeft():
		case s.subscribers(c.user):
			err = fail(errLimitsExceeded, "There are %d subscribers already, or %d of yours.", maxSubscribers, maxSubscribersPerUser)
		default:
			s.subs[c.sender] = c.user
		}
	})
	if asked != nil {
		return asked
	}
	return err
}

// subscribers reports whether no more may subscribe.
func (s *session) subscribers(user uint32) (full bool) {
	mine := 0
	for _, u := range s.subs {
		if u == user {
			mine++
		}
	}
	return len(s.subs) >= maxSubscribers || user != 0 && mine >= maxSubscribersPerUser
}

// unsubscribe is idempotent too.
func (s *session) unsubscribe(ctx context.Context, peer string) error {
	return s.own(ctx, func() { delete(s.subs, peer) })
}

// announce tells subscribers, and nobody else: they were allowed to see addresses. Without any, a flood of bans is no flood
// on the bus.
func (s *session) announce(e control.Event) {
	s.changes.soon()
	if len(s.subs) == 0 {
		return
	}
	addr := ""
	if e.Ban.Prefix.IsValid() {
		addr = FormatPrefix(e.Ban.Prefix)
	}
	switch e.Kind {
	case control.BanNew:
		s.tell("BanNew", e.Ban.Jail, addr, untilUSec(e.Ban.Until), count(e.Ban.Failures), string(e.Ban.Origin))
	case control.BanRemoved:
		s.tell("BanRemoved", e.Ban.Jail, addr, e.Reason)
	}
}

// tell sends a signal of the manager to each subscriber.
func (s *session) tell(member string, values ...any) {
	if s.told += len(s.subs); s.told >= askSignals {
		s.told = 0
		go s.dismissDeaf(slices.Collect(maps.Keys(s.subs)))
	}
	for peer := range s.subs {
		s.conn.Send(&dbus.Message{Type: dbus.TypeSignal, Flags: dbus.FlagNoReplyExpected, Body: values, Headers: map[dbus.HeaderField]dbus.Variant{
			dbus.FieldDestination: dbus.MakeVariant(peer),
			dbus.FieldPath:        dbus.MakeVariant(managerPath),
			dbus.FieldInterface:   dbus.MakeVariant(ManagerInterface),
			dbus.FieldMember:      dbus.MakeVariant(member),
			dbus.FieldSignature:   dbus.MakeVariant(dbus.SignatureOf(values...)),
		}}, nil)
	}
}

// emit broadcasts a signal. An error means that the connection is ending, which run sees.
func (s *session) emit(path dbus.ObjectPath, name string, values ...any) {
	_ = s.conn.Emit(path, name, values...)
}

// workTime is how long the daemon may take for one call, a little less than callers wait.
const workTime = 20 * time.Second
