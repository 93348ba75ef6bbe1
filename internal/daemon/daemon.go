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
	// Plan reads the configuration, at the start, for Reload and for a trial, whose text takes the place of the main file;
	// empty: there is no trial.
	Plan     func(ctx context.Context, trial string) (*Plan, error)
	Store    Store
	Announce func(e control.Event) // tells the world; must not block
	Waiting  func() int            // how many of the last that it was given the journal does not have yet; nil: never any
	Notify   func(state string)    // sd_notify(3); must not block
	Informed func()                // called when the logs have been read for the first time; nil: nobody wants to know
	Watchdog time.Duration         // how often "WATCHDOG=1" is due; 0: never
	Log      *slog.Logger
	Version  string
}

// Daemon is the loop and the state that it owns. Its exported methods are safe for concurrent use; everything else
// belongs to the goroutine in Run.
type Daemon struct {
	cfg       Config
	log       *slog.Logger
	requests  chan func(life context.Context)
	batches   chan delivery
	failures  chan failure
	written   chan written
	touched   chan struct{} // somebody changed our part of the kernel
	kills     chan func(context.Context) error
	questions chan question
	answers   chan answer

	plan      *Plan
	sources   map[string]*running
	stop      func()            // ends the sources and the background work of the plan
	sessions  []control.Session // that the jails have not been told of
	bans      *table
	past      pasts
	reports   reports
	kernel    keeper
	pending   pending
	told      []control.Event // that the journal may not have yet, oldest first
	writing   bool            // a transaction is under way
	rewrite   bool            // the state file was lost: write everything
	orphans   bool            // the state file was lost before: take over what the kernel holds
	memorized time.Time       // when the memories of detectors were last taken
	purged    time.Time       // when the repeats on disk were last forgotten
	rounds    []*round        // under way, one after the other
	asked     []question      // to be put to an ignorecommand
	open      int             // questions without an answer
	condemned []firewall.Key  // whose connections are still to be cut
	connected connected
	health    *health
	stats     stats
	days      days
	paused    time.Time // until when; zero: not
	trial     control.Trial
	shown     stance // what was last announced
	started   time.Time
	informed  bool // the logs have been read once
	closed    chan struct{}
	always    chan struct{} // closed: always ready
}

// running is a source at work.
type running struct {
	Source
	position journal.Position
	low      time.Time  // the oldest entry that its counters need
	boot     journal.ID // of its last entry
	first    time.Time  // of the first entry that was read; zero: none yet
	caughtUp bool
	trouble  error // what keeps it from reading all that it should; nil: nothing
	undated  bool  // it has had lines whose time cannot be read
}

// delivery is a batch on its way to the loop; done is closed when its buffers may be reused.
type delivery struct {
	from  *running
	batch journal.Batch
	done  chan struct{}
}

// failure is the end of a source that should not have ended.
type failure struct {
	from *running
	err  error
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
		cfg:       cfg,
		log:       cfg.Log,
		requests:  make(chan func(life context.Context)),
		batches:   make(chan delivery),
		failures:  make(chan failure),
		written:   make(chan written, 1),
		touched:   make(chan struct{}, 1),
		kills:     make(chan func(context.Context) error),
		questions: make(chan question),
		answers:   make(chan answer),
		bans:      newTable(),
		past:      newPasts(),
		reports:   reports{kept: make(map[uint64]state.Report)},
		health:    newHealth(),
		pending:   newPending(),
		closed:    make(chan struct{}),
		always:    make(chan struct{}),
	}
	close(d.always)
	return d
}

// Run restores the bans, follows the sources and answers until ctx ends; then it stores what is left, leaves the bans
// in the kernel, and returns nil. An error means that it could not start.
func (d *Daemon) Run(ctx context.Context) error {
	defer close(d.closed)
	d.started = time.Now()
	contents, err := d.load()
	if err != nil {
		return err
	}
	if d.plan, err = d.firstPlan(ctx, contents.Trial); err != nil {
		return err
	}
	d.restore(contents)
	d.recallSpared(ctx)
	d.reconcile(ctx)
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return d.killer(ctx) })
	group.Go(func() error { return d.asker(ctx) })
	d.launch(ctx, contents.Marks)
	d.cfg.Notify("READY=1") // the gate is as it was left; what was logged meanwhile is read now
	d.loop(ctx)
	d.stop()
	return errors.Join(d.finish(), d.plan.Backend.Close(), group.Wait())
}

// load reads the state. One that was lost is empty.
func (d *Daemon) load() (state.Contents, error) {
	contents, err := d.cfg.Store.Load()
	switch {
	case errors.Is(err, state.ErrSetAside):
		d.degrade(reasonAside, time.Time{}, err)
		d.orphans = true
	case err != nil:
		return contents, fmt.Errorf("load state: %w", err)
	}
	return contents, nil
}

// restore takes over the bans, lifts those that are over, whose jail is gone or who are protected now, and takes over what
// else was known.
func (d *Daemon) restore(contents state.Contents) {
	now := time.Now()
	d.announceAll(contents.Untold) // as it was found
	d.restoreReports(contents.Reports)
	for _, b := range contents.Bans {
		d.bans.put(b)
	}
	d.restorePast(contents.Past)
	for !d.liftServed() { // those that ended while nobody ran
	}
	d.goAllRound(d.checkOrphan)
	d.plan.recount(contents.Repeats)
	d.days.list = contents.Days
	if left := contents.Paused.Sub(now); left > 0 && left <= longestPause { // longer: the clock was put back
		d.paused = contents.Paused
	}
	d.remind(contents.Snapshots, 0)
	d.goAllRound(d.checkFriend)
	d.regroup()
	d.bans.bound(d.plan.MaxBans) // not before: bans of an earlier process are not among the newest
	d.makeRoom(d.bans.len())
	if contents.Trial.Text != "" && d.trial.Text == "" { // it ended while nobody ran
		d.takeBack(contents.Trial)
	}
}

func over(b control.Ban, now time.Time) bool { return !b.Until.IsZero() && !b.Until.After(now) }

// launch starts the sources of the plan where the marks are, and its background work. d.stop ends them.
func (d *Daemon) launch(ctx context.Context, marks map[string]state.Mark) {
	ctx, cancel := context.WithCancel(ctx)
	var group errgroup.Group
	d.sources = make(map[string]*running, len(d.plan.Sources))
	for _, s := range d.plan.Sources {
		r := &running{Source: s, position: marks[s.Name].Position, low: marks[s.Name].Low}
		d.sources[s.Name] = r
		start := d.startOf(r)
		group.Go(func() error { d.follow(ctx, r, start); return nil })
	}
	d.forget()
	d.inform(ctx) // where there is nothing to read
	if len(d.sources) == 0 {
		d.recovered(reasonSource)
	}
	group.Go(func() error { return d.serve(ctx) })
	d.stop = func() {
		cancel()
		_ = group.Wait() // what they had to say they sent to the loop
	}
}

// startOf is where a source begins: as far before its position as the counters of its jails reach.
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
		d.past.every(j.Info.Name, func(who state.Who, past state.Past) {
			if until := j.settled(past); until.After(since) {
				j.Recall(who.Prefix, until)
			}
		})
		j.again = d.unheard(j)
	}
	return journal.Start{Resume: r.position, Since: since}
}

// settled is up to when the attempts of somebody with that past are not counted again. What banned somebody makes an
// offence, and teaches names, again where that is not in the memory.
func (j *Jail) settled(past state.Past) time.Time {
	if j.Memory != nil && past.Cleared.Equal(past.Last) {
		return time.Time{}
	}
	return past.Cleared
}

// longestWait is how long a source that failed is left alone at most: looking at it again costs little.
const longestWait = 15 * time.Second

// follow runs a source until ctx ends, and again when it fails.
func (d *Daemon) follow(ctx context.Context, r *running, start journal.Start) {
	for wait := time.Second; ; wait = min(2*wait, longestWait) {
		err := r.Follow(ctx, start, func(b journal.Batch) error {
			wait = time.Second
			if !b.Position.IsZero() {
				start = journal.Start{Resume: b.Position}
			}
			return d.deliver(ctx, r, b)
		})
		if ctx.Err() != nil {
			return
		}
		select {
		case d.failures <- failure{r, err}:
		case <-ctx.Done():
			return
		}
		sleep(ctx, wait)
	}
}

// deliver hands a batch to the loop and waits until it is done with it.
func (d *Daemon) deliver(ctx context.Context, r *running, b journal.Batch) error {
	dl := delivery{from: r, batch: b, done: make(chan struct{})}
	select {
	case d.batches <- dl:
		<-dl.done
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// serve runs the background work of the plan and watches our part of the kernel where the backend can.
func (d *Daemon) serve(ctx context.Context) error {
	var group errgroup.Group
	if d.plan.Serve != nil {
		do := func(change func()) error { return d.ask(ctx, func(life context.Context) { d.adapt(life, change) }) }
		group.Go(func() error { return d.plan.Serve(ctx, do) })
	}
	if d.plan.Sessions != nil {
		group.Go(func() error { return d.meet(ctx) })
	}
	if d.plan.Service != nil {
		group.Go(func() error { return d.attend(ctx) })
	}
	if w, ok := d.plan.Backend.(firewall.Watcher); ok {
		group.Go(func() error { return d.watch(ctx, w) })
	}
	return group.Wait()
}

// adapt changes jails, and the kernel where their groups close something else now.
func (d *Daemon) adapt(ctx context.Context, change func()) {
	before := d.plan.groupPorts()
	change()
	if !slices.EqualFunc(before, d.plan.groupPorts(), slices.Equal) {
		d.remake(ctx)
	}
}

func (d *Daemon) watch(ctx context.Context, w firewall.Watcher) error {
	for ctx.Err() == nil {
		_ = w.Watch(ctx, d.touch)
		sleep(ctx, time.Minute)
		d.touch() // nobody watched
	}
	return nil
}

// touch asks the loop to compare the kernel soon.
func (d *Daemon) touch() {
	select {
	case d.touched <- struct{}{}:
	default:
	}
}

// killer cuts connections, which may take long, away from the loop.
func (d *Daemon) killer(ctx context.Context) error {
	for {
		select {
		case kill := <-d.kills:
			if err := kill(ctx); err != nil && ctx.Err() == nil {
				d.tellLoop(ctx, func(context.Context) { d.degrade(reasonKill, time.Now().Add(transient), err) })
			}
		case <-ctx.Done():
			return nil
		}
	}
}

// tellLoop has the loop call f, unless ctx ends before.
func (d *Daemon) tellLoop(ctx context.Context, f func(context.Context)) {
	select {
	case d.requests <- f:
	case <-ctx.Done():
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
