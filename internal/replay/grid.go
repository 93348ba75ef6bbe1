package replay

import (
	"bytes"
	"math/bits"
	"net/netip"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"exile/jail"
	"exile/journal"
)

// MaxGrid is how many rules a grid can have.
const MaxGrid = 64

// Grid runs several sets of rules over the same log, and reads that once. The sets have the same jails in the same order, with the same
// filters, ports and settings; only what they decide is different. It keeps no list of bans.
type Grid struct {
	sides    []*Replay
	lead     *Replay        // the first side, which counts what is the same for all
	readers  []*jail.Reader // of the jails
	steps    []step
	attempts []jail.Attempt // of the steps
	ticked   time.Time
	now      time.Time
	latest   time.Time // of all entries
	quiet    time.Time // that no side has heard yet; zero: all have
	ever     map[key]uint64
	lengths  map[uint8]bool
	full     bool
}

// step is something that the jails judge. There are many, so what only some have lies elsewhere.
type step struct {
	at          time.Time
	session     *sessionLine // that an entry begins or ends; nil: none
	first, last int32        // attempts
	jail        uint16
	late        bool // the attempts waited: no entry shows them
	replayed    bool
	quiet       time.Time // what is over at that time is forgotten before; zero: nothing
}

// sessionLine is an entry that begins or ends a session, without what only filters read.
type sessionLine struct {
	entry journal.Entry
	event jail.Event
}

// maxSteps is how many are judged at once: one side after the other, so that its memory is at hand.
const maxSteps = 2048

// NewGrid begins a run of at most MaxGrid sets of rules, which have seen nothing yet.
func NewGrid(sets []Rules) *Grid {
	g := &Grid{ever: make(map[key]uint64), lengths: make(map[uint8]bool)}
	for i, rules := range sets {
		side := New(rules)
		side.bench.few, side.bench.past.limit = true, maxFew/2
		if i > 0 {
			side.seen = nil
		}
		g.sides = append(g.sides, side)
	}
	g.lead = g.sides[0]
	for _, j := range g.lead.rules.Jails {
		g.readers = append(g.readers, j.Reader())
	}
	return g
}

// Mute is that of Replay for all sides.
func (g *Grid) Mute(silent bool) {
	g.judge()
	for _, side := range g.sides {
		side.Mute(silent)
	}
}

// Observe takes the next entry, of a source that the jails read.
func (g *Grid) Observe(e *journal.Entry) {
	if e.Time.Before(g.now) { // what was over until now stays so
		g.forget()
	}
	g.now = e.Time
	if !g.lead.silent {
		g.lead.count.Entries++
	}
	if d := e.Time.Sub(g.ticked); d < 0 || d >= tickEvery {
		g.tick(e.Time)
		g.ticked = e.Time
	}
	if e.Time.After(g.latest) {
		g.latest = e.Time
	}
	for i, j := range g.lead.rules.Jails {
		if !j.Accepts(e) {
			continue
		}
		read := g.readers[i].Read(e)
		if kind := read.Event.Kind; len(read.Attempts) > 0 || kind == jail.Success || kind == jail.End {
			g.add(stepOf(i, e, read.Event), read.Attempts)
		}
	}
	if len(g.steps) >= maxSteps {
		g.judge()
	}
}

// tick says what time it is. What is over then is forgotten later, as it only makes room; but at once while a clock that was set back has not
// caught up, because later it may be over no longer.
func (g *Grid) tick(now time.Time) {
	for i, r := range g.readers {
		if late := r.Advance(now); len(late) > 0 {
			g.add(step{at: g.now, jail: uint16(i), late: true}, late)
		}
	}
	if g.quiet = now; now.Before(g.latest) {
		g.forget()
	}
}

// forget has all sides hear what time it was.
func (g *Grid) forget() {
	g.steps = append(g.steps, step{at: g.now, quiet: g.quiet, late: true})
	g.quiet = time.Time{}
}

// add adds a step and its attempts. An attempt that waited counts as at its own time, when what is over now was not.
func (g *Grid) add(s step, attempts []jail.Attempt) {
	if slices.ContainsFunc(attempts, func(a jail.Attempt) bool { return a.Time.Before(g.quiet) }) {
		s.quiet, g.quiet = g.quiet, time.Time{}
	}
	s.first, s.last = int32(len(g.attempts)), int32(len(g.attempts)+len(attempts))
	g.steps, g.attempts = append(g.steps, s), append(g.attempts, attempts...)
}

// stepOf is the step of an entry.
func stepOf(i int, e *journal.Entry, ev jail.Event) step {
	s := step{at: e.Time, jail: uint16(i), replayed: e.Replayed}
	if ev.Kind == jail.Success || ev.Kind == jail.End {
		ev.User = bytes.Clone(ev.User)
		s.session = &sessionLine{journal.Entry{Time: e.Time, Boot: e.Boot, PID: e.PID, Replayed: e.Replayed}, ev}
	}
	return s
}

// judge has all sides judge the steps, each on a processor of its own as far as there are some.
func (g *Grid) judge() {
	if len(g.steps) == 0 {
		return
	}
	g.forget()
	var next atomic.Int32
	var all sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), len(g.sides)) {
		all.Go(func() {
			for n := next.Add(1) - 1; int(n) < len(g.sides); n = next.Add(1) - 1 {
				for i := range g.steps {
					g.sides[n].take(&g.steps[i], g.attempts)
				}
			}
		})
	}
	all.Wait()
	clear(g.steps)
	clear(g.attempts)
	g.steps, g.attempts = g.steps[:0], g.attempts[:0]
	for n, side := range g.sides {
		g.collect(n, side)
	}
}

// take judges a step.
func (r *Replay) take(s *step, attempts []jail.Attempt) {
	r.now = s.at
	for _, j := range r.rules.Jails {
		j.now = r.now
		if !s.quiet.IsZero() {
			j.Expire(s.quiet)
		}
	}
	r.expire(r.now)
	j := r.rules.Jails[s.jail]
	// The capacity ends there, and nobody appends to what all sides read.
	mine := attempts[s.first:s.last:s.last]
	decisions := []jail.Decision(nil)
	switch {
	case s.late:
		decisions = j.JudgeLate(mine)
	case s.session != nil:
		decisions = j.Judge(&s.session.entry, jail.Reading{Event: s.session.event, Attempts: mine})
	default:
		decisions = j.Judge(&journal.Entry{Time: s.at, Replayed: s.replayed}, jail.Reading{Attempts: mine})
	}
	r.decideAll(j, decisions)
}

// collect notes whom a side has banned.
func (g *Grid) collect(n int, side *Replay) {
	for _, k := range side.bench.fresh {
		k.jail = 0
		was, known := g.ever[k]
		if !known && len(g.ever) >= maxSources {
			g.full = true
			continue
		}
		g.ever[k] = was | 1<<n
		g.lengths[k.bits] = true
	}
	side.bench.fresh = side.bench.fresh[:0]
}

// Finish is called at the end of the log.
func (g *Grid) Finish() {
	if !g.now.IsZero() {
		g.tick(g.now.Add(2 * jail.LoginGrace))
	}
	g.judge()
}

// Tried is what one side did.
type Tried struct {
	Bans      int    `json:"bans"`
	Prevented uint64 `json:"prevented"`
	Passed    uint64 `json:"passed"`
	Denied    uint64 `json:"denied"`     // logins from addresses that were banned
	FalseBans int    `json:"false_bans"` // addresses that were banned and had a login, before or after
	Estimate  bool   `json:"estimate"`   // more was to be remembered than there is room for
}

// Owner is somebody who logged in from an address.
type Owner struct {
	Login netip.Addr `json:"login"`
	Users []string   `json:"users"` // as the service logged them; at most 8
}

// Tried returns what each side did.
func (g *Grid) Tried() []Tried {
	all := make([]Tried, len(g.sides))
	for i, side := range g.sides {
		all[i] = Tried{
			Bans: side.bench.count, Prevented: side.count.Prevented, Passed: side.count.Passed, Denied: side.count.Denied,
			Estimate: side.bench.over || side.bench.past.lost,
		}
	}
	for raw := range g.lead.seen.logins {
		for m := g.bannedBy(raw); m != 0; m &= m - 1 {
			all[bits.TrailingZeros64(m)].FalseBans++
		}
	}
	return all
}

// bannedBy returns the sides that banned an address, as bits.
func (g *Grid) bannedBy(raw [16]byte) (sides uint64) {
	a := netip.AddrFrom16(raw).Unmap()
	k := keyOf(0, netip.PrefixFrom(a, a.BitLen()))
	for n := range g.lengths {
		if !a.Is4() || n > 96 {
			sides |= g.ever[k.around(n)]
		}
	}
	return sides
}

// Owners returns the first of those that a side banned and that logged in, by their addresses.
func (g *Grid) Owners(side, limit int) (list []Owner) {
	for raw, users := range g.lead.seen.logins {
		if g.bannedBy(raw)>>side&1 != 0 {
			list = append(list, Owner{netip.AddrFrom16(raw).Unmap(), users})
		}
	}
	slices.SortFunc(list, func(a, b Owner) int { return a.Login.Compare(b.Login) })
	return list[:min(limit, len(list))]
}

// Count returns the numbers so far that are the same for all sides: entries, attempts, logins that were made and those that no ban let in.
func (g *Grid) Count() (c Count, sources int) {
	c = g.lead.Count()
	c.Logins += c.Denied
	return Count{Entries: c.Entries, Matched: c.Matched, Attempts: c.Attempts, Logins: c.Logins}, g.lead.seen.sources.len()
}

// Forgot reports whether bans or logins were forgotten, so that there may be more false bans than are counted.
func (g *Grid) Forgot() bool { return g.full || g.lead.seen.lost }

// More reports whether there was more than a grid can remember: then its numbers are estimates.
func (g *Grid) More() bool {
	more := g.full || g.lead.seen.full
	for _, side := range g.sides {
		more = more || side.bench.over || side.bench.past.lost
	}
	return more
}
