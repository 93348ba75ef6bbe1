package daemon

import (
	"errors"
	"maps"
	"net/netip"
	"slices"
	"time"

	"exile/internal/control"
	"exile/internal/state"
)

// The commit has three steps, in this order.
//
// Kernel: because a full disk, which an attacker can cause, must not stop banning. Disk: positions, bans and history in
// one transaction, so that after a crash the entries behind the stored position are read again and give the same
// decisions. World: because nothing may be announced that a crash could take back. What is to be announced is in the
// transaction, and in the next ones until the journal has it: after a crash the next process announces it, perhaps a second time.
//
// The disk is written by a goroutine of its own, one transaction at a time; what happens meanwhile waits for the next.
// So a slow disk delays announcements. It delays bans only when five thousand announcements wait, because then the logs are read later.

// lazily is how long a position that moved without consequences may stay unwritten: losing it only means reading again.
const lazily = time.Second

// pending is what the disk and the world do not know yet.
type pending struct {
	batch   state.Batch
	events  []control.Event
	stamped int       // of the events: the latency of these is known
	removed int       // of the events: they are of lifted bans
	done    []func()  // called when it is on disk, or the disk has refused it
	urgent  bool      // more than positions
	since   time.Time // of the oldest position; zero when there is none
	retry   time.Time // not before; zero: at once
	room    int       // how many entries it has held at most, since it was made
}

// written is what became of a transaction.
type written struct {
	what pending
	all  bool // everything was to be written, not only what
	err  error
}

func newPending() pending {
	return pending{batch: state.Batch{
		Bans: make(map[state.Who]control.Ban), Lifted: make(map[state.Who]bool), Past: make(map[state.Who]state.Past),
		Repeats: make(map[netip.Prefix][]time.Time), Reports: make(map[uint64]state.Report),
	}}
}

// reuse returns an empty pending with the room of p, whose transaction is over, unless p hardly used that room. So the loop leaves no
// garbage during a flush, and does not have to help the collector, which delayed bans by tens of milliseconds.
func (p *pending) reuse() pending {
	b := &p.batch
	used := len(p.events) + len(b.Bans) + len(b.Lifted) + len(b.Past) + len(b.Repeats) + len(b.Reports)
	if p.room = max(p.room, used); p.room > 64+4*used {
		return newPending()
	}
	clear(p.events)
	clear(b.Bans)
	clear(b.Lifted)
	clear(b.Past)
	clear(b.Repeats)
	clear(b.Reports)
	return pending{room: p.room, events: p.events[:0], batch: state.Batch{
		Bans: b.Bans, Lifted: b.Lifted, Past: b.Past, Repeats: b.Repeats, Reports: b.Reports,
	}}
}

func (p *pending) put(b control.Ban) {
	p.batch.Bans[whoOf(b)] = b
	p.urgent = true
}

func (p *pending) lift(b control.Ban) {
	delete(p.batch.Bans, whoOf(b))
	p.batch.Lifted[whoOf(b)] = true
	p.urgent = true
}

// flush notes that a jail has no bans any more, and that its past before a time is forgotten.
func (p *pending) flush(jail string, at, forgotten time.Time) {
	p.batch.Flush(jail, at, forgotten)
	p.urgent = true
}

// remember notes the past of an address.
func (p *pending) remember(who state.Who, past state.Past) {
	p.batch.Past[who] = past
	p.urgent = true
}

// forget notes that an address has no past any more.
func (p *pending) forget(who state.Who) {
	p.batch.Past[who] = state.Past{}
	p.move()
}

// news is how many announcements wait that are not of lifted bans.
func (p *pending) news() int { return len(p.events) - p.removed }

// move notes that a position moved.
func (p *pending) move() {
	if p.since.IsZero() {
		p.since = time.Now()
	}
}

func whoOf(b control.Ban) state.Who { return state.Who{Jail: b.Jail, Prefix: b.Prefix} }

// due is when to write; zero when there is nothing.
func (p *pending) due() time.Time {
	var at time.Time
	switch {
	case p.urgent || len(p.events) > 0 || len(p.done) > 0:
		at = time.Now()
	case !p.since.IsZero():
		at = p.since.Add(lazily)
	default:
		return at
	}
	if p.retry.After(at) {
		return p.retry
	}
	return at
}

// stampLatency sets the latency of new bans: how long after the deciding entry the kernel had them.
func (l *ledger) stampLatency(now time.Time) {
	news := l.pending.events[l.pending.stamped:]
	l.pending.stamped = len(l.pending.events)
	for i := range news {
		e := &news[i]
		if e.Kind == control.BanNew && e.Latency == 0 {
			e.Latency = max(now.Sub(e.Ban.Since), 0) // the clock may have been put back
			l.year.on(e.Ban.Jail, e.Ban.Since, now).Latency.Add(e.Latency)
		}
	}
}

// checkpoint says how far the logs have been handled: after a crash they are read again from there.
type checkpoint struct {
	marks     map[string]state.Mark
	snapshots map[string]state.Snapshot // of the detectors; nil: none is due
}

// writeAt is when to write; zero when there is nothing, or while something is being written: its end wakes the loop.
func (l *ledger) writeAt() time.Time {
	if l.writing {
		return time.Time{}
	}
	return l.pending.due()
}

// maxUnstored is how many announcements may wait for the disk before the logs do.
const maxUnstored = 5000

// full reports whether so many announcements wait for the disk that reading has to wait. Those of lifted bans do not count, so that a
// flush does not delay bans.
func (l *ledger) full() bool { return l.writing && l.pending.news() >= maxUnstored }

// behind reports whether so many lifted bans wait for the disk that the rounds have to wait.
func (l *ledger) behind() bool { return l.writing && l.pending.removed >= maxLifted }

// commit writes what is pending to the disk; the result comes through the channel written. others adds what is not the ledger's to the
// contents of a new file.
func (l *ledger) commit(at *checkpoint, others func(*state.Contents)) {
	write := l.prepare(at, others)
	l.writing = true
	go func() { l.written <- write() }()
}

// prepare returns the next transaction, which may run in another goroutine. Without a checkpoint the positions on disk stay as they are.
func (l *ledger) prepare(at *checkpoint, others func(*state.Contents)) func() written {
	what, all := l.take(at), l.rewrite
	save := l.save(what.batch, others)
	return func() written { return written{what, all, save()} }
}

// repeat notes which bans of a prefix the recidive rule counts.
func (l *ledger) repeat(prefix netip.Prefix, bans []time.Time) {
	l.pending.batch.Repeats[prefix] = bans
	l.pending.urgent = true
}

// pause notes until when nobody is banned; zero: bans are in force.
func (l *ledger) pause(until time.Time) {
	l.pending.batch.Paused = &until
	l.pending.urgent = true
}

// try notes which configuration is on trial; without a text: none.
func (l *ledger) try(t control.Trial) {
	l.pending.batch.Trial = &t
	l.pending.urgent = true
}

// move notes that a position moved.
func (l *ledger) move() { l.pending.move() }

// whenStored has f called when all changes up to now are on disk and announced, or the disk has refused them.
func (l *ledger) whenStored(f func()) { l.pending.done = append(l.pending.done, f) }

// take takes what is pending and adds what goes with every transaction.
func (l *ledger) take(at *checkpoint) pending {
	what := l.pending
	l.pending, l.spare = l.spare, newPending()
	what.events = sum(what.events)
	what.batch.Days = l.days.unwritten()
	l.announced = l.inFlight()
	untold := slices.Concat(l.announced, forJournal(what.events))
	what.batch.Announcements = &untold
	if at == nil {
		l.pending.since = time.Now()
		return what
	}
	what.batch.Marks, what.batch.Snapshots, what.batch.History = at.marks, at.snapshots, l.year.book.Unwritten()
	for _, n := range l.reports.settle(at.snapshots) {
		what.batch.Reports[n] = state.Report{}
	}
	return what
}

// save returns what the next transaction does: it commits a batch, or writes everything if the file was lost, and removes what is too old to
// matter.
func (l *ledger) save(b state.Batch, others func(*state.Contents)) func() error {
	purge := l.purge(time.Now())
	if !l.rewrite {
		return func() error { return errors.Join(l.store.Commit(b), purge()) }
	}
	l.rewrite = false
	all := l.contents()
	others(&all)
	maps.Copy(all.Snapshots, b.Snapshots)
	all.Announcements = *b.Announcements
	return func() error { return l.store.Replace(all) }
}

// settle announces what is on disk now. What the disk refused is announced as well, because the kernel has it; the store keeps it for the
// next commit.
func (l *ledger) settle(w written) {
	l.writing = false
	l.announceAll(w.what.events)
	for _, done := range w.what.done {
		done()
	}
	if w.err == nil {
		l.spare = w.what.reuse()
		return
	}
	if errors.Is(w.err, state.ErrSetAside) {
		l.rewrite, l.memorized = true, time.Time{}
	} else {
		l.rewrite = l.rewrite || w.all
	}
	l.pending.urgent = true
	l.pending.retry = time.Now().Add(retryDisk)
}

// lastWords is how long a daemon that stops waits for the journal.
const lastWords = 5 * time.Second

// awaitJournal waits until the journal has everything. If the journal is stalled, the next process announces the rest again.
func (l *ledger) awaitJournal() {
	for end := time.Now().Add(lastWords); len(l.inFlight()) > 0 && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
}

// commit writes what is due to the disk, if the disk is idle.
//
// While a question to an ignorecommand is open, the positions on disk do not move: after a crash the entries behind it are read again, and
// the question is asked again.
func (d *Daemon) commit() {
	if due := d.ledger.writeAt(); !due.IsZero() && !due.After(time.Now()) {
		d.ledger.commit(d.checkpoint(), d.addContents)
	}
}

// checkpoint returns how far the sources are, or nil while the positions on disk must not move.
func (d *Daemon) checkpoint() *checkpoint {
	if d.asker.asking() {
		return nil
	}
	snapshots := d.memorize(time.Now()) // before the marks, which it moves
	return &checkpoint{d.sources.marks(), snapshots}
}

// addContents adds the parts of the state file that are not the ledger's.
func (d *Daemon) addContents(c *state.Contents) {
	c.Marks = d.sources.marks()
	maps.Copy(c.Repeats, d.plan.repeats())
	c.Paused, c.Trial = d.kernel.paused, d.trial.running
}

// settle takes the result of a transaction: it announces what was written, and notes whether the disk works.
func (d *Daemon) settle(w written) {
	d.ledger.settle(w)
	switch {
	case w.err == nil:
		d.health.recovered(reasonState)
		return
	case errors.Is(w.err, state.ErrSetAside):
		d.health.degrade(reasonAside, time.Time{}, w.err)
	default:
		d.health.degrade(reasonState, time.Time{}, w.err)
	}
	d.stats.diskErrors++
}

// finish writes what is left when the loop has ended.
func (d *Daemon) finish() error {
	if d.ledger.writing {
		d.settle(<-d.ledger.written)
	}
	d.ledger.memorizeSoon()
	write := d.ledger.prepare(d.checkpoint(), d.addContents)()
	d.settle(write)
	d.ledger.awaitJournal()
	return errors.Join(write.err, d.ledger.prepare(d.checkpoint(), d.addContents)().err) // with nothing untold
}
