package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"time"

	"exile/internal/actions"
	"exile/internal/control"
)

// Times of mirrors.
const (
	heal       = 10 * time.Minute // a mirror is compared at least that often
	cloudEvery = 30 * time.Second // Cloudflare is asked at most that often
	share      = 10               // comparing takes at most one part of so many of the time: exiled has to say all its bans each time
)

// mirror keeps something like the list of bans. It is compared, not changed event by event: so nothing can be forgotten, whatever was lost.
func (w *worker) mirror(ctx context.Context) {
	failures, every := 0, cloudEvery
	if w.action.Kind == actions.DenyList {
		every = w.action.DenyList.Every
	}
	owed := w.action.DenyList.Reload != "" // whether the reload after the last change succeeded is not known
	for ctx.Err() == nil {
		begun := time.Now()
		more, err := w.compare(ctx, &owed)
		if ctx.Err() != nil {
			return
		}
		wait := max(every, share*time.Since(begun))
		if err != nil {
			failures++
			wait = max(wait, min(pause(failures), heal))
			w.board.failed(w.action.Name, err)
			w.Log.Warn("Action failed; trying again", "action", w.action.Name, "in", wait, "error", err)
		} else {
			failures = 0
			w.board.done(w.action.Name)
		}
		if !sleep(ctx, wait) || more || err != nil {
			continue
		}
		select {
		case <-ctx.Done():
		case <-w.poke:
		case <-time.After(heal):
		}
	}
}

// compare makes the mirror like the bans, and reports whether there is more to do.
func (w *worker) compare(ctx context.Context, owed *bool) (more bool, err error) {
	banned, err := w.banned(ctx)
	if err != nil {
		return false, err
	}
	if w.action.Kind == actions.DenyList {
		return false, w.write(ctx, banned, owed)
	}
	return w.Ask(w.runs, w.action, actions.Request{Action: w.action.Name, Wanted: w.action.Cloudflare.Fitting(banned)})
}

// maxBans bounds what is held in memory; exiled has no more.
const maxBans = 1 << 20

// banned returns what the mirror should have, sorted, each once.
func (w *worker) banned(ctx context.Context) (all []netip.Prefix, err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	err = w.Bans(ctx, func(b control.Ban) error {
		if len(all) == maxBans {
			return errors.New("there are too many")
		}
		if w.action.Mirrored(&b) {
			all = append(all, b.Prefix)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("ask exiled for the bans: %w", err)
	}
	slices.SortFunc(all, netip.Prefix.Compare)
	return slices.Compact(all), nil
}

// write writes the list if it has changed, and has the service read it.
func (w *worker) write(ctx context.Context, banned []netip.Prefix, owed *bool) error {
	name := actions.ListPath(w.Dir, w.action.Name)
	text := w.action.DenyList.Format.Render(banned)
	if old, err := os.ReadFile(name); err != nil || !bytes.Equal(old, text) {
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			return err
		}
		if err := actions.WriteFile(name, text, 0o644); err != nil {
			return err
		}
		*owed = w.action.DenyList.Reload != ""
	}
	if !*owed {
		return nil
	}
	if _, err := w.Ask(w.runs, w.action, actions.Request{Action: w.action.Name}); err != nil {
		return err
	}
	*owed = false
	return nil
}
