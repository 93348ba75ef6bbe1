package engine

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"time"

	"exile/internal/actions"
)

// Times of mirrors.
const (
	heal       = 10 * time.Minute // a mirror is compared at least that often
	cloudEvery = 30 * time.Second // Cloudflare is asked at most that often
)

// mirror keeps something like the list of bans. It is compared, not changed event by event: so nothing can be forgotten, whatever was lost.
func (w *worker) mirror(ctx context.Context) {
	failures, every := 0, cloudEvery
	if w.action.Kind == actions.DenyList {
		every = w.action.DenyList.Every
	}
	owed := w.action.DenyList.Reload != "" // whether the reload after the last change succeeded is not known
	for ctx.Err() == nil {
		more, err := w.compare(ctx, &owed)
		if ctx.Err() != nil {
			return
		}
		wait := every
		if err != nil {
			failures++
			wait = max(every, min(pause(failures), heal))
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
	r := actions.Request{Action: w.action.Name}
	for _, p := range banned {
		r.Wanted = append(r.Wanted, p.String())
	}
	return w.Ask(w.runs, w.action, r)
}

// banned returns what the mirror should have, sorted, each once.
func (w *worker) banned(ctx context.Context) (all []netip.Prefix, err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	bans, err := w.Bans(ctx)
	if err != nil {
		return nil, fmt.Errorf("ask exiled for the bans: %w", err)
	}
	for i := range bans {
		if w.action.Mirrored(&bans[i]) {
			all = append(all, bans[i].Prefix)
		}
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
