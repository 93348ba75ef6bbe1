// Package server puts objects on the bus. Their methods, properties and signals are tables; introspection is printed from the
// same tables, so that it cannot differ from what is served. It knows nothing of exile: Config says what the objects are.
//
// A lost bus is connected again while the program goes on; a slow or hostile peer costs bounded memory, and harms only itself.
package server

import (
	"context"
	"errors"
	"sync/atomic"
	"time"
)

// Server is a service on the bus.
type Server struct {
	cfg       Config
	queue     chan Announcement
	dropped   atomic.Uint64
	openFiles *openFiles
	session   atomic.Pointer[session] // the connection that there is; nil: none
	asked     atomic.Uint64           // questions to polkit about processes that are not on the bus
}

// queueLength is how many announcements may wait for the bus.
const queueLength = 4096

// New makes a Server that does nothing until Serve.
func New(cfg Config) *Server {
	return &Server{cfg: cfg, queue: make(chan Announcement, queueLength), openFiles: newOpenFiles()}
}

// Announce tells subscribers what happened. It never blocks: when the bus is slow, announcements are lost and counted.
func (s *Server) Announce(a Announcement) {
	select {
	case s.queue <- a:
	default:
		s.dropped.Add(1)
	}
}

// Dropped returns how many announcements were lost since the start.
func (s *Server) Dropped() uint64 { return s.dropped.Load() }

// The times between attempts to reach the bus.
const (
	backoffFirst = 100 * time.Millisecond
	backoffMax   = 5 * time.Second
)

// Serve answers on the bus until ctx ends. If the bus is absent, restarts or disconnects us, it tries again for ever. It may
// be called once.
func (s *Server) Serve(ctx context.Context) error {
	defer close(s.openFiles.ended)
	wait := backoffFirst
	for {
		up, err := s.serveOnce(ctx)
		if ctx.Err() != nil {
			return nil
		}
		s.connected(err)
		if up {
			wait = backoffFirst
		}
		if !s.pause(ctx, wait) {
			return nil
		}
		wait = min(2*wait, backoffMax)
	}
}

// serveOnce is one connection. It reports whether it had the name, and why it ended.
func (s *Server) serveOnce(ctx context.Context) (bool, error) {
	ss, err := openSession(ctx, &s.cfg, s.queue, s.openFiles, handlers{handleCall, refuseCall})
	if err != nil {
		return false, err
	}
	defer ss.close()
	ended := make(chan error, 1)
	go func() { ended <- ss.run(ctx) }()
	if err := ss.enter(); err != nil {
		ss.close()
		<-ended
		return false, err
	}
	s.session.Store(ss)
	defer s.session.Store(nil)
	s.connected(nil)
	return true, <-ended
}

func (s *Server) connected(err error) {
	if s.cfg.Connected != nil {
		s.cfg.Connected(err)
	}
}

// pause waits while there is no connection; announcements go nowhere meanwhile, as nobody can have subscribed.
func (s *Server) pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return false
		case <-s.queue:
		case <-t.C:
			return true
		}
	}
}

// errNoBus is that polkit cannot be asked.
var errNoBus = errors.New("there is no bus")

// AuthorizeProcess asks polkit whether a process that is not on the bus may do something; nobody is asked for a password.
// The error is why not.
func (s *Server) AuthorizeProcess(ctx context.Context, pid int32, uid uint32, a Action) error {
	ss := s.session.Load()
	if ss == nil {
		return errNoBus
	}
	return ss.askAboutProcess(ctx, pid, uid, a, s.asked.Add(1))
}
