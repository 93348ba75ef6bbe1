package server

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"

	"github.com/godbus/dbus/v5"

	"exile/dbusapi/internal/bus"
)

// Limits on what the bus keeps for peers that do not read. dbus-daemon stops reading from a service when 127 MB of its
// messages are waiting for peers.
const (
	maxUnread     = 8 << 20  // of one peer
	maxUnreadAll  = 64 << 20 // of all peers; root is not refused for what others do
	checkAfter    = 4 << 20  // bytes of large replies to a peer between two checks that it reads them
	checkAfterAll = 4 * checkAfter
	maxCounted    = 4096 // peers whose replies are counted
)

// backlog asks the bus how much of ours waits for peers that have not read it.
type backlog struct {
	conn *dbus.Conn
	off  atomic.Bool // the bus does not tell
}

// stalled reports whether a peer does not read. The more peers do not, the less may wait for each.
func (b *backlog) stalled(ctx context.Context, peer string) bool {
	n := b.of(ctx, peer)
	return n > maxUnread || n > maxUnreadAll/maxSubscribers && b.all(ctx) > maxUnreadAll
}

// of is how many bytes wait for a peer, all is how many bytes of ours wait for anybody; 0 where the bus does not tell.
func (b *backlog) of(ctx context.Context, peer string) uint32 {
	return b.ask(ctx, peer, "OutgoingBytes")
}

func (b *backlog) all(ctx context.Context) uint32 {
	return b.ask(ctx, b.conn.Names()[0], "IncomingBytes")
}

func (b *backlog) ask(ctx context.Context, name, field string) uint32 {
	if b.off.Load() {
		return 0
	}
	var stats map[string]dbus.Variant
	err := b.conn.BusObject().CallWithContext(ctx, "org.freedesktop.DBus.Debug.Stats.GetConnectionStats", 0, name).Store(&stats)
	var e dbus.Error
	if errors.As(err, &e) && slices.Contains([]string{bus.AccessDenied, bus.NotSupported, bus.UnknownMethod, bus.UnknownInterface}, e.Name) {
		b.off.Store(true) // asking again would fill the bus's log
	}
	n, _ := stats[field].Value().(uint32)
	return n
}

// unreadBytes counts what went out in large replies since it was last checked that they are read. The call that holds the
// session's slot for large replies owns it.
type unreadBytes struct {
	peers map[string]int
	all   int
}

// add counts a reply of n bytes.
func (u *unreadBytes) add(peer string, n int) {
	if len(u.peers) >= maxCounted {
		clear(u.peers) // each starts over, but their sum stays
	}
	u.peers[peer] += n
	u.all += n
}

// checkReading refuses large replies to a peer that does not read them, and to all but root while too many bytes of all peers
// together are unread.
func (u *unreadBytes) checkReading(ctx context.Context, b *backlog, peer string, root bool) error {
	if u.peers[peer] >= checkAfter {
		if b.stalled(ctx, peer) {
			return bus.Errorf(bus.LimitsExceeded, "You do not read your replies.")
		}
		delete(u.peers, peer)
	}
	if u.all >= checkAfterAll {
		if n := b.all(ctx); n > maxUnreadAll && !root {
			return bus.Errorf(bus.LimitsExceeded, "%d bytes are waiting for peers that do not read.", n)
		}
		u.all = 0
	}
	return nil
}
