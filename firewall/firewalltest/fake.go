package firewalltest

import (
	"context"
	"time"

	"exile/firewall"
)

// Verb is one of the four things that a backend does.
type Verb string

// The verbs of a backend.
const (
	List    Verb = "list"
	Apply   Verb = "apply"
	Destroy Verb = "destroy"
	Close   Verb = "close"
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
	// Closed and Destroyed count the calls that succeeded.
	Closed, Destroyed int

	bans    map[firewall.Key]time.Time
	touched chan struct{}
}

// NewFake returns a backend that bans nobody yet and fails never.
func NewFake() *Fake {
	return &Fake{bans: make(map[firewall.Key]time.Time), touched: make(chan struct{}, 1)}
}

var (
	_ firewall.Backend = (*Fake)(nil)
	_ firewall.Watcher = (*Fake)(nil)
)

func (f *Fake) fails(v Verb) error {
	if f.Fail == nil {
		return nil
	}
	return f.Fail(v)
}

// List returns the bans that have not expired.
func (f *Fake) List(ctx context.Context) ([]firewall.Ban, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := f.fails(List); err != nil {
		return nil, err
	}
	return f.Bans(), nil
}

// Apply makes the change, or Fail's error.
func (f *Fake) Apply(ctx context.Context, c firewall.Change) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := c.Check(); err != nil {
		return err
	}
	f.Changes = append(f.Changes, c)
	if err := f.fails(Apply); err != nil {
		if f.Half {
			f.apply(firewall.Change{Add: c.Add[:len(c.Add)/2], Del: c.Del[:len(c.Del)/2]})
		}
		return err
	}
	f.apply(c)
	return nil
}

func (f *Fake) apply(c firewall.Change) {
	for _, k := range c.Del {
		delete(f.bans, k)
	}
	for _, b := range c.Add {
		f.bans[b.Key] = b.Until
	}
}

// Destroy removes all bans.
func (f *Fake) Destroy(context.Context) error {
	if err := f.fails(Destroy); err != nil {
		return err
	}
	f.Destroyed++
	clear(f.bans)
	return nil
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
	now := time.Now()
	var bans []firewall.Ban
	for k, until := range f.bans {
		if until.IsZero() || until.After(now) {
			bans = append(bans, firewall.Ban{Key: k, Until: until})
		}
	}
	return bans
}

// Flush is what another program does to us: all bans are gone, and a watcher hears of it.
func (f *Fake) Flush() {
	clear(f.bans)
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
