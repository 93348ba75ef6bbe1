// Package firewall has what every way of banning in the kernel shares: the ban, the change, the comparison of what is
// wanted with what is there, and the four verbs of a backend. The backends are in the folders below.
package firewall

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"
)

// Port limits a ban to one port of one protocol. The zero Port is all traffic.
type Port struct {
	Proto  uint8 // IP protocol number: 6 TCP, 17 UDP
	Number uint16
}

// String is "port 22/tcp", or "everything".
func (p Port) String() string {
	switch p.Proto {
	case 0:
		return "everything"
	case 6:
		return fmt.Sprintf("port %d/tcp", p.Number)
	case 17:
		return fmt.Sprintf("port %d/udp", p.Number)
	}
	return fmt.Sprintf("port %d of protocol %d", p.Number, p.Proto)
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

// Check returns the first key that no backend can ban: invalid, not masked, IPv4 in its IPv6-mapped form, all addresses of
// a family, or a port without protocol. Backends call it before they touch the kernel, so a bad change changes nothing.
func (c Change) Check() error {
	for _, b := range c.Add {
		if err := b.check(); err != nil {
			return fmt.Errorf("ban %v: %w", b.Prefix, err)
		}
	}
	for _, k := range c.Del {
		if err := k.check(); err != nil {
			return fmt.Errorf("lift ban of %v: %w", k.Prefix, err)
		}
	}
	return nil
}

func (k Key) check() error {
	switch {
	case !k.Prefix.IsValid():
		return errors.New("prefix is not valid")
	case k.Prefix.Addr().Is4In6():
		return errors.New("prefix is IPv4 in IPv6-mapped form: unmap it")
	case k.Prefix != k.Prefix.Masked():
		return fmt.Errorf("prefix has host bits set: want %v", k.Prefix.Masked())
	case k.Prefix.Bits() == 0:
		return errors.New("prefix is every address there is: at least one bit is needed")
	case k.Port.Proto == 0 && k.Port.Number != 0:
		return fmt.Errorf("port %d has no protocol", k.Port.Number)
	}
	return nil
}

// Backend is one way of banning. All verbs are idempotent: already there and already gone are not errors. A backend is
// used from one goroutine at a time. Whoever opens one holds the namespace's lock, see Acquire. Backends of different kinds
// can be open beside each other, so that one can take the place of another without a gap. A backend that cannot limit a
// ban to a port refuses the change with errors.ErrUnsupported and makes none of it.
type Backend interface {
	// List returns what the kernel ENFORCES in our set, table or route protocol, in any order: bans in a set that no rule
	// asks any more are not listed.
	List(ctx context.Context) ([]Ban, error)
	// Apply makes the change, in as few transactions as the kernel allows. On error a part may have been made:
	// the caller compares and repairs.
	Apply(ctx context.Context, c Change) error
	// Destroy removes all that is ours and nothing else.
	Destroy(ctx context.Context) error
	// Close frees the sockets and leaves the bans in place.
	Close() error
}

// Counter is what a backend also is when it can tell at little cost how many bans the kernel enforces.
type Counter interface {
	// Count returns how many bans List would return, without asking for each. It sees that a rule, set or table is gone and,
	// where the kernel keeps the number, that bans are; where it does not, a change of single bans is for Watch to notice.
	Count(ctx context.Context) (int, error)
}

// Meter is what a backend also is when the kernel counts what it drops.
type Meter interface {
	// Dropped returns how many packets each rule of ours has dropped since it was made, by the name of the set that it asks.
	// A rule that is made anew begins at 0.
	Dropped(ctx context.Context) (map[string]uint64, error)
}

// Watcher is what a backend also is when the kernel tells it that somebody else touched what is ours.
type Watcher interface {
	// Watch calls touched once when it listens, and then each time another program may have changed our table, rule or
	// route, until ctx ends (nil) or the kernel's messages cannot be had (error). It only wakes the caller, who lists,
	// compares and repairs; our own changes may wake it as well. It may run beside the other verbs.
	Watch(ctx context.Context, touched func()) error
}
