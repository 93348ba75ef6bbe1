// Package daemon is the one loop that owns all state: it takes entries from the sources, asks the jails, fills the
// kernel, writes to disk and tells the world, in that order. Everything else reaches it as a message.
package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"exile/firewall"
	"exile/internal/control"
	"exile/internal/state"
	"exile/journal"
)

// Store keeps what must survive a restart; see package state for the contract. It is used from one goroutine at a time.
type Store interface {
	Load() (state.Contents, error)
	Commit(b state.Batch) error
	Replace(c state.Contents) error
	Purge(then time.Time) error
}

// Config is what the daemon is built from.
type Config struct {
	// Plan reads the configuration: at the start, for Reload and for a trial. The text of a trial replaces the main file; without
	// a trial it is empty.
	Plan func(ctx context.Context, trial string) (*Plan, error)
	// Fallback returns the plan that a start uses if Plan refuses the files, and describes it for people. If it is nil, or returns
	// a nil plan, such a start fails.
	Fallback func(ctx context.Context) (plan *Plan, which string, err error)
	Store    Store
	Announce func(e control.Event) // tells the world; must not block
	Waiting  func() int            // how many of the last announcements the journal has not taken yet; nil: none
	Notify   func(state string)    // sd_notify(3); must not block
	Informed func()                // called when the logs have been read to their end for the first time; may be nil
	Watchdog time.Duration         // how often "WATCHDOG=1" is due; 0: never
	Log      *slog.Logger
	Version  string
}

// Daemon is the loop and the state that it owns. Its exported methods are safe for concurrent use; everything else
// belongs to the goroutine in Run.
//
// Most of the state has an owner, a type with a file of its own. Owners do not know each other, nor the plan: what one needs of
// another is brought by the loop's methods, those of Daemon.
type Daemon struct {
	inbox
	cfg      Config
	plan     *Plan
	sources  sources  // what is read
	ledger   ledger   // bans, the past, and what the disk and the world have not heard
	kernel   keeper   // what the kernel does not hold yet
	sparer   sparer   // sessions that bans leave alone
	rounds   rounds   // what is to be done with many bans, step by step
	asker    asker    // bans that wait for an ignorecommand
	killer   killer   // connections that are to be cut
	trial    trial    // a configuration on trial
	fallback fallback // what is in force in place of bad files
	health   *health  // what is wrong
	clock    clock    // whether the time was put back
	stats    stats
}

// New returns a daemon that does nothing until Run.
func New(cfg Config) *Daemon {
	if cfg.Informed == nil {
		cfg.Informed = func() {}
	}
	if cfg.Waiting == nil {
		cfg.Waiting = func() int { return 0 }
	}
	d := &Daemon{
		inbox: newInbox(), cfg: cfg, sources: newSources(), kernel: newKeeper(), rounds: newRounds(), asker: newAsker(), killer: newKiller(),
		health: newHealth(cfg.Log, cfg.Announce),
	}
	d.ledger = newLedger(cfg.Store, d.announce, cfg.Waiting)
	return d
}

// Run restores the bans, follows the sources and answers until ctx ends; then it stores what is left, leaves the bans
// in the kernel, and returns nil. An error means that it could not start.
func (d *Daemon) Run(ctx context.Context) error {
	defer close(d.closed)
	d.stats.started = time.Now()
	contents, err := d.load()
	if err != nil {
		return err
	}
	if d.plan, err = d.firstPlan(ctx, contents.Trial); err != nil {
		return err
	}
	if err := d.shelter(contents.Bans); err != nil {
		return err
	}
	d.restore(contents)
	d.recallSpared(ctx)
	d.reconcile(ctx)
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return d.killer.run(ctx, func(err error) { d.killFailed(ctx, err) }) })
	group.Go(func() error { return d.asker.run(ctx) })
	d.launch(ctx, contents.Marks)
	d.notify()              // of what is wrong, before systemctl start comes back
	d.cfg.Notify("READY=1") // the gate is as it was left; what was logged meanwhile is read now
	d.loop(ctx)
	d.sources.stop()
	return errors.Join(d.finish(), d.plan.Backend.Close(), group.Wait())
}

// load reads the state. One that was lost is empty.
func (d *Daemon) load() (state.Contents, error) {
	contents, err := d.cfg.Store.Load()
	switch {
	case errors.Is(err, state.ErrSetAside):
		d.health.degrade(reasonAside, time.Time{}, err)
		d.kernel.orphans, d.sources.lost = true, true
	case err != nil:
		return contents, fmt.Errorf("load state: %w", err)
	}
	return contents, nil
}

// restore takes over the bans, lifts those that are over, whose jail is gone or who are protected now, and takes over what
// else was known.
func (d *Daemon) restore(contents state.Contents) {
	d.ledger.restore(contents) // as it was found
	for !d.liftServed() {      // those that ended while nobody ran
	}
	d.goAllRound(d.orphaned(false))
	d.ledger.restoreDays(contents) // a ban that was moved to another jail is no new one
	d.plan.recount(contents.Repeats)
	if left := time.Until(contents.Paused); left > 0 && left <= control.LongestPause { // longer: the clock was put back
		d.kernel.paused = contents.Paused
	}
	d.remind(contents.Snapshots, 0)
	d.goAllRound(d.checkFriend)
	d.regroup()
	d.ledger.bound(d.plan.MaxBans, d.plan.PurgeAge) // not before: bans of an earlier process are not among the newest
	d.makeRoom(d.ledger.bans.len())
	if contents.Trial.Text != "" && !d.trial.on() { // it ended while nobody ran
		d.takeBack(contents.Trial)
	}
}

// launch starts the sources of the plan where the marks are, and its background work. d.sources.stop ends them.
func (d *Daemon) launch(ctx context.Context, marks map[string]state.Mark) {
	ctx, cancel := context.WithCancel(ctx)
	var group errgroup.Group
	d.sources.exchange(d.plan.Sources, marks)
	for _, j := range d.plan.Jails {
		d.ledger.year.follow(j)
	}
	for _, s := range d.plan.Sources {
		r := d.sources.running[s.Name]
		start := d.startOf(r)
		group.Go(func() error { d.sources.follow(ctx, r, start); return nil })
	}
	d.forgetConcerns()
	d.inform(ctx) // where there is nothing to read
	if len(d.plan.Sources) == 0 {
		d.health.recovered(reasonSource)
	}
	group.Go(func() error { return d.serve(ctx) })
	d.sources.stop = func() {
		cancel()
		_ = group.Wait() // what they had to say they sent to the loop
	}
}

// inform notes that the logs have been read, and removes from the kernel what is still not wanted.
func (d *Daemon) inform(ctx context.Context) {
	if d.sources.inform() {
		d.kernel.remake()
		d.reconcile(ctx)
		d.cfg.Informed()
	}
}

// startOf returns where a source starts reading: as far before its position as the counters of its jails reach.
func (d *Daemon) startOf(r *running) journal.Start {
	at := r.position.Time()
	if at.IsZero() {
		at = time.Now()
	}
	since := r.Source.low(at)
	if !r.low.IsZero() && r.low.Before(since) {
		since = r.low
	}
	for _, j := range r.Jails {
		j.Pardon(d.ledger.pardoned(j.Info.Name))
		d.ledger.past.every(j.Info.Name, func(who state.Who, past state.Past) {
			if until := j.settled(past); until.After(since) {
				j.Recall(who.Prefix, until)
			}
		})
		j.again = d.unmemorized(j)
	}
	return journal.Start{Resume: r.position, Since: since}
}

// settled returns the time up to which the attempts of an address with that past are not counted again. Attempts that led to a ban are
// read again if the memory does not have them: they make an offence and teach names.
func (j *Jail) settled(past state.Past) time.Time {
	if j.Memory != nil && past.Cleared.Equal(past.Last) {
		return time.Time{}
	}
	return past.Cleared
}

// serve runs the background work of the plan and watches our part of the kernel where the backend can.
func (d *Daemon) serve(ctx context.Context) error {
	var group errgroup.Group
	if d.plan.Serve != nil {
		do := func(change func()) error { return d.ask(ctx, func(context.Context) { d.adapt(change) }) }
		group.Go(func() error { return d.plan.Serve(ctx, do) })
	}
	if d.plan.Sessions != nil {
		group.Go(func() error { return d.loadSessions(ctx) })
	}
	if d.plan.Service != nil {
		group.Go(func() error { return d.pollServices(ctx) })
	}
	if w, ok := d.plan.Backend.(firewall.Watcher); ok {
		group.Go(func() error { return d.kernel.watch(ctx, w) })
	}
	return group.Wait()
}

// adapt changes jails, and the kernel where their groups close something else now.
func (d *Daemon) adapt(change func()) {
	before := d.plan.groupPorts()
	change()
	if !slices.EqualFunc(before, d.plan.groupPorts(), slices.Equal) {
		d.kernel.remake()
	}
}

func sleep(ctx context.Context, t time.Duration) {
	timer := time.NewTimer(t)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
