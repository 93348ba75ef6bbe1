package daemon

import (
	"net/netip"
	"slices"
	"time"

	"exile/internal/control"
	"exile/internal/state"
)

// What got through, what was prevented and who was banned by mistake is counted by day, so that people can see whether it is worth it.

// keepDays is how many days are kept, today among them.
const keepDays = 31

const day = 24 * time.Hour

// days are the last days on which something happened, oldest first.
type days struct {
	list    []control.Day
	changed bool // since they were written
}

// on returns the counts of a day, to be changed. What is too old or in the future is counted nowhere: a log may be older, or a clock
// wrong.
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

// unwritten returns the days if they changed since the last call, else nil.
func (d *days) unwritten() *[]control.Day {
	if !d.changed {
		return nil
	}
	d.changed = false
	list := slices.Clone(d.list)
	return &list
}

// countAttempts counts the attempts that a jail has seen since the last call. What is read again has been counted before.
func (d *Daemon) countAttempts(j *Jail, at time.Time, again bool) {
	n := j.Counters().Attempts
	if n > j.passed && !again {
		d.ledger.day(at).Passed += n - j.passed
	}
	j.passed = n
}

// countDeniedLogin counts a login from an address that was banned before: that ban seems to have kept an owner out. Each ban counts
// once.
func (d *Daemon) countDeniedLogin(j *Jail, a netip.Addr, at time.Time) {
	all := netip.PrefixFrom(a, a.BitLen())
	for bits := a.BitLen(); bits >= control.Widest(all); bits-- {
		p, _ := a.Prefix(bits) // valid
		who := state.Who{Jail: j.Info.Name, Prefix: p}
		past := d.ledger.past.get(who)
		if past.Offences == 0 || past.Welcome || at.Before(past.Last) {
			continue
		}
		past.Welcome = true
		d.ledger.remember(who, past)
		j.counters.denied++
		d.ledger.day(at).Denied++
		d.ledger.sums(who.Jail, at).Denied++
	}
}
