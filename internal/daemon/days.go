package daemon

import (
	"context"
	"net/netip"
	"slices"
	"time"

	"exile/firewall"
	"exile/internal/control"
	"exile/internal/state"
)

// What got through, what was prevented and whom it hit by mistake is counted by day, so that people can see whether it is
// worth it.

// keepDays is how many days are kept, today among them.
const keepDays = 31

const day = 24 * time.Hour

// days are the last days on which something happened, oldest first.
type days struct {
	list    []control.Day
	changed bool // since they were written
}

// on is the day of that time, to be changed. What happened too long ago, or is said to happen in the future, is counted
// nowhere: a log may be older, and a clock wrong.
func (d *days) on(at, now time.Time) *control.Day {
	date, today := at.UTC().Truncate(day), now.UTC().Truncate(day)
	oldest, newest := today.Add(-(keepDays-1)*day), today.Add(day)
	d.list = slices.DeleteFunc(d.list, func(c control.Day) bool { return c.Date.Before(oldest) || c.Date.After(newest) })
	if date.Before(oldest) || date.After(newest) {
		return new(control.Day)
	}
	d.changed = true
	i, found := slices.BinarySearchFunc(d.list, date, func(c control.Day, date time.Time) int { return c.Date.Compare(date) })
	if !found {
		d.list = slices.Insert(d.list, i, control.Day{Date: date})
	}
	return &d.list[i]
}

// unwritten are the days, if they changed since they were asked for last; else nil.
func (d *days) unwritten() *[]control.Day {
	if !d.changed {
		return nil
	}
	d.changed = false
	list := slices.Clone(d.list)
	return &list
}

// pass counts the guesses that a jail has seen since it was asked last. What is read again has been counted.
func (d *Daemon) pass(j *Jail, at time.Time, again bool) {
	n := j.Counters().Attempts
	if n > j.passed && !again {
		d.days.on(at, time.Now()).Passed += n - j.passed
	}
	j.passed = n
}

// welcome notes that somebody logged in from an address. Where it was banned before, the ban kept an owner out, or what
// looks like one; each ban counts once.
func (d *Daemon) welcome(j *Jail, a netip.Addr, at time.Time) {
	all := netip.PrefixFrom(a, a.BitLen())
	for bits := a.BitLen(); bits >= control.Widest(all); bits-- {
		p, _ := a.Prefix(bits) // valid
		who := state.Who{Jail: j.Info.Name, Prefix: p}
		past := d.past.get(who)
		if past.Offences == 0 || past.Welcome || at.Before(past.Last) {
			continue
		}
		past.Welcome = true
		d.remember(who, past)
		j.counters.denied++
		d.days.on(at, time.Now()).Denied++
	}
}

// measure asks the kernel what it has dropped, where it counts that. What it had counted before we first asked is not ours.
func (d *Daemon) measure(ctx context.Context) {
	meter, ok := d.plan.Backend.(firewall.Meter)
	if !ok {
		return
	}
	dropped, err := meter.Dropped(ctx)
	if err != nil {
		d.log.Debug("The kernel does not say what it has dropped", "error", err)
		return
	}
	first := d.kernel.dropped == nil
	if first {
		d.kernel.dropped = make(map[string]uint64)
	}
	for set, n := range dropped {
		fresh := n
		if was := d.kernel.dropped[set]; n >= was { // or the rule was made anew
			fresh -= was
		}
		if first {
			fresh = 0
		}
		d.kernel.dropped[set] = n
		d.drop(set, fresh)
	}
}

// drop counts packets that the kernel dropped.
func (d *Daemon) drop(set string, n uint64) {
	if d.stats.dropped == nil {
		d.stats.dropped = make(map[string]uint64)
	}
	d.stats.dropped[set] += n
	if now := time.Now(); n > 0 {
		d.days.on(now, now).Dropped += n
	}
}
