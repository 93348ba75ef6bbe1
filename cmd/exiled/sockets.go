package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/user"
	"strconv"

	"exile/firewall/sockdiag"
	"exile/internal/control"
	"exile/internal/metrics"
	"exile/internal/peers"
	"exile/internal/varlink"
)

// sockets are the listeners that systemd passed, and their servers. The daemon also runs without any.
type sockets struct {
	log       *slog.Logger
	varlink   []*net.UnixListener
	metrics   []net.Listener
	reports   []*net.UnixConn
	daemon    control.Daemon
	service   *varlink.Server
	collector *metrics.Collector
}

// passedSockets takes the sockets by the FileDescriptorName= of their units, and closes those with other names.
func passedSockets(log *slog.Logger) *sockets {
	s := &sockets{log: log}
	for _, f := range passedFiles() {
		if err := s.take(f.Name(), f); err != nil {
			log.Warn("Closed a socket that was passed", "name", f.Name(), "error", err)
		}
		_ = f.Close() // the listener has its own descriptor
	}
	return s
}

// take makes a listener of the socket.
func (s *sockets) take(name string, f *os.File) error {
	switch name {
	case "report":
		return s.takeReports(f)
	case "varlink", "metrics":
	default:
		return fmt.Errorf("unknown FileDescriptorName=%q: want varlink, metrics or report", name)
	}
	l, err := net.FileListener(f)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	if name == "metrics" {
		s.metrics = append(s.metrics, l)
		return nil
	}
	unix, ok := l.(*net.UnixListener)
	if !ok {
		_ = l.Close()
		return fmt.Errorf("varlink on %s: only a Unix socket tells who calls", l.Addr())
	}
	s.varlink = append(s.varlink, unix)
	return nil
}

// takeReports takes a socket for datagrams.
func (s *sockets) takeReports(f *os.File) error {
	l, err := net.FilePacketConn(f)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	unix, ok := l.(*net.UnixConn)
	if !ok {
		_ = l.Close()
		return fmt.Errorf("reports on %s: only a Unix socket passes descriptors", l.LocalAddr())
	}
	s.reports = append(s.reports, unix)
	return nil
}

// connect connects the sockets to the daemon.
func (s *sockets) connect(cfg varlink.Config, dropped map[string]func() uint64) {
	s.service, s.daemon = varlink.New(cfg), control.Checked(cfg.Daemon)
	if len(s.varlink) > 0 {
		dropped["varlink"] = s.service.Dropped
	}
	s.collector = metrics.New(metrics.Config{Reader: cfg.Daemon, Version: cfg.Version, Dropped: dropped})
}

// announce passes an event to the clients of the sockets; it never blocks.
func (s *sockets) announce(e control.Event) {
	s.collector.Announce(e)
	if len(s.varlink) > 0 {
		s.service.Announce(e)
	}
}

// works returns the servers of the sockets, which run until ctx ends. A socket that fails is no reason to stop banning.
func (s *sockets) works(ctx context.Context) []func() error {
	var works []func() error
	if len(s.varlink) > 0 {
		works = append(works, func() error { return s.lost("varlink", s.service.Serve(ctx, s.varlink...)) })
	}
	for _, l := range s.metrics {
		works = append(works, func() error {
			var owners sockdiag.Owners
			defer owners.Close()
			return s.lost("metrics", metrics.Serve(ctx, l, s.collector, func(conn net.Conn) (uint32, error) { return owner(ctx, &owners, conn) }))
		})
	}
	for _, l := range s.reports {
		works = append(works, func() error {
			k := &kernel{}
			defer k.Close()
			return s.lost("report", peers.Serve(ctx, l, peers.Config{Report: s.daemon.Report, Kernel: k, Log: s.log}))
		})
	}
	return works
}

// kernel answers internal/peers about connections.
type kernel struct{ sockdiag.Owners }

// Owner implements peers.Kernel.
func (k *kernel) Owner(ctx context.Context, c peers.Connection) (uint32, error) {
	return k.Owners.Owner(ctx, c.Local, c.Remote)
}

// RootListens implements peers.Kernel.
func (k *kernel) RootListens(ctx context.Context, port uint16) (bool, error) {
	return sockdiag.RootListens(ctx, port)
}

// owner returns the user who made a connection. It is a TCP connection, unless the unit of the socket was changed.
func owner(ctx context.Context, owners *sockdiag.Owners, conn net.Conn) (uint32, error) {
	if unix, ok := conn.(*net.UnixConn); ok {
		p, err := varlink.Peer(unix)
		return p.UID, err
	}
	from, ok := conn.RemoteAddr().(*net.TCPAddr)
	to, ok2 := conn.LocalAddr().(*net.TCPAddr)
	if !ok || !ok2 {
		return 0, fmt.Errorf("a connection of %T", conn)
	}
	uid, err := owners.Owner(ctx, from.AddrPort(), to.AddrPort())
	if errors.Is(err, sockdiag.ErrGone) {
		err = metrics.ErrGone
	}
	return uid, err
}

func (s *sockets) lost(name string, err error) error {
	if err != nil {
		s.log.Warn("Lost a socket; banning goes on", "name", name, "error", err)
	}
	return nil
}

// journalReaders are the groups whose members may read the system journal, as journalctl(1) names them.
func journalReaders() []uint32 {
	var ids []uint32
	for _, name := range []string{"systemd-journal", "adm"} {
		g, err := user.LookupGroup(name)
		if err != nil {
			continue // this host does not have it
		}
		if id, err := strconv.ParseUint(g.Gid, 10, 32); err == nil {
			ids = append(ids, uint32(id))
		}
	}
	return ids
}
