package lapi

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"exile/internal/control"
)

// Daemon is what the feed asks of exiled.
type Daemon interface {
	EachBan(ctx context.Context, jail string, f func(control.Ban) error) error
	Status(ctx context.Context) (control.Status, error)
}

// look is how often exiled is asked whether bans are paused: no signal says that.
const look = 10 * time.Second

// Feed writes what exiled bans into a book. exiled's signals come by Hear and Joined, at any time.
type Feed struct {
	book   *Book
	failed func(error) // is told why the bans cannot be listed; they are listed again later
	join   chan struct{}

	mu      sync.Mutex // signals come while bans are listed
	listing bool
	touched map[Ban]bool // by jail and prefix: what signals said meanwhile is newer than the list
	paused  bool
}

// NewFeed returns a feed of a book.
func NewFeed(book *Book, failed func(error)) *Feed {
	return &Feed{book: book, failed: failed, join: make(chan struct{}, 1)}
}

// Joined tells the feed that it hears all signals from now on.
func (f *Feed) Joined() {
	select {
	case f.join <- struct{}{}:
	default: // it will list soon
	}
}

// Hear enters a ban or its end.
func (f *Feed) Hear(e control.Event) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if e.Ban.Simulated || f.paused {
		return
	}
	if f.listing {
		f.touched[Ban{Jail: e.Ban.Jail, Prefix: e.Ban.Prefix}] = true
	}
	switch e.Kind {
	case control.BanNew:
		f.book.Put(Ban{Jail: e.Ban.Jail, Prefix: e.Ban.Prefix, Until: e.Ban.Until})
	case control.BanRemoved:
		f.book.Lift(e.Ban.Jail, e.Ban.Prefix)
	}
}

// Run lists the bans after each Joined, and after a pause, until ctx ends.
func (f *Feed) Run(ctx context.Context, d Daemon) {
	tick := time.NewTicker(look)
	defer tick.Stop()
	missing := false // the list failed
	for {
		select {
		case <-ctx.Done():
			return
		case <-f.join:
			missing = true
		case <-tick.C:
		}
		if changed := f.pause(ctx, d); missing || changed {
			err := f.list(ctx, d)
			if missing = err != nil; missing && ctx.Err() == nil {
				f.failed(err)
			}
		}
	}
}

// pause asks whether bans are paused, and reports whether that has changed. A daemon that does not answer changes nothing: its bans stay in the
// kernel, too.
func (f *Feed) pause(ctx context.Context, d Daemon) (changed bool) {
	s, err := d.Status(ctx)
	if err != nil {
		return false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	paused := !s.PausedTo.IsZero()
	changed, f.paused = paused != f.paused, paused
	return changed
}

// list compares the book with the daemon's bans, of which none is in force during a pause.
func (f *Feed) list(ctx context.Context, d Daemon) error {
	f.mu.Lock()
	f.listing, f.touched = true, make(map[Ban]bool)
	paused := f.paused
	f.mu.Unlock()
	var bans []Ban
	var err error
	if !paused {
		err = d.EachBan(ctx, "", func(b control.Ban) error {
			if !b.Simulated {
				bans = append(bans, Ban{Jail: b.Jail, Prefix: b.Prefix, Until: b.Until})
			}
			return nil
		})
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.listing = false
	if err == nil {
		f.book.Fill(bans, func(jail string, p netip.Prefix) bool { return f.touched[Ban{Jail: jail, Prefix: p}] })
	}
	f.touched = nil
	return err
}
