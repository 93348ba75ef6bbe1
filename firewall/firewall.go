// Package firewall has what every way of banning in the kernel shares: the ban, the change, the comparison of what is
// wanted with what is there, and the four verbs of a backend. The backends are in the folders below.
package firewall

import (
	"context"
	"net/netip"
	"time"
)

// Port limits a ban to one port of one protocol. The zero Port is all traffic.
type Port struct {
	Proto  uint8 // IP protocol number: 6 TCP, 17 UDP
	Number uint16
}

// Key is what a ban is about; at most one ban has it.
type Key struct {
	Prefix netip.Prefix // masked; IPv4 never in its IPv6-mapped form
	Port   Port
}

// Ban is one entry of the kernel: drop what comes from the prefix until then.
type Ban struct {
	Key
	Until time.Time // zero: permanent
}

// Change is what a backend is asked to do at once.
type Change struct {
	Add []Ban // new bans, and running ones with another end
	Del []Key
}

// Empty reports whether there is nothing to do.
func (c Change) Empty() bool { return len(c.Add) == 0 && len(c.Del) == 0 }

// Backend is one way of banning. All verbs are idempotent: already there and already gone are not errors. A backend is
// used from one goroutine at a time.
type Backend interface {
	// List returns what the kernel holds in OUR set, table or route protocol, in any order.
	List(ctx context.Context) ([]Ban, error)
	// Apply makes the change, in as few transactions as the kernel allows. On error a part may have been made:
	// the caller compares and repairs.
	Apply(ctx context.Context, c Change) error
	// Destroy removes all that is ours and nothing else.
	Destroy(ctx context.Context) error
	// Close frees the sockets and leaves the bans in place.
	Close() error
}
