package daemon

import (
	"cmp"
	"slices"
	"time"

	"exile/internal/control"
	"exile/internal/state"
)

// Offenders are remembered when their ban has ended: the next one is longer, and what banned them does not count again.
// That ends after Plan.PurgeAge; an attacker with many addresses sees to it that it ends earlier.

const (
	purgeEvery = time.Hour
	keepPast   = 100_000 // who are not banned: 20 MB
	sparePast  = keepPast / 8
)

// remember keeps what is known of somebody's past.
func (d *Daemon) remember(who state.Who, past state.Past) {
	d.past[who] = past
	d.pending.batch.Past[who] = past
	d.pending.urgent = true
}

// offences is how often the prefix was banned before, in this jail or in all.
func (d *Daemon) offences(j *Jail, b control.Ban) int {
	n := 0
	for _, other := range d.plan.Jails {
		if other != j && !j.Overall {
			continue
		}
		past := d.past[state.Who{Jail: other.Info.Name, Prefix: b.Prefix}]
		if b.Since.Sub(past.Last) <= j.Remember {
			n += past.Offences
		}
	}
	return n
}

// purge forgets the past that no longer counts, and returns what does the same on disk.
func (d *Daemon) purge(now time.Time) func() error {
	crowded := len(d.past)-d.bans.len() > keepPast+sparePast
	if now.Sub(d.purged) < purgeEvery && !crowded {
		return func() error { return nil }
	}
	d.purged = now
	then := now.Add(-d.plan.PurgeAge)
	if d.plan.PurgeAge <= 0 {
		then = time.Time{}
	}
	gone := d.outdated(then, keepPast)
	for _, who := range gone {
		delete(d.past, who)
	}
	return func() error { return d.cfg.Store.Purge(then, gone) }
}

// outdated is whose last ban or pardon was before then, and if more than keep are left, whose was longest ago. Who is banned
// now is not outdated.
func (d *Daemon) outdated(then time.Time, keep int) []state.Who {
	var who []state.Who
	for w := range d.past {
		if _, banned := d.bans.get(w.Jail, w.Prefix); !banned {
			who = append(who, w)
		}
	}
	slices.SortFunc(who, func(a, b state.Who) int {
		return cmp.Or(d.past[a].Latest().Compare(d.past[b].Latest()), cmp.Compare(a.Jail, b.Jail), a.Prefix.Compare(b.Prefix))
	})
	n, _ := slices.BinarySearchFunc(who, then, func(w state.Who, t time.Time) int { return d.past[w].Latest().Compare(t) })
	return who[:max(n, len(who)-keep)]
}
