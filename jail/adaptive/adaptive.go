// Package adaptive is the detector that exile ships with. It counts points over a day and over a month, learns which
// names only attackers use and which accounts are under siege, and remembers who logged in and who was banned.
// docs/efficacy.md says what it prevents.
package adaptive

import (
	"net/netip"
	"time"

	"exile/jail"
	"exile/jail/internal/bounded"
	"exile/jail/internal/netkey"
)

// Detector implements jail.Detector. It is deterministic, and its memory is bounded.
type Detector struct {
	cfg      Config
	accounts accounts
	names    names
	sieges   *bounded.Store[nameID, sources] // attempts on names that exist, and on no name
	scores   scores
	known    known
	hosts    offences[netkey.Key]
	wides    wides
	tallies  *bounded.Store[wideID, tallies]
	troubled troubled
	reasons  reasons
	epoch    uint32 // rises with every name that the host turns out to have
	limits
}

// New returns a detector that has seen nothing yet.
func New(cfg Config) *Detector {
	d := &Detector{
		cfg:    cfg,
		names:  newNames(max(cfg.MaxNames, 1)),
		sieges: bounded.New[nameID, sources](max(cfg.MaxNames/16, 1), bounded.HashNumber[nameID]()),
		known:  newKnown(max(cfg.MaxKnown, 1)),
		epoch:  1,
		limits: newLimits(&cfg),
	}
	d.ForgetAll()
	return d
}

// ForgetAll implements jail.Detector. What was learned about names, and who logged in, stays.
func (d *Detector) ForgetAll() {
	d.scores = newScores(max(d.cfg.MaxAddrs, 1))
	d.hosts = offences[netkey.Key]{bounded.New[netkey.Key, offence](max(d.cfg.MaxAddrs, 1), netkey.Hash())}
	d.wides = newWides(max(d.cfg.MaxKnown, 1))
	d.tallies = bounded.New[wideID, tallies](2*max(d.cfg.MaxKnown, 1), bounded.HashNumber[wideID]())
	d.troubled = newTroubled(4 * max(d.cfg.MaxKnown, 1))
}

// SetAccounts says which accounts the host has, at most 4096, and which of them cannot log in by password: those count as
// unknown names. A name that logged in is an account without being listed.
func (d *Detector) SetAccounts(all, locked []string) {
	d.accounts = newAccounts(all, locked)
	d.epoch++
}

// Observe implements jail.Detector.
func (d *Detector) Observe(a jail.Attempt, out []jail.Verdict) []jail.Verdict {
	at := stampOf(a.Time)
	a.Addr = a.Addr.Unmap()
	if a.Success {
		d.login(&a, at)
		return out
	}
	if !netkey.Counted(a.Addr) {
		return out
	}
	p := d.place(a.Addr)
	e := evidence{host: d.hosts.Slot(p.host), Weight: jail.Plain}
	if d.banned(&p, e.host, at) {
		return out
	}
	name := d.repute(&a, at)
	if a.Guesses == 0 && !name.exists {
		return out
	}
	d.weigh(&e, &a, &p, name, at)
	switch {
	case e.points == 0 && a.Guesses == 0:
		return out
	case d.score(&p, &e, scoreMark{at, e.points, uint16(min(a.Guesses, jail.MaxGuesses))}):
		return d.banHost(&a, &p, at, &e, out)
	default:
		return d.addTallies(&a, &p, at, &e, out)
	}
}

// login remembers who logged in and from where.
func (d *Detector) login(a *jail.Attempt, at stamp) {
	if d.known.login(a, at) {
		d.epoch++
	}
	if netkey.Counted(a.Addr) {
		p := d.place(a.Addr)
		d.known.from(p.net, p.region, at, d.names.user(a.User))
		d.forgive(p.host, a.Forgiven)
	}
}

// forgive takes back what the connection of a login guessed: its user mistyped.
func (d *Detector) forgive(host netkey.Key, guesses int) {
	s := d.scores.Get(host)
	if s == nil {
		return
	}
	if d.scores.forgive(s, guesses); s.Len() == 0 {
		d.scores.Delete(host)
	}
}

// banned reports whether the address, or a network around it, is banned at that time. What still comes from it was under
// way, or was logged before the daemon ran: it does not count, as if the ban had stopped it.
func (d *Detector) banned(p *place, host bounded.Slot, at stamp) bool {
	if d.hosts.banned(host, at) {
		return true
	}
	for _, wide := range p.around {
		if wide != 0 && d.wides.offences.banned(d.wides.Slot(wide), at) {
			return true
		}
	}
	return false
}

// evidence is what one attempt weighs, and why.
type evidence struct {
	company
	jail.Weight
	host     bounded.Slot // in Detector.hosts
	region   bounded.Slot // in Detector.troubled
	points   points
	name     int    // networks that failed on the name, if that makes it an attack name; else 0
	siege    int    // networks that failed on the name, if the points are those of a siege; else 0
	beside   bool   // a stranger, in a network that had a ban
	total    points // of the window that decided
	span     time.Duration
	limit    points
	attempts int
}

// weigh gives an attempt its points.
func (d *Detector) weigh(e *evidence, a *jail.Attempt, p *place, name repute, at stamp) {
	weight := float64(min(max(a.Guesses, 1), jail.MaxGuesses))
	e.company, e.region = d.known.company(p, at, d.cfg.KnownTime), d.troubled.Slot(p.region)
	e.Weight = jail.Weigh(d.cfg.Weigher, a.Addr)
	e.beside = !name.used && e.strange() && d.besideBanned(e.region, at)
	switch {
	case a.Passwordless && name.exists:
		// Owners do this too: they press ^C, or offer a wrong key.
	case name.foreign:
		if e.name = d.learn(a, name.locked, p.id, at); e.name > 0 {
			weight = max(weight, d.cfg.MaxRetry)
		}
	case !name.used:
		if n := d.besiege(a, p.region, at); n > 0 && e.strange() {
			e.siege, weight = n, max(weight, d.cfg.MaxRetry/2)
		}
	}
	if a.Guesses == 0 {
		weight-- // the guess was counted by an earlier attempt
	}
	weight *= e.Points
	if e.First && a.Guesses > 0 {
		weight = max(weight, d.cfg.MaxRetry)
	}
	if e.neighbour {
		weight *= d.cfg.KnownGood
	}
	e.points = hundredths(weight)
}

// score adds the mark of an attempt to those of its address and reports whether they are enough for a ban: then it forgets
// them. A mark that is enough by itself needs no room.
func (d *Detector) score(p *place, e *evidence, m scoreMark) bool {
	slot := d.scores.Slot(p.host)
	var s *bounded.List
	if n := d.scores.At(slot); n != nil {
		s = &n.Value
		d.scores.slide(s, m.at, max(d.cfg.FindTime, d.cfg.SlowTime))
		d.scores.makeRoom(s)
	}
	if !d.full(s, m, e) {
		s, _ = d.scores.TouchSlot(p.host, slot, int64(m.at))
		d.scores.Add(s, m)
		return false
	}
	if s != nil {
		d.takeBack(p.around, s)
		d.scores.DeleteSlot(slot)
	}
	return true
}

// full reports whether a window is full with one mark more, and notes which.
func (d *Detector) full(s *bounded.List, m scoreMark, e *evidence) bool {
	e.span, e.limit = d.windows[0].span, d.fast(e.beside)
	e.total, e.attempts = d.scores.sum(s, m, e.span)
	if e.total >= e.limit {
		return true
	}
	e.span, e.limit = d.windows[1].span, d.windows[1].retry
	e.total, e.attempts = d.scores.sum(s, m, e.span)
	return e.limit > 0 && e.total >= e.limit
}

// banHost appends the ban of the address, and of the network around it if enough of its addresses were banned.
func (d *Detector) banHost(a *jail.Attempt, p *place, at stamp, e *evidence, out []jail.Verdict) []jail.Verdict {
	ladder := d.ladder(e)
	o := d.hosts.next(p.host, e.host, at, d.cfg.Remember)
	n := int(o.count)
	t := min(e.Stretch(d.step(ladder, n)), d.cfg.MaxBan)
	o.until = stampOf(a.Time.Add(t))
	out = append(out, jail.Verdict{
		Prefix: d.host(a.Addr), Duration: t, Failures: e.attempts, Offence: n,
		Reason: jail.Reason{Own: d.reasons.keep(e.reason(a.User, n, max(min(n, len(ladder)), 1)))},
	})
	d.troubled.note(p.region, e.region, p.id, at)
	return d.widen(a, p, at, e, out)
}

// ladder has the ban times of an address, by how many networks failed on its name if that is evidence. Near a login a name
// bans no longer than points do.
func (d *Detector) ladder(e *evidence) []time.Duration {
	switch {
	case e.name == 0 || e.nearLately:
		return d.cfg.Ladder
	case d.cfg.NameSure > 0 && e.name >= d.cfg.NameSure:
		return nil // MaxBan
	default:
		return d.cfg.NameLadder
	}
}

// step is the ban time of the n-th offence.
func (d *Detector) step(ladder []time.Duration, n int) time.Duration {
	if len(ladder) == 0 {
		return d.cfg.MaxBan
	}
	return min(d.cfg.MaxBan, ladder[min(n, len(ladder))-1])
}

// Forget implements jail.Detector. What was learned about names stays.
func (d *Detector) Forget(p netip.Prefix) {
	for host := range hostsIn(d.cfg.Strangers, d.scores.Store, p) {
		d.takeBack(d.around(hostOf(host).Addr()), d.scores.Get(host))
		d.scores.Delete(host)
	}
	d.forgetTallies(p)
	for host := range hostsIn(d.cfg.Strangers, d.hosts.Store, p) {
		d.hosts.Delete(host)
	}
	d.wides.forgetAll(p)
	d.excuse(p)
}

// Release implements jail.Releaser.
func (d *Detector) Release(p netip.Prefix) {
	if d.host(p.Addr()) == p {
		d.hosts.release(netkey.Of(p))
	}
	if wide, ok := wideOf(p); ok {
		d.wides.release(wide)
	}
}

// Expire implements jail.Lister. It changes no decision: what it forgets no longer counts.
func (d *Detector) Expire(now time.Time) {
	at := int64(stampOf(now))
	d.scores.Expire(at, seconds(max(d.cfg.FindTime, d.cfg.SlowTime)))
	d.names.Expire(at, seconds(d.cfg.NameTime))
	d.sieges.Expire(at, seconds(d.cfg.SiegeTime))
	d.troubled.Expire(at, seconds(d.cfg.PrefixTime))
	d.hosts.Expire(at, seconds(d.cfg.Remember))
	d.tallies.Expire(at, seconds(max(d.cfg.FindTime, d.cfg.SlowTime)))
	d.wides.banned.Expire(at, seconds(d.cfg.PrefixTime)+1)
	d.wides.offences.Expire(at, seconds(d.cfg.Remember))
}

func seconds(d time.Duration) int64 { return int64(d / time.Second) }

// Failing implements jail.Lister: the addresses that have points.
func (d *Detector) Failing() int { return d.scores.Len() }

// Evicted implements jail.Lister: the addresses whose points were forgotten early because there were too many.
func (d *Detector) Evicted() uint64 { return d.scores.Evicted() }

// Hosts implements jail.Lister.
func (d *Detector) Hosts(yield func(jail.Host) bool) {
	for e := range d.scores.All {
		marks := d.scores.OldestFirst(&e.Value)
		if len(marks) == 0 {
			continue
		}
		h := jail.Host{Prefix: hostOf(e.Key), First: marks[0].at.time(), Last: marks[len(marks)-1].at.time()}
		for _, m := range marks {
			h.Failures += int(m.guesses)
		}
		if !yield(h) {
			return
		}
	}
}

// Windows implements jail.Windowed, in whole points: the jail counts guesses.
func (d *Detector) Windows() (fast, slow jail.Window) {
	fast = jail.Window{MaxRetry: int(d.cfg.MaxRetry), FindTime: d.cfg.FindTime}
	slow = jail.Window{MaxRetry: int(d.cfg.SlowRetry), FindTime: d.cfg.SlowTime}
	return fast, slow
}
