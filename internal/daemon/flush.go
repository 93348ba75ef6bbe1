package daemon

import (
	"context"
	"maps"
	"slices"
	"time"

	"exile/firewall"
	"exile/internal/control"
)

// A flush takes whole jails out of the table in one turn of the loop, however many bans they have. The disk gets only the time of the
// flush: attempts up to then are pardoned, including those of addresses that were not banned yet. The rest is done ban by ban in later
// turns: the kernel drops it, if it cannot drop all at once; its past becomes that of an address that is not banned; and it is announced. A crash
// in between loses only announcements of single bans; the journal has their sum.

// flushBans lifts every current ban of a jail, or of all jails (""), and returns their number.
func (d *Daemon) flushBans(ctx context.Context, name string) (n int, err error) {
	lifted := 0
	err = d.await(ctx, func(life context.Context, done func()) error {
		if err := d.known(name); err != nil {
			return err
		}
		lifted = d.pardonAll(life, name, done)
		if name == "" {
			d.health.notice = notice{}
		}
		return nil
	})
	if err != nil {
		return 0, err // the loop may still be writing to lifted
	}
	return lifted, nil
}

// pardonAll lifts all bans of a jail, or of all jails (""). last is called when the kernel has dropped them.
func (d *Daemon) pardonAll(ctx context.Context, name string, last func()) (n int) {
	now := time.Now().Truncate(time.Microsecond) // as entries, and the times of memories, are
	var gone snapshot
	left := make(map[string]leaving)
	for _, one := range d.flushable(name) {
		flushed, of := d.ledger.flush(one, now)
		if flushed != nil {
			gone = append(gone, view{flushed, flushed.bans})
		}
		left[one] = of
		d.pardonJail(one, now)
	}
	n = gone.len()
	d.stats.unbans += uint64(n)
	d.ledger.memorizeSoon() // otherwise the memories would still have the attempts
	held := !d.emptied(ctx)
	d.rounds.add(&round{bans: gone, gone: true, held: held, do: d.farewell(left, held), last: last})
	return n
}

// leaving is what the bans of a jail that was flushed have in common.
type leaving struct {
	before stamp // offenders whose last ban is older are forgotten
	summed bool  // the journal gets their sum
}

// samples is how many bans are sampled to estimate the age of all.
const samples = 4096

// oldest estimates when the oldest ban began that is to be remembered; noTime: all are. So a million bans need not be sorted to forget most of
// them, and the disk only gets the time. Bans by hand and of groups have no past.
func (l *ledger) oldest(p *part) stamp {
	const keep = keepPast + keepPast/8
	if l.past.all.Len() <= keep {
		return noTime
	}
	sample := p.sample()
	since := slices.DeleteFunc(sample.since, func(s stamp) bool { return s == noTime })
	if n := len(since) * sample.each; n > keep {
		slices.Sort(since)
		return since[len(since)-keep/sample.each]
	}
	return noTime
}

// sample holds one of each that many bans.
type sample struct {
	since []stamp // noTime if the ban leaves no past
	each  int
}

func (p *part) sample() (s sample) {
	s.each = p.bans.Len()/samples + 1
	i := 0
	for _, ends := range p.ends {
		for ; i < len(ends); i += s.each {
			s.since = append(s.since, ends[i].offender())
		}
		i -= len(ends)
	}
	return s
}

// offender returns when the ban began, or noTime if the ban leaves no past.
func (e *entry) offender() stamp {
	switch control.Origin(e.origin.Value()) {
	case control.OriginManual, control.OriginGroup:
		return noTime
	}
	return e.since
}

// flushable returns the jails that a flush is about.
func (d *Daemon) flushable(name string) []string {
	if name != "" {
		return []string{name}
	}
	names := make(map[string]bool)
	for _, j := range d.plan.Jails {
		names[j.Info.Name] = true
	}
	for _, orphan := range d.ledger.bans.jails() {
		names[orphan] = true
	}
	return slices.Sorted(maps.Keys(names))
}

// pardonJail makes a jail forget all attempts for good: reading them again does not bring them back.
func (d *Daemon) pardonJail(name string, now time.Time) {
	if j := d.plan.jail(name); j != nil {
		j.ForgetAll()
		j.Pardon(now)
		if j.Aggregator != nil {
			j.Aggregator.RemoveAll()
		}
	}
}

// sumUp reports whether a jail has too many bans for a journal entry each. If so, it announces their number.
func (l *ledger) sumUp(p *part, now time.Time) bool {
	n := p.bans.Len()
	if n <= sumAbove {
		return false
	}
	l.later(control.Event{Kind: control.BansRemoved, Time: now, Ban: control.Ban{Jail: p.jail}, Reason: "flush", Count: n})
	return true
}

// emptied has the kernel drop everything at once, if nothing is to be left and the backend can do that, and reports whether it did.
func (d *Daemon) emptied(ctx context.Context) bool {
	quick, ok := d.plan.Backend.(firewall.Emptier)
	if !ok || d.ledger.bans.len() > 0 || quick.Empty(ctx) != nil {
		return false
	}
	d.sparer.reset()
	d.kernel.remake()
	return true
}

// farewell returns the rest of the work for a ban that was flushed.
func (d *Daemon) farewell(left map[string]leaving, held bool) func(*entry) {
	return func(e *entry) {
		b := e.ban()
		if j := d.plan.jail(b.Jail); held && j != nil {
			d.kernel.touch(j.keys(&b)...)
		}
		d.ledger.leave(e, left[e.jail])
	}
}

// leave updates the past of a ban that was flushed and announces that it was lifted, unless it was made again meanwhile.
func (l *ledger) leave(e *entry, of leaving) {
	b := e.ban()
	if l.bans.has(b.Jail, b.Prefix) {
		return
	}
	l.past.leave(e.place, of.before)
	l.later(control.Event{Kind: control.BanRemoved, Time: time.Now(), Ban: b, Reason: "flush", Summed: of.summed})
}
