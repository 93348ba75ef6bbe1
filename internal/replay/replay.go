// Package replay runs jails over a log of the past, without a firewall and with the times of the entries as the clock, and says whom they
// would have banned and what these bans would have stopped.
package replay

import (
	"time"

	"exile/firewall"
	"exile/internal/banning"
	"exile/internal/tally"
	"exile/jail"
	"exile/journal"
)

// Lag is how long after the attempt that decided it a ban begins to stop anybody. A live ban takes some milliseconds; lines that are
// already under way then still arrive. In the recorded attempts of internal/efficacy, five seconds instead of one cost 0.7 points.
const Lag = time.Second

// tickEvery is how often a jail hears what time it is, as in the daemon.
const tickEvery = 5 * time.Second

// Rules are the jails of a configuration.
type Rules struct {
	Jails []*Jail
	// Recidive is the jail, one of Jails, for addresses that Recidivists finds; both are nil if there is no such rule.
	Recidive    *Jail
	Recidivists *jail.Recidivists
}

// Jail is the arithmetic of a jail and its bans, and what it reads.
type Jail struct {
	banning.Jail
	Accepts  func(e *journal.Entry) bool // whether an entry belongs to this jail and can be trusted
	Ports    []firewall.Port             // that a ban closes; none: all
	Simulate bool                        // its bans stop nobody; what they would have stopped is counted
	Lines    *Lines                      // bans in place of the jail's detector, which is Silent; nil: the detector does
	Friends  jail.Allow                  // of Lines: who is never banned
	number   uint16                      // its place among the rules' jails
	now      time.Time                   // see Now
}

// Now is the time of the last entry of the run that the jail belongs to.
func (j *Jail) Now() time.Time { return j.now }

// Ban is a ban that would have been made. A ban that was extended is a second one.
type Ban struct {
	Prefix   string     `json:"address"`
	Jail     string     `json:"jail"`
	At       time.Time  `json:"at"`       // of the entry that decided it
	Until    *time.Time `json:"until"`    // nil: permanent
	Attempts int        `json:"attempts"` // that led to it
	Offence  int        `json:"-"`        // 1 is the first
	Reason   string     `json:"-"`        // for people; names in it are quoted; empty unless Explain was called
}

// Replay is a run. It is used from one goroutine.
type Replay struct {
	rules   Rules
	bans    banning.Rules // the same, with the bench as their book
	bench   bench
	count   Count
	seen    *tallies    // nil: another run of the same log counts
	hours   hours       // likewise
	silent  bool        // what happens now is before the time that is asked for
	ticked  time.Time   // when the jails last heard what time it is
	now     time.Time   // of the last entry
	matched uint64      // lines that filters knew, up to the last change of silent, without those while it was set
	known   uint64      // all lines that they knew up to then
	days    *tally.Book // nil: nobody wants to know
}

// Count is what happened, in numbers. Prevented and Passed add up to Attempts.
type Count struct {
	Entries   uint64 // that were read
	Matched   uint64 // of those, lines that mean something to a jail
	Attempts  uint64 // to log in
	Prevented uint64 // of those, while their address was banned
	Passed    uint64
	Logins    uint64 // that passed
	Denied    uint64 // logins from addresses that were banned
	Protected uint64 // bans that were not made because the address is never banned
	Failures  uint64 // lines that jails with Lines took for failures
}

// New begins a run of these jails, which have seen nothing yet.
func New(rules Rules) *Replay {
	r := &Replay{rules: rules, bans: banning.Rules{Recidivists: rules.Recidivists}, bench: newBench(), seen: newTallies(), hours: newHours()}
	r.bans.Book = book{r}
	for i, j := range rules.Jails {
		j.number = uint16(i)
		j.Guard(&gate{replay: r, jail: j})
		r.bans.Jails = append(r.bans.Jails, &j.Jail)
	}
	if rules.Recidive != nil {
		r.bans.Recidive = &rules.Recidive.Jail
	}
	return r
}

// Explain keeps the reasons of bans from now on.
func (r *Replay) Explain() { r.bench.explains = true }

// Remember sums attempts up by jail and day from now on, for at most so many days of jails.
func (r *Replay) Remember(days int) { r.days = tally.NewBook(days) }

// Mute says whether what follows only teaches the jails: it bans, but is not counted. It is for entries from before the time that is asked for,
// which a log may also have among others.
func (r *Replay) Mute(silent bool) {
	r.matched, r.known = r.linesMatched(), r.linesKnown()
	r.silent = silent
}

// Observe takes the next entry, of a source that these jails read.
func (r *Replay) Observe(jails []*Jail, e *journal.Entry) {
	r.pass(e.Time)
	if !r.silent {
		r.count.Entries++
	}
	for _, j := range jails {
		if !j.Accepts(e) {
			continue
		}
		r.decideAll(j, j.Observe(e))
		if j.Lines != nil {
			r.countLines(j, e)
		}
	}
}

func (r *Replay) decideAll(j *Jail, decisions []jail.Decision) {
	for i := range decisions {
		r.decide(j, &decisions[i])
	}
}

// pass lets time pass up to that of the next entry: bans end, and weak evidence ripens.
func (r *Replay) pass(now time.Time) {
	r.now = now
	for _, j := range r.rules.Jails {
		j.now = now
	}
	r.expire(now)
	if d := now.Sub(r.ticked); d >= 0 && d < tickEvery {
		return
	}
	r.ticked = now
	r.tick(now)
}

func (r *Replay) tick(now time.Time) {
	for _, j := range r.rules.Jails {
		r.decideAll(j, j.Advance(now))
	}
}

// Finish is called at the end of the log: what waited for later lines is decided without them.
func (r *Replay) Finish() {
	if !r.now.IsZero() {
		r.tick(r.now.Add(2 * jail.LoginGrace))
	}
}

// Count returns the numbers so far.
func (r *Replay) Count() Count {
	c := r.count
	c.Matched = r.linesMatched()
	return c
}

// linesMatched returns how many lines filters knew, of those that are counted.
func (r *Replay) linesMatched() uint64 {
	if r.silent {
		return r.matched
	}
	return r.matched + r.linesKnown() - r.known
}

// linesKnown returns how many lines the filters knew.
func (r *Replay) linesKnown() (known uint64) {
	for _, j := range r.rules.Jails {
		for kind, n := range j.Counters().Lines {
			if jail.Kind(kind) != jail.None {
				known += n
			}
		}
	}
	return known
}
