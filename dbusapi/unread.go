package dbusapi

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/godbus/dbus/v5"
)

// Limits on what the bus keeps for peers that do not read. dbus-daemon stops reading from a service of whose messages
// 127 MB lie with peers.
const (
	maxUnread    = 8 << 20  // of one peer
	maxUnreadAll = 64 << 20 // of all peers; root is not refused for what others do
	askAfter     = 4 << 20  // bytes of large replies to a peer, after which the bus is asked what of them lies unread
	askAfterAll  = 4 * askAfter
	askCalls     = 1000        // calls of a peer, whose replies may be 10 KiB each, likewise
	askSignals   = 10_000      // signals to all subscribers, likewise
	askEvery     = time.Second // about a peer that did not read
)

// given is what went out in large replies since the bus was last asked, in bytes. It belongs to who has session.large.
type given struct {
	peers map[string]int
	all   int
}

func (g *given) add(peer string, n int) {
	if len(g.peers) >= maxPeers {
		clear(g.peers) // all begin anew, but together they are counted
	}
	g.peers[peer] += n
	g.all += n
}

// heeds refuses large replies to a peer that does not read them, and to all but root while peers together do not.
func (c *call) heeds() error {
	g := &c.session.given
	if g.peers[c.sender] >= askAfter {
		if c.session.deaf(c.ctx, c.sender) {
			return fail(errLimitsExceeded, "You do not read what you are answered.")
		}
		delete(g.peers, c.sender)
	}
	if g.all >= askAfterAll {
		if n := c.session.unread(c.ctx, ""); n > maxUnreadAll && !c.root {
			return fail(errLimitsExceeded, "%d bytes lie with peers that do not read.", n)
		}
		g.all = 0
	}
	return nil
}

// deaf reports whether a peer does not read: the more of them there are, the less may wait for each.
func (s *session) deaf(ctx context.Context, peer string) bool {
	n := s.unread(ctx, peer)
	return n > maxUnread || n > maxUnreadAll/maxSubscribers && s.unread(ctx, "") > maxUnreadAll
}

// dismissDeaf takes the signals from subscribers that do not read them.
func (s *session) dismissDeaf(peers []string) {
	ctx, cancel := context.WithTimeout(s.ctx, workTime)
	defer cancel()
	for _, peer := range peers {
		if s.deaf(ctx, peer) {
			_ = s.unsubscribe(ctx, peer) // fails when the session ends
		}
	}
}

// unread asks the bus how many bytes wait for a peer to read them, or with "" how many of ours for anybody; 0 where the bus
// does not say.
func (s *session) unread(ctx context.Context, peer string) uint32 {
	if s.mute.Load() {
		return 0
	}
	name, field := peer, "OutgoingBytes"
	if peer == "" {
		name, field = s.conn.Names()[0], "IncomingBytes"
	}
	var stats map[string]dbus.Variant
	err := s.conn.BusObject().CallWithContext(ctx, "org.freedesktop.DBus.Debug.Stats.GetConnectionStats", 0, name).Store(&stats)
	var e dbus.Error
	if errors.As(err, &e) && slices.Contains([]string{errAccessDenied, errNotSupported, errUnknownMethod, errUnknownInterface}, e.Name) {
		s.mute.Store(true) // asking again would fill its log
	}
	n, _ := stats[field].Value().(uint32)
	return n
}
