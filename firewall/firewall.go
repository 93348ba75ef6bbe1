// Package firewall has what all ways of banning in the kernel share: bans, changes, the comparison of what is wanted with
// what is there, and the interface of a backend. The backends are in the folders below.
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

// Key identifies a ban: there is at most one for a key.
type Key struct {
	Prefix netip.Prefix // masked; IPv4 never in its IPv6-mapped form
	Port   Port
}

// Ban is one entry in the kernel: drop what comes from the prefix until then.
type Ban struct {
	Key
	Until time.Time // zero: permanent
}

// Change is what a backend is to do in one step.
type Change struct {
	Add []Ban // new bans, and present ones with a new end
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

// Backend is one way of banning. All methods are idempotent: what is already there, or already gone, is not an error. Use a
// backend from one goroutine at a time, and hold the namespace's lock while it is open, see Acquire. Backends of different
// kinds can be open at the same time, so that one can replace another without a gap. A backend that cannot limit a ban to a
// port refuses the change with errors.ErrUnsupported and makes no part of it.
type Backend interface {
	// List returns what the kernel ENFORCES in our set, table or route protocol, in any order: it leaves out bans in a set
	// that no rule refers to.
	List(ctx context.Context) ([]Ban, error)
	// Apply makes the change, in as few transactions as the kernel allows. On error it may be made in part: the caller
	// compares and repairs.
	Apply(ctx context.Context, c Change) error
	// Destroy removes everything of ours, and nothing else.
	Destroy(ctx context.Context) error
	// Close frees the sockets and leaves the bans in place.
	Close() error
}

// Emptier is a Backend for which the kernel can drop all bans at once, in a time that hardly depends on their number.
type Emptier interface {
	// Empty removes all bans, and perhaps everything else of ours: Apply and Spare make that again.
	Empty(ctx context.Context) error
}

// Counter is a Backend that can count the enforced bans at little cost.
type Counter interface {
	// Count returns how many bans List would return, without reading each. It notices a missing rule, set or table and, if
	// the kernel keeps the number, missing bans; if not, Watch has to notice changes of single bans.
	Count(ctx context.Context) (int, error)
}

// Meter is a Backend for which the kernel counts what it drops.
type Meter interface {
	// Dropped returns how many packets each of our rules has dropped since it was made, by the name of its set. A rule that is
	// made again begins at 0.
	Dropped(ctx context.Context) (map[string]uint64, error)
}

// Found is a ban in the kernel, and what the kernel counted for it.
type Found struct {
	Ban
	Counts         bool   // whether the kernel counts for this ban
	Packets, Bytes uint64 // dropped since the kernel got the ban, or its last new end
}

// Finder is a Backend that looks for single bans beside its other work.
type Finder interface {
	// Find returns those of the keys that the kernel holds, in their order, on a socket of its own: it may run at the same time as all other
	// methods, also after Close. It may read a whole set.
	Find(ctx context.Context, keys []Key) ([]Found, error)
}

// Watcher is a Backend that learns from the kernel when somebody else touched what is ours.
type Watcher interface {
	// Watch calls touched once it listens, and then each time another program may have changed our table, rule or route,
	// until ctx ends (nil) or it cannot get the kernel's messages (error). It only wakes the caller, who lists, compares and
	// repairs; our own changes may wake it too. It may run at the same time as the other methods.
	Watch(ctx context.Context, touched func()) error
}
