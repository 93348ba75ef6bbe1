// Package varlink speaks org.exile1 over Varlink, for programs that have no system bus: a socket, a JSON object, a NUL byte.
// org.exile1.varlink describes the interface. Permissions are those of the bus: see control.ActionOf and Config.
//
// The server is our own because the generic one reads messages of any size, takes any number of connections and waits for
// slow readers for ever.
package varlink

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"exile/internal/control"
	"exile/internal/crowd"
)

// Interface is the name of the interface.
const Interface = "org.exile1"

// Config is what a Server needs.
type Config struct {
	Daemon control.Daemon // every call to it is checked first
	Gate   control.Gate   // callers that polkit need not be asked about
	// Authorize asks polkit about the others, without asking a human for a password, and returns why not; nil: they may not. It
	// is called from many goroutines.
	Authorize func(ctx context.Context, p control.Peer, a control.Action) error
	Version   string
}

// Server is the daemon on its socket.
type Server struct {
	cfg     Config
	hub     *hub
	dropped atomic.Uint64
}

// New makes a Server that does nothing until Serve.
func New(cfg Config) *Server {
	cfg.Daemon = control.Checked(cfg.Daemon)
	return &Server{cfg: cfg, hub: newHub()}
}

// Announce sends an event to all monitors. It never blocks: events that come too fast are dropped and counted.
func (s *Server) Announce(e control.Event) {
	select {
	case s.hub.events <- e:
	default:
		s.dropped.Add(1)
	}
}

// Dropped returns how many announcements were lost since the start.
func (s *Server) Dropped() uint64 { return s.dropped.Load() }

// Serve answers on the listeners until ctx ends, then closes them and all connections. It is called once.
func (s *Server) Serve(ctx context.Context, listeners ...*net.UnixListener) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { s.hub.run(ctx); return nil })
	for _, l := range listeners {
		stop := context.AfterFunc(ctx, func() { _ = l.Close() })
		defer stop()
		group.Go(func() error { return s.accept(ctx, l, group) })
	}
	return group.Wait()
}

// scarce is how long to wait when resources for a new connection run out.
const scarce = 100 * time.Millisecond

func (s *Server) accept(ctx context.Context, l *net.UnixListener, group *errgroup.Group) error {
	for {
		conn, err := l.AcceptUnix()
		switch {
		case ctx.Err() != nil:
			if err == nil {
				_ = conn.Close()
			}
			return nil
		case err == nil:
			s.admit(ctx, conn, group)
		case isScarcity(err):
			select {
			case <-time.After(scarce):
			case <-ctx.Done():
			}
		default:
			return fmt.Errorf("accept varlink connection: %w", err)
		}
	}
}

// isScarcity reports whether an error of accept(2) passes by itself.
func isScarcity(err error) bool {
	for _, e := range []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.ECONNABORTED} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// admit serves a connection, unless its user has too many.
func (s *Server) admit(ctx context.Context, conn *net.UnixConn, group *errgroup.Group) {
	p, err := Peer(conn)
	if err != nil {
		_ = conn.Close() // the caller cannot be told
		return
	}
	c := newConnection(s, conn, p)
	guest := &guest{crowd.Guest{UID: p.UID}, conn.Close}
	if !s.hub.enter(ctx, guest) {
		c.refuse()
		return
	}
	group.Go(func() error {
		defer s.hub.leave(ctx, guest)
		c.serve(ctx)
		return nil
	})
}
