package dbusapi

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"exile/internal/control"
)

// Config is what a Service needs.
type Config struct {
	Address  string         // of the bus; empty: the system bus
	Reader   control.Reader // answers the questions
	Writer   control.Writer // carries out the commands
	Learner  control.Learner
	Gate     control.Gate // who needs not be asked about
	Archiver control.Archiver
	// Configurer puts configurations on trial.
	Configurer control.Configurer
	Version    string
	LogLevel   *slog.LevelVar // read and set by org.freedesktop.LogControl1
	LogTarget  string         // "journal", "console": where the program logs
	// Connected is told of the bus: nil when the name was acquired, the reason when the bus was lost or could not be
	// reached. It is called from one goroutine and must not block. It may be nil.
	Connected func(error)
}

// Service is the daemon on the bus.
type Service struct {
	cfg     Config
	events  chan *control.Event
	dropped atomic.Uint64
	started monotonic
	lent    chan struct{}           // one for each memory file that a peer other than root holds
	ended   chan struct{}           // closed when Serve returns
	session atomic.Pointer[session] // the connection that there is; nil: none
	asked   atomic.Uint64           // questions to polkit about peers that are not on the bus
}

// queueLength is how many announcements may wait for the bus.
const queueLength = 4096

// New makes a Service that does nothing until Serve.
func New(cfg Config) *Service {
	return &Service{
		cfg: cfg, events: make(chan *control.Event, queueLength), started: newMonotonic(),
		lent: make(chan struct{}, maxLent), ended: make(chan struct{}),
	}
}

// Announce tells the bus what happened. It never blocks: when the bus is slow, announcements are lost and counted.
func (s *Service) Announce(e control.Event) {
	select {
	case s.events <- &e:
	default:
		s.dropped.Add(1)
	}
}

// Dropped returns how many announcements were lost since the start.
func (s *Service) Dropped() uint64 { return s.dropped.Load() }

// The times between attempts to reach the bus.
const (
	backoffFirst = 100 * time.Millisecond
	backoffMax   = 5 * time.Second
)

// Serve answers on the bus until ctx ends. A bus that is absent, restarts or throws us out is tried again for ever:
// nothing that happens on the bus is a reason to stop banning. It may be called once.
func (s *Service) Serve(ctx context.Context) error {
	defer close(s.ended)
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
func (s *Service) serveOnce(ctx context.Context) (bool, error) {
	ss, err := openSession(ctx, s)
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

func (s *Service) connected(err error) {
	if s.cfg.Connected != nil {
		s.cfg.Connected(err)
	}
}

// pause waits while nobody listens; announcements go nowhere meanwhile, as nobody can have subscribed.
func (s *Service) pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return false
		case <-s.events:
		case <-t.C:
			return true
		}
	}
}

// errLost is the end of a connection that nobody gave a reason for.
var errLost = errors.New("connection to the bus was lost")

func wrapBus(err error, what string) error { return fmt.Errorf("%s: %w", what, err) }
