package daemon

import (
	"context"
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
// transaction, and in the next ones until the journal has it: whoever starts after a crash announces it, perhaps once more.
//
// The disk is written by a goroutine of its own, one transaction at a time; what happens meanwhile waits for the next.
// So a slow disk delays announcements, and bans only when five thousand of those wait: the logs are read later then.

// lazily is how long a position that moved without consequences may stay unwritten: losing it costs reading again.
const lazily = time.Second

// pending is what the disk and the world do not know yet.
type pending struct {
	batch   state.Batch
	events  []control.Event
	stamped int       // of the events: the latency of these is known
	done    []func()  // called when it is on disk, or the disk has refused
	urgent  bool      // more than positions
	since   time.Time // of the oldest position; zero when there is none
	retry   time.Time // not before; zero: at once
}

// written is what became of a transaction.
type written struct {
	what pending
	all  bool // not only what, but everything was to be written
	err  error
}

func newPending() pending { return newPendingFor(&pending{}) }

// newPendingFor has room for as much as there was before: in a flush that is much, and a map that grows is copied.
func newPendingFor(before *pending) pending {
	return pending{events: make([]control.Event, 0, len(before.events)), batch: state.Batch{
		Bans:   make(map[state.Who]control.Ban, len(before.batch.Bans)),
		Lifted: make(map[state.Who]bool, len(before.batch.Lifted)), Past: make(map[state.Who]state.Past, len(before.batch.Past)),
		Repeats: make(map[netip.Prefix][]time.Time), Reports: make(map[uint64]state.Report),
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

// repeat notes which bans of a prefix the recidive rule counts.
func (p *pending) repeat(prefix netip.Prefix, bans []time.Time) {
	p.batch.Repeats[prefix] = bans
	p.urgent = true
}

// pause notes until when nobody is banned; zero: everybody is.
func (p *pending) pause(until time.Time) {
	p.batch.Paused = &until
	p.urgent = true
}

// try notes which configuration is on trial; without a text: none.
func (p *pending) try(t control.Trial) {
	p.batch.Trial = &t
	p.urgent = true
}

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

// enforce makes the kernel hold what the table says of the keys that were touched.
func (d *Daemon) enforce(ctx context.Context) {
	if d.kernel.due(time.Now()) {
		d.reconcile(ctx)
		return
	}
	change := d.kernel.change(d.want)
	d.connected.stale = d.connected.stale || !change.Empty()
	d.keepConnected(ctx, false)
	if change.Empty() {
		return
	}
	if err := d.plan.Backend.Apply(ctx, change); err != nil {
		d.refused(ctx, err)
		return
	}
	d.stampLatency(time.Now())
}

// stampLatency writes into the announcements to come how long after the deciding entry the kernel had the ban.
func (d *Daemon) stampLatency(now time.Time) {
	news := d.pending.events[d.pending.stamped:]
	d.pending.stamped = len(d.pending.events)
	for i := range news {
		e := &news[i]
		if e.Kind == control.BanNew && e.Latency == 0 {
			e.Latency = now.Sub(e.Ban.Since)
		}
	}
}

// flush gives what is due to the disk, if it is idle.
//
// While a question to an ignorecommand is open, positions are held back: after a crash the entries behind it are read
// again, and it is asked again.
func (d *Daemon) flush() {
	due := d.writeAt()
	if due.IsZero() || due.After(time.Now()) {
		return
	}
	what := d.take()
	d.writing = true
	all := d.rewrite
	save := d.save(what.batch)
	go func() { d.written <- written{what, all, save()} }()
}

// writeAt is when to write; zero when there is nothing, or while something is being written: its end wakes the loop.
func (d *Daemon) writeAt() time.Time {
	if d.writing {
		return time.Time{}
	}
	return d.pending.due()
}

// take empties what is pending, and puts in how far the sources are.
func (d *Daemon) take() pending {
	what := d.pending
	d.pending = newPendingFor(&what)
	what.events = sum(what.events)
	what.batch.Days = d.days.unwritten()
	d.told = d.untold()
	untold := slices.Concat(d.told, forJournal(what.events))
	what.batch.Untold = &untold
	if d.open == 0 {
		what.batch.Snapshots = d.memorize(time.Now())
		d.settleReports(what.batch)
		what.batch.Marks = d.marks()
	} else {
		d.pending.since = time.Now()
	}
	return what
}

// marks is how far the sources are.
func (d *Daemon) marks() map[string]state.Mark {
	marks := make(map[string]state.Mark, len(d.sources))
	for name, r := range d.sources {
		if !r.position.IsZero() {
			marks[name] = state.Mark{Position: r.position, Low: r.low}
		}
	}
	return marks
}

// settle tells the world what is on disk now. What the disk refused the store keeps for the next commit, and the world is
// told all the same: the kernel has it.
func (d *Daemon) settle(w written) {
	d.writing = false
	d.announceAll(w.what.events)
	for _, done := range w.what.done {
		done()
	}
	switch {
	case w.err == nil:
		d.recovered(reasonState)
		return
	case errors.Is(w.err, state.ErrSetAside):
		d.degrade(reasonAside, time.Time{}, w.err)
		d.rewrite, d.memorized = true, time.Time{}
	default:
		d.degrade(reasonState, time.Time{}, w.err)
		d.rewrite = d.rewrite || w.all
	}
	d.stats.diskErrors++
	d.pending.urgent = true
	d.pending.retry = time.Now().Add(retryDisk)
}

// save is what the next transaction does: commit a batch, or write everything when the file was lost, and forget what is
// too old to matter.
func (d *Daemon) save(b state.Batch) func() error {
	purge := d.purge(time.Now())
	if !d.rewrite {
		return func() error { return errors.Join(d.cfg.Store.Commit(b), purge()) }
	}
	d.rewrite = false
	all := d.contents()
	maps.Copy(all.Snapshots, b.Snapshots)
	all.Untold = *b.Untold
	return func() error { return d.cfg.Store.Replace(all) }
}

// contents is everything that has to be on disk.
func (d *Daemon) contents() state.Contents {
	c := state.NewContents()
	c.Marks = d.marks()
	d.bans.every("", func(b control.Ban) { c.Bans[whoOf(b)] = b })
	c.Past = d.knownPast()
	maps.Copy(c.Reports, d.reports.kept)
	maps.Copy(c.Repeats, d.plan.repeats())
	c.Paused, c.Trial = d.paused, d.trial
	c.Days = slices.Clone(d.days.list)
	return c
}

// finish writes what is left, when nothing can come any more.
func (d *Daemon) finish() error {
	if d.writing {
		d.settle(<-d.written)
	}
	d.memorized = time.Time{}
	what := d.take()
	all := d.rewrite
	err := d.save(what.batch)()
	d.settle(written{what, all, err})
	d.hearOut()
	return errors.Join(err, d.save(d.take().batch)()) // with nothing untold
}

// lastWords is for how long the end waits for the journal.
const lastWords = 5 * time.Second

// hearOut waits until the journal has everything. For one that is stalled the next process announces it again.
func (d *Daemon) hearOut() {
	for end := time.Now().Add(lastWords); len(d.untold()) > 0 && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
}

// later announces an event when what it tells is on disk.
func (d *Daemon) later(e control.Event) { d.pending.events = append(d.pending.events, e) }

// announce tells the world at once.
func (d *Daemon) announce(e control.Event) {
	if e.Ban.Jail != "" { // before there is a plan there is no ban
		j := d.plan.jail(e.Ban.Jail)
		e.Simulated = j != nil && j.Simulate
	}
	d.cfg.Announce(e)
}

// announceAll tells the world what is on disk as untold, and has that noted there soon. Where the process dies in between,
// its successor tells it again.
func (d *Daemon) announceAll(events []control.Event) {
	for _, e := range events {
		d.announce(e)
	}
	d.told = append(d.told, forJournal(events)...)
	if len(d.told) > 0 {
		d.pending.move()
	}
	d.told = slices.Clone(d.untold())
}

// untold is what was told and may still be on its way to the journal, which takes everything in turn. As what waits there is
// not all from the disk, it may be more, but not less, unless so much waits that events are dropped.
func (d *Daemon) untold() []control.Event {
	return d.told[max(0, len(d.told)-d.cfg.Waiting()):]
}
