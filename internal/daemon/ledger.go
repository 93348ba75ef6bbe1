package daemon

import (
	"maps"
	"net/netip"
	"slices"
	"time"

	"exile/internal/control"
	"exile/internal/state"
	"exile/internal/tally"
)

// ledger is the book of bans: the current ones, past offences, reports, counts by day, and which of these the disk and the world have not
// heard of yet. It knows no jail, no plan and no kernel. Changes are made here in memory; commit and settle (commit.go) bring them to
// the disk and to the world.
type ledger struct {
	store    Store
	announce func(control.Event)
	waiting  func() int // see Config.Waiting

	bans    *table
	past    pasts
	flushed map[string]time.Time // by jail: when all its bans were last lifted at once
	reports reports
	days    days
	year    year

	keep      time.Duration // how long the past of an offender is kept; 0: forever
	purged    time.Time     // when the repeats on disk were last forgotten
	memorized time.Time     // when the snapshots of detectors were last written

	pending   pending
	spare     pending         // becomes pending when that is written
	announced []control.Event // but perhaps not in the journal yet; oldest first
	written   chan written
	writing   bool // a transaction is under way
	rewrite   bool // the state file was lost: write everything
}

func newLedger(store Store, announce func(control.Event), waiting func() int) ledger {
	return ledger{
		store: store, announce: announce, waiting: waiting, bans: newTable(), year: newYear(), past: newPasts(), flushed: make(map[string]time.Time),
		reports: reports{kept: make(map[uint64]state.Report)}, pending: newPending(), spare: newPending(), written: make(chan written, 1),
	}
}

// restore loads what was on disk, and announces what may not have been announced before.
func (l *ledger) restore(c state.Contents) {
	l.announceAll(c.Announcements)
	l.reports.restore(c.Reports)
	for _, b := range c.Bans {
		l.bans.put(b)
	}
	for who, past := range c.Past {
		l.past.put(who, past, l.bans.has(who.Jail, who.Prefix))
	}
	l.flushed = c.Flushed
}

// restoreDays takes over the counts by day.
func (l *ledger) restoreDays(c state.Contents) {
	l.days.list = c.Days
	l.year.restore(c.History, time.Now())
}

// bound sets how many bans there are at most, and how long the past of an offender is kept; 0: no bound.
func (l *ledger) bound(bans int, past time.Duration) {
	l.bans.bound(bans)
	l.keep = past
}

// put adds a ban, or replaces the one of the same jail and prefix.
func (l *ledger) put(b control.Ban) {
	l.bans.put(b)
	l.past.note(whoOf(b), true)
	l.pending.put(b)
}

// lift removes a ban.
func (l *ledger) lift(b control.Ban, reason string) {
	l.bans.remove(b.Jail, b.Prefix)
	l.past.note(whoOf(b), false)
	l.pending.lift(b)
	l.later(control.Event{Kind: control.BanRemoved, Time: time.Now(), Ban: b, Reason: reason})
}

// flush removes all bans of a jail from the table at once. It returns them and what they have in common: offenders whose last ban is older
// than that are forgotten.
func (l *ledger) flush(jail string, now time.Time) (flushed *part, of leaving) {
	of = leaving{before: noTime}
	if flushed = l.bans.detach(jail); flushed != nil {
		of = leaving{before: l.oldest(flushed), summed: l.sumUp(flushed, now)}
	}
	l.flushed[jail] = now
	l.pending.flush(jail, now, of.before.time())
	return flushed, of
}

// pardoned returns when all bans of a jail were last flushed: attempts up to then are pardoned. A time in the future only means that the
// clock was set back.
func (l *ledger) pardoned(jail string) time.Time {
	if at := l.flushed[jail]; !at.After(time.Now()) {
		return at
	}
	return time.Time{}
}

// covering returns the bans of a jail that stop all of p.
func (l *ledger) covering(jail string, p netip.Prefix) (bans []control.Ban) {
	for bits := p.Bits(); bits >= control.Widest(p); bits-- {
		if !l.bans.wide(jail, bits) {
			continue
		}
		wider, _ := p.Addr().Prefix(bits)
		if b, ok := l.bans.get(jail, wider); ok {
			bans = append(bans, b)
		}
	}
	return bans
}

// remember sets the past of an address.
func (l *ledger) remember(who state.Who, past state.Past) {
	l.past.put(who, past, l.bans.has(who.Jail, who.Prefix))
	l.pending.remember(who, past)
}

// pardon notes that the attempts of an address up to now do not count any more.
func (l *ledger) pardon(who state.Who) {
	now := time.Now()
	past, known := l.past.clear(who, now)
	if !known {
		l.remember(who, state.Past{Cleared: now})
		return
	}
	l.pending.remember(who, past)
}

// knownPast returns the whole past.
func (l *ledger) knownPast() map[state.Who]state.Past {
	known := make(map[state.Who]state.Past, l.past.all.Len())
	l.past.every("", func(who state.Who, past state.Past) { known[who] = past })
	return known
}

// forgetPast forgets some of the past that no longer counts, on disk with the next transaction.
func (l *ledger) forgetPast(now time.Time) {
	then := l.outdated(now)
	for range purgeStep {
		who, ok := l.past.forget(then, keepPast)
		if !ok {
			return
		}
		l.pending.forget(who)
	}
}

// outdated returns the time before which the past no longer counts; zero: all of it counts.
func (l *ledger) outdated(now time.Time) time.Time {
	if l.keep <= 0 {
		return time.Time{}
	}
	return now.Add(-l.keep)
}

// purge returns a function that removes from the disk the repeats that no longer count. Most of the time it does nothing.
func (l *ledger) purge(now time.Time) func() error {
	if now.Sub(l.purged) < purgeEvery {
		return func() error { return nil }
	}
	l.purged = now
	then := l.outdated(now)
	return func() error { return l.store.Purge(then) }
}

// keepReport adds a report, and drops the oldest ones that are too many or not needed.
func (l *ledger) keepReport(r state.Report, needed func(state.Report) bool) {
	l.pending.batch.Reports[l.reports.add(r)] = r
	for _, n := range l.reports.trim(needed) {
		l.pending.batch.Reports[n] = state.Report{}
	}
}

// day returns the counts of the day of that time.
func (l *ledger) day(at time.Time) *control.Day { return l.days.on(at, time.Now()) }

// sums returns the sums of a jail, or of the host (""), of the day of that time.
func (l *ledger) sums(jail string, at time.Time) *tally.Day { return l.year.on(jail, at, time.Now()) }

// memorizing reports whether snapshots of the detectors are due, and counts them as taken.
func (l *ledger) memorizing(now time.Time) bool {
	if now.Sub(l.memorized) < memorizeEvery {
		return false
	}
	l.memorized = now
	return true
}

// memorizeSoon has the next transaction hold snapshots of the detectors.
func (l *ledger) memorizeSoon() { l.memorized = time.Time{} }

// later announces an event once the change that it reports is on disk.
func (l *ledger) later(e control.Event) {
	l.pending.events = append(l.pending.events, e)
	if e.Kind == control.BanRemoved {
		l.pending.removed++
	}
}

// announceAll announces events that are on disk as not announced, and has the disk updated soon. If the process dies in between, the
// next one announces them again.
func (l *ledger) announceAll(events []control.Event) {
	for _, e := range events {
		l.announce(e)
	}
	l.announced = append(l.announced, forJournal(events)...)
	if len(l.announced) > 0 {
		l.pending.move()
	}
	l.announced = slices.Clone(l.inFlight())
}

// inFlight returns what was announced but may still be on its way to the journal, which takes events in order. It may be too much, because
// events wait there that were never on disk; it is too little only when so many wait that the queue drops some.
func (l *ledger) inFlight() []control.Event {
	return l.announced[max(0, len(l.announced)-l.waiting()):]
}

// contents returns the part of the state file that is the ledger's.
func (l *ledger) contents() state.Contents {
	c := state.NewContents()
	l.bans.every("", func(b control.Ban) { c.Bans[whoOf(b)] = b })
	c.Past = l.knownPast()
	maps.Copy(c.Flushed, l.flushed)
	maps.Copy(c.Reports, l.reports.kept)
	c.Days, c.History = slices.Clone(l.days.list), l.year.book.All()
	return c
}
