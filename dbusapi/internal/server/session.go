package server

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/godbus/dbus/v5"

	"exile/dbusapi/internal/bus"
)

// session is one connection to the bus and all that ends with it. What changes in it belongs to the goroutine in run; others
// hand it functions.
type session struct {
	cfg       *Config
	conn      *dbus.Conn
	wire      *wire
	ctx       context.Context // ends with the connection
	cancel    context.CancelFunc
	ready     chan struct{} // closed when conn is set
	gate      *gate
	polkit    *polkit
	backlog   *backlog
	openFiles *openFiles

	// These belong to the goroutine in run.
	do          chan func() // for run to call
	gone        chan string // names that left the bus
	queue       <-chan Announcement
	subscribers subscribers
	changes     *changes

	busy  chan struct{} // held by the call that is worked on
	large chan struct{} // held by the call whose page or file is being made or sent; it guards the next two
	page  []byte
	sent  unreadBytes
}

// handlers are what a session does with calls. Both are called by the goroutine that reads from the bus.
type handlers struct {
	call   func(*session, *dbus.Message)
	refuse func(s *session, sender string, serial uint32) // a call that was too large
}

// openSession connects. The session can serve once it runs and has the name.
func openSession(ctx context.Context, cfg *Config, queue <-chan Announcement, files *openFiles, h handlers) (*session, error) {
	s := &session{
		cfg: cfg, queue: queue, openFiles: files, gate: newGate(cfg.Rationed), subscribers: subscribers{users: map[string]uint32{}},
		ready: make(chan struct{}), do: make(chan func()), gone: make(chan string),
		busy: make(chan struct{}, 1), large: make(chan struct{}, 1), sent: unreadBytes{peers: map[string]int{}},
	}
	s.changes = newChanges(cfg, s.emit)
	// The connection reads from the moment it is made; nobody knows of it before it has the name.
	ctx, s.cancel = context.WithCancel(ctx)
	s.ctx = ctx
	conn, wire, err := dialWire(ctx, cfg.Address, func(sender string, serial uint32) { h.refuse(s, sender, serial) },
		dbus.WithIncomingInterceptor(func(m *dbus.Message) { h.call(s, m) }), dbus.WithSignalHandler(s))
	if err != nil {
		s.cancel()
		return nil, fmt.Errorf("connect to the bus: %w", err)
	}
	s.conn, s.wire, s.polkit, s.backlog = conn, wire, newPolkit(conn), &backlog{conn: conn}
	close(s.ready)
	context.AfterFunc(conn.Context(), s.cancel)
	return s, nil
}

// waitReady waits until openSession is done, and reports whether it was: a peer may guess our unique name before we know it.
func (s *session) waitReady() bool {
	select {
	case <-s.ready:
		return true
	case <-s.ctx.Done():
		return false
	}
}

// leaving matches what the bus says of each name that leaves. A rule for each peer of interest would use up those that a
// connection may have: dbus-daemon keeps a rule after the peer has left.
const leaving = "type='signal',sender='org.freedesktop.DBus',interface='org.freedesktop.DBus',member='NameOwnerChanged',arg2=''"

// enter asks to be told who leaves, and takes the name. The session must run: somebody may leave meanwhile.
func (s *session) enter() error {
	if err := s.conn.BusObject().Call(bus.Driver+".AddMatch", 0, leaving).Err; err != nil {
		return fmt.Errorf("ask the bus who leaves: %w", err)
	}
	reply, err := s.conn.RequestName(s.cfg.Name, dbus.NameFlagDoNotQueue)
	if err == nil && reply != dbus.RequestNameReplyPrimaryOwner {
		err = errors.New("another process has it")
	}
	if err != nil {
		return fmt.Errorf("take the name %s: %w", s.cfg.Name, err)
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
	s.refresh() // announces nothing: whoever has just come reads the present state
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-s.ctx.Done():
			return bus.ErrLost
		case f := <-s.do:
			f()
		case name := <-s.gone:
			s.subscribers.remove(name)
		case a := <-s.queue:
			s.announce(a)
		case <-s.changes.timer.C:
			s.refresh()
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

// refresh looks for changed properties, in a goroutine of its own so that a busy service does not hold up the session.
func (s *session) refresh() {
	n := s.changes.begin()
	go func() {
		ctx, cancel := context.WithTimeout(s.ctx, WorkTime)
		defer cancel()
		all, err := s.changes.look(ctx)
		_ = s.own(s.ctx, func() { s.changes.end(n, all, err) })
	}()
}

// refreshNow announces changes before it returns, unless the service does not answer.
func (s *session) refreshNow(ctx context.Context) {
	var n uint64
	if s.own(ctx, func() { n = s.changes.next() }) != nil {
		return
	}
	all, err := s.changes.look(ctx)
	if err != nil {
		return
	}
	_ = s.own(ctx, func() { s.changes.answer(n, all) })
}

// DeliverSignal is called by godbus in its reading goroutine. Only what the bus itself says of peers that left is of
// interest; what others send is dropped here, so that it is never queued.
func (s *session) DeliverSignal(iface, name string, sig *dbus.Signal) {
	if sig.Sender != bus.Driver || iface != bus.Driver || name != "NameOwnerChanged" {
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

// announce tells subscribers, and nobody else. Without any, a flood of announcements is no flood on the bus.
func (s *session) announce(a Announcement) {
	s.changes.soon()
	if len(s.subscribers.users) == 0 {
		return
	}
	if member, values := a(); member != "" {
		s.tell(member, values)
	}
}

// tell sends a signal of the root object to each subscriber.
func (s *session) tell(member string, values []any) {
	if all := s.subscribers.count(); all != nil {
		go s.removeStalled(all)
	}
	for peer := range s.subscribers.users {
		s.conn.Send(&dbus.Message{Type: dbus.TypeSignal, Flags: dbus.FlagNoReplyExpected, Body: values, Headers: map[dbus.HeaderField]dbus.Variant{
			dbus.FieldDestination: dbus.MakeVariant(peer),
			dbus.FieldPath:        dbus.MakeVariant(s.cfg.Root),
			dbus.FieldInterface:   dbus.MakeVariant(s.cfg.Interface),
			dbus.FieldMember:      dbus.MakeVariant(member),
			dbus.FieldSignature:   dbus.MakeVariant(dbus.SignatureOf(values...)),
		}}, nil)
	}
}

// removeStalled takes the announcements from subscribers that do not read them.
func (s *session) removeStalled(peers []string) {
	ctx, cancel := context.WithTimeout(s.ctx, WorkTime)
	defer cancel()
	for _, peer := range peers {
		if s.stalled(ctx, peer) {
			_ = s.unsubscribe(ctx, peer) // fails when the session ends
		}
	}
}

// subscribe adds a peer to the subscribers.
func (s *session) subscribe(ctx context.Context, name string, user uint32, p *peer) (err error) {
	asked := s.own(ctx, func() { err = s.subscribers.add(name, user, p.hasLeft()) })
	if asked != nil {
		return asked
	}
	return err
}

func (s *session) unsubscribe(ctx context.Context, name string) error {
	return s.own(ctx, func() { s.subscribers.remove(name) })
}

// changed says that properties may have changed.
func (s *session) changed() { _ = s.own(s.ctx, s.changes.soon) }

// emit broadcasts a signal. An error means that the connection is ending, which run sees.
func (s *session) emit(path dbus.ObjectPath, name string, values ...any) {
	_ = s.conn.Emit(path, name, values...)
}

// askAboutPeer asks polkit whether a caller may do something.
func (s *session) askAboutPeer(ctx context.Context, name string, serial uint32, a Action, interactive bool) error {
	return s.polkit.ask(ctx, question{busName(name), a, interactive, fmt.Sprintf("%s-%s-%d", s.cfg.Name, name, serial)})
}

// askAboutProcess does so for the n-th process that is not on the bus.
func (s *session) askAboutProcess(ctx context.Context, pid int32, uid uint32, a Action, n uint64) error {
	return s.polkit.ask(ctx, question{subject: process(pid, uid), action: a, id: fmt.Sprintf("%s-process-%d", s.cfg.Name, n)})
}

// stalled reports whether a peer does not read.
func (s *session) stalled(ctx context.Context, peer string) bool { return s.backlog.stalled(ctx, peer) }

// takeLarge waits for the slot for large replies. It may have taken it and then refuse to use it.
func (s *session) takeLarge(ctx context.Context, peer string, root bool) (taken bool, err error) {
	select {
	case s.large <- struct{}{}:
		return true, s.sent.checkReading(ctx, s.backlog, peer, root)
	case <-ctx.Done():
		return false, ctx.Err()
	}
}

// write sends a message. An error ends the connection, which run sees.
func (s *session) write(message []byte) { _, _ = s.wire.Write(message) }

// writePage sends a large reply. The caller holds the slot for large replies.
func (s *session) writePage(peer string, message []byte) {
	s.sent.add(peer, len(message))
	s.write(message)
}

func (s *session) passesFiles() bool { return s.wire.passes }

// withFile has the message that send writes carry a descriptor. It waits for its turn.
func (s *session) withFile(f *os.File, send func()) {
	select {
	case s.wire.fds <- int(f.Fd()):
		send()
		select {
		case <-s.wire.fds: // it was not sent: the connection has ended
		default:
		}
	case <-s.ctx.Done():
	}
}
