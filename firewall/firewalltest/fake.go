package firewalltest

import (
	"context"
	"maps"
	"time"

	"exile/firewall"
)

// Verb is one of the things that a backend does.
type Verb string

// The verbs of a backend.
const (
	List    Verb = "list"
	Apply   Verb = "apply"
	Count   Verb = "count"
	Destroy Verb = "destroy"
	Close   Verb = "close"
	Spare   Verb = "spare"
)

// Fake is a backend in memory, whose bans expire by time.Now, for tests of the daemon in a synctest bubble. It has no lock:
// the test looks at it when the daemon is idle (synctest.Wait).
type Fake struct {
	// Fail, if set, is asked before each verb; its error is what the verb returns.
	Fail func(Verb) error
	// Half makes an Apply that fails make half of its change first, as a kernel may.
	Half bool
	// Changes are the changes that were asked for, in order, also those that failed.
	Changes []firewall.Change
	// Takes is how long List takes.
	Takes time.Duration
	// Listed counts the calls of List.
	Listed int
	// Packets is what the rules have dropped, by the name of their set; nil: nothing.
	Packets map[string]uint64
	// Closed and Destroyed count the calls that succeeded.
	Closed, Destroyed int

	kernel  *firewall.DryRun
	touched chan struct{}
}

var (
	_ firewall.Backend = (*Fake)(nil)
	_ firewall.Watcher = (*Fake)(nil)
	_ firewall.Counter = (*Fake)(nil)
	_ firewall.Meter   = (*Fake)(nil)
	_ firewall.Finder  = (*Fake)(nil)
	_ firewall.Sparer  = (*Fake)(nil)
)

// NewFake returns a backend that bans nobody yet and fails never.
func NewFake() *Fake {
	return &Fake{kernel: firewall.NewDryRun(), touched: make(chan struct{}, 1)}
}

func (f *Fake) fails(v Verb) error {
	if f.Fail == nil {
		return nil
	}
	return f.Fail(v)
}

// List returns the bans that have not expired.
func (f *Fake) List(ctx context.Context) ([]firewall.Ban, error) {
	f.Listed++
	time.Sleep(f.Takes)
	if err := f.fails(List); err != nil {
		return nil, err
	}
	return f.kernel.List(ctx)
}

// Find returns those of the keys that are banned; each has dropped one packet of 60 bytes. It fails as List does.
func (f *Fake) Find(ctx context.Context, keys []firewall.Key) (found []firewall.Found, _ error) {
	bans, err := f.List(ctx)
	for _, k := range keys {
		for _, b := range bans {
			if b.Key == k {
				found = append(found, firewall.Found{Ban: b, Counts: true, Packets: 1, Bytes: 60})
			}
		}
	}
	return found, err
}

// Count returns how many bans have not expired.
func (f *Fake) Count(ctx context.Context) (int, error) {
	if err := f.fails(Count); err != nil {
		return 0, err
	}
	bans, err := f.kernel.List(ctx)
	return len(bans), err
}

// Dropped returns a copy of Packets.
func (f *Fake) Dropped(context.Context) (map[string]uint64, error) { return maps.Clone(f.Packets), nil }

// Apply makes the change, or Fail's error.
func (f *Fake) Apply(ctx context.Context, c firewall.Change) error {
	f.Changes = append(f.Changes, c)
	err := f.fails(Apply)
	if err == nil {
		return f.kernel.Apply(ctx, c)
	}
	if f.Half {
		_ = f.kernel.Apply(ctx, firewall.Change{Add: c.Add[:len(c.Add)/2], Del: c.Del[:len(c.Del)/2]})
	}
	return err
}

// Spare remembers what is spared.
func (f *Fake) Spare(ctx context.Context, all []firewall.Spared) error {
	if err := f.fails(Spare); err != nil {
		return err
	}
	return f.kernel.Spare(ctx, all)
}

// Spared returns what is spared. No fault is injected.
func (f *Fake) Spared(ctx context.Context) ([]firewall.Spared, error) { return f.kernel.Spared(ctx) }

// Destroy removes all bans.
func (f *Fake) Destroy(ctx context.Context) error {
	if err := f.fails(Destroy); err != nil {
		return err
	}
	f.Destroyed++
	return f.kernel.Destroy(ctx)
}

// Close leaves the bans in place.
func (f *Fake) Close() error {
	if err := f.fails(Close); err != nil {
		return err
	}
	f.Closed++
	return nil
}

// Bans returns what is banned now, in any order. No fault is injected.
func (f *Fake) Bans() []firewall.Ban {
	bans, _ := f.kernel.List(context.Background()) // fails only when its context ends
	return bans
}

// Flush is what another program does to us: all bans are gone, and a watcher hears of it.
func (f *Fake) Flush() {
	_ = f.kernel.Destroy(context.Background())
	f.Touch()
}

// Touch wakes the watcher.
func (f *Fake) Touch() {
	select {
	case f.touched <- struct{}{}:
	default: // it has not yet seen the last one
	}
}

// Watch calls touched at once, and after each Flush and Touch until ctx ends.
func (f *Fake) Watch(ctx context.Context, touched func()) error {
	touched()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-f.touched:
			touched()
		}
	}
}
