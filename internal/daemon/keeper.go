package daemon

import (
	"context"
	"time"

	"exile/firewall"
)

// keeper knows which part of the kernel is not yet as the table wants it. What is done about that is in kernel.go.
type keeper struct {
	changed chan struct{} // another program changed our part of the kernel
	paused  time.Time     // bans are not in force until then; zero: they are
	orphans bool          // the state file was lost: adopt the bans that the kernel holds
	doubt   bool          // compare at the end of this turn
	backend kept
}

// kept is what the keeper knows of one backend.
type kept struct {
	touched map[firewall.Key]struct{}
	wait    time.Duration     // before the next try
	retry   time.Time         // zero: the last change went through
	filled  bool              // compared at least once
	whole   time.Time         // since then it has held each ban from the ban's begin on, as far as is known
	at      time.Time         // of the last successful comparison
	took    time.Duration     // how long it took
	swept   bool              // what other backends left is gone
	looked  time.Time         // when the kernel was last asked how many bans it has
	lacking int               // bans that it lacked then
	dropped map[string]uint64 // counters of dropped packets at the last look, by set; nil: not read yet
}

func newKeeper() keeper { return keeper{changed: make(chan struct{}, 1)} }

// exchange forgets what is known of the backend, because another one takes its place.
func (k *keeper) exchange() { k.backend = kept{} }

// touch marks keys that the kernel has to learn at the end of this turn.
func (k *keeper) touch(keys ...firewall.Key) {
	if k.backend.touched == nil {
		k.backend.touched = make(map[firewall.Key]struct{})
	}
	for _, key := range keys {
		k.backend.touched[key] = struct{}{}
	}
}

// asked reports whether a key was touched and the kernel does not know yet.
func (k *keeper) asked(key firewall.Key) bool {
	_, asked := k.backend.touched[key]
	return asked
}

// change returns the change for the touched keys, and forgets that they were touched. want tells whether and until when a key is to be
// held.
func (k *keeper) change(want func(firewall.Key) (until time.Time, ok bool)) firewall.Change {
	var c firewall.Change
	for key := range k.backend.touched {
		if until, ok := want(key); ok {
			c.Add = append(c.Add, firewall.Ban{Key: key, Until: until})
		} else {
			c.Del = append(c.Del, key)
		}
	}
	clear(k.backend.touched)
	return c
}

// unasked returns the part of a change that repairs what other programs did: its keys were not touched.
func (k *keeper) unasked(c firewall.Change) (repair firewall.Change) {
	for _, b := range c.Add {
		if !k.asked(b.Key) {
			repair.Add = append(repair.Add, b)
		}
	}
	for _, key := range c.Del {
		if !k.asked(key) {
			repair.Del = append(repair.Del, key)
		}
	}
	return repair
}

// compareSoon asks for a comparison at the end of this turn.
func (k *keeper) compareSoon() { k.doubt = true }

// remake asks for a comparison at the end of this turn, because the kernel has to hold something else now.
func (k *keeper) remake() {
	k.backend.filled = false // what differs is not a repair
	k.doubt = true
}

// pausing reports whether banning is paused: no ban is in force, and none is made.
func (k *keeper) pausing() bool { return time.Now().Before(k.paused) }

// pause pauses banning for that long; 0 ends a pause.
func (k *keeper) pause(t time.Duration) {
	k.paused = time.Time{}
	if t > 0 {
		k.paused = time.Now().Add(t)
	}
	k.remake()
}

// endPause ends a pause whose time is over.
func (k *keeper) endPause() {
	if !k.paused.IsZero() && !k.pausing() {
		k.pause(0)
	}
}

// due reports whether the kernel is to be compared: in doubt, or to retry a failed change.
func (k *keeper) due(now time.Time) bool {
	return k.doubt || k.failing() && !k.backend.retry.After(now)
}

// failing reports whether the last change failed.
func (k *keeper) failing() bool { return !k.backend.retry.IsZero() }

// failed notes that a change failed.
func (k *keeper) failed(now time.Time) {
	k.backend.wait = min(max(2*k.backend.wait, time.Second), time.Minute)
	k.backend.retry = now.Add(k.backend.wait)
}

// repairs reports whether the differences that a comparison finds were made by others, and are not left from a failed or a first fill.
func (k *keeper) repairs() bool { return k.backend.filled && !k.failing() }

// holds reports whether the kernel has the bans, as far as is known.
func (k *keeper) holds() bool { return k.backend.filled && !k.failing() }

// compared notes that the kernel is as it should be, and whether something had to be changed for that.
func (k *keeper) compared(began, done time.Time, changed bool) {
	b := &k.backend
	if changed || !k.holds() {
		b.whole = done
	}
	clear(b.touched)
	b.filled, b.retry, b.wait = true, time.Time{}, 0
	b.at, b.took = done, done.Sub(began)
	k.counted(done, 0)
}

// counted notes how many bans the kernel lacks.
func (k *keeper) counted(now time.Time, lacking int) {
	k.backend.looked, k.backend.lacking = now, lacking
}

// stale reports whether the bans in the kernel have not been counted recently.
func (k *keeper) stale() bool { return k.backend.filled && time.Since(k.backend.looked) >= lookEvery }

// rests reports whether the last comparison is so recent that counting is enough.
func (k *keeper) rests() bool {
	return time.Since(k.backend.at) < min(compareShare*k.backend.took, compareEvery)
}

// fresh returns how many packets the kernel has dropped since the last look, by set. What it had dropped before the first look is not
// counted.
func (k *keeper) fresh(dropped map[string]uint64) map[string]uint64 {
	first := k.backend.dropped == nil
	if first {
		k.backend.dropped = make(map[string]uint64)
	}
	fresh := make(map[string]uint64, len(dropped))
	for set, n := range dropped {
		fresh[set] = n
		if was := k.backend.dropped[set]; n >= was { // or the rule was made anew
			fresh[set] -= was
		}
		if first {
			fresh[set] = 0
		}
		k.backend.dropped[set] = n
	}
	return fresh
}

// watch reports changes by other programs in our part of the kernel, until ctx ends.
func (k *keeper) watch(ctx context.Context, w firewall.Watcher) error {
	for ctx.Err() == nil {
		_ = w.Watch(ctx, k.notice)
		sleep(ctx, time.Minute)
		k.notice() // nothing watched in between
	}
	return nil
}

// notice asks the loop for a comparison. It is called from other goroutines.
func (k *keeper) notice() {
	select {
	case k.changed <- struct{}{}:
	default:
	}
}
