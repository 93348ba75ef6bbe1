package jail

import (
	"net/netip"
	"time"
)

const day = 24 * time.Hour

// AdaptiveConfig has the knobs of the adaptive detector. What each is worth is in docs/efficacy.md. Points have two
// decimals.
type AdaptiveConfig struct {
	MaxRetry    float64         // points within FindTime that make a ban; at most 500
	FindTime    time.Duration   // the fast window
	SlowRetry   float64         // points within SlowTime that make a ban; at most 500; 0: no slow window
	SlowTime    time.Duration   // the slow window
	NameHosts   int             // networks (/16, /48) that fail on an unknown name and make it an attack name; at most 8; 0: never
	NameSure    int             // networks from which on an attack name bans for MaxBan at once; at most 8; 0: never
	NameTime    time.Duration   // within this
	KnownGood   float64         // what the points of an address count that logged in, or a neighbour of it; 1: in full
	KnownTime   time.Duration   // within this
	OwnerTime   time.Duration   // how long a password login makes its name a person's
	Remember    time.Duration   // how long an offence counts for the next
	Ladder      []time.Duration // ban times by offence when points decide
	NameLadder  []time.Duration // ban times by offence when an attack name decides on which fewer than NameSure networks failed
	PrefixHosts int             // banned addresses of one /24 (IPv6: /64 of one /56 or /48) that ban it all; at most 8; 0: never
	PrefixTime  time.Duration   // within this

	// PrefixRetry is how many times the points that ban an address ban a /24 or /48 as those of all its addresses, in either
	// window; a /56, half as many; 0: never.
	PrefixRetry int

	// PrefixLadder has the ban times of a network by offence: short at first, since strangers share it.
	PrefixLadder []time.Duration

	SiegeHosts    int           // networks that fail on a name nobody uses: from then on a stranger's failure is half of MaxRetry; at most 8; 0: never
	SiegeTime     time.Duration // within this
	StrangerRetry float64       // points within FindTime that ban a stranger beside an address banned within PrefixTime; 0: MaxRetry

	MaxBan   time.Duration // no ban is longer
	MaxNames int           // names remembered, the least recently used forgotten first
	MaxAddrs int           // addresses counted, and offenders remembered, likewise
	MaxKnown int           // networks and names with logins, and networks with offenders, remembered, likewise

	// Strangers are whose neighbours are not one with them; nil: as standards say.
	Strangers *Strangers
}

// DefaultAdaptive returns the constants that were judged on hosts kept apart; they are not to be tuned on one's own.
func DefaultAdaptive() AdaptiveConfig {
	return AdaptiveConfig{
		MaxRetry: 5, FindTime: day, SlowRetry: 10, SlowTime: 30 * day,
		NameHosts: 3, NameSure: 4, NameTime: 30 * day,
		KnownGood: 0.2, KnownTime: 30 * day, OwnerTime: 90 * day, Remember: 60 * day,
		Ladder:      []time.Duration{time.Hour, 4 * time.Hour, day, 4 * day, 16 * day, 30 * day},
		NameLadder:  []time.Duration{time.Hour, day, 7 * day, 30 * day},
		PrefixHosts: 3, PrefixTime: 30 * day, PrefixRetry: 8, PrefixLadder: []time.Duration{time.Hour, day, 7 * day, 30 * day}, MaxBan: 30 * day,
		SiegeHosts: 5, SiegeTime: 7 * day, StrangerRetry: 2,
		MaxNames: 4096, MaxAddrs: 16384, MaxKnown: 2048,
	}
}

// AdaptiveDetector counts points over a day and a month, learns which names only attackers use and which accounts are
// under siege, and remembers who logged in. It is deterministic and its memory is bounded. See docs/efficacy.md for what it prevents.
type AdaptiveDetector struct {
	cfg      AdaptiveConfig
	accounts accounts
	names    names
	sieges   *recent[nameID, crowd] // of names that exist, and of those who name nobody
	scores   scores
	known    known
	hosts    offences[key]
	wides    wides
	tallies  *recent[wideID, tallies]
	troubled troubled
	epoch    uint32 // rises with every name that the host turns out to have
}

// NewAdaptive returns a detector that has seen nothing yet.
func NewAdaptive(cfg AdaptiveConfig) *AdaptiveDetector {
	return &AdaptiveDetector{
		cfg:      cfg,
		names:    newNames(max(cfg.MaxNames, 1)),
		sieges:   newRecent[nameID, crowd](max(cfg.MaxNames/16, 1)),
		scores:   newScores(max(cfg.MaxAddrs, 1)),
		known:    newKnown(max(cfg.MaxKnown, 1)),
		hosts:    offences[key]{newRecent[key, offence](max(cfg.MaxAddrs, 1))},
		wides:    newWides(max(cfg.MaxKnown, 1)),
		tallies:  newRecent[wideID, tallies](2 * max(cfg.MaxKnown, 1)),
		troubled: newTroubled(4 * max(cfg.MaxKnown, 1)),
		epoch:    1,
	}
}

// SetAccounts tells which accounts the host has, at most 4096, and which of them cannot log in by password: those count
// as unknown names. Names that logged in are accounts without being told.
func (d *AdaptiveDetector) SetAccounts(all, locked []string) {
	d.accounts = newAccounts(all, locked)
	d.epoch++
}

// Observe implements Detector.
func (d *AdaptiveDetector) Observe(a Attempt, out []Verdict) []Verdict {
	at := stampOf(a.Time)
	a.Addr = a.Addr.Unmap()
	if a.Success {
		d.login(&a, at)
		return out
	}
	if !counted(a.Addr) || a.Guesses == 0 && !d.exists(&a) {
		return out
	}
	p := d.place(a.Addr)
	if d.banned(&p, at) {
		return out
	}
	e := d.weigh(&a, &p, at)
	if e.points == 0 && a.Guesses == 0 {
		return out
	}
	s := d.scores.touch(p.host, int64(at))
	d.scores.slide(s, at, max(d.cfg.FindTime, d.cfg.SlowTime))
	d.scores.count(s, scoreMark{at, e.points, uint16(min(a.Guesses, maxCount))})
	if !d.decide(s, at, &e) {
		return d.tallied(&a, &p, at, &e, out)
	}
	d.takeBack(p.around, d.scores.marks[s.newest].older) // the newest was in no tally yet
	d.scores.delete(p.host)
	return d.convict(&a, &p, at, &e, out)
}

// login remembers who logged in and from where.
func (d *AdaptiveDetector) login(a *Attempt, at stamp) {
	if d.known.login(a, at) {
		d.epoch++
	}
	if counted(a.Addr) {
		p := d.place(a.Addr)
		d.known.from(p.net, p.region, at, d.names.user(a.User))
		d.forgive(p.host, a.Forgiven)
	}
}

// forgive takes back what a login's own connection guessed: a slip of its user.
func (d *AdaptiveDetector) forgive(host key, guesses int) {
	s := d.scores.get(host)
	if s == nil {
		return
	}
	if d.scores.forgive(s, guesses); s.n == 0 {
		d.scores.delete(host)
	}
}

// banned reports whether the address, or a network around it, is banned at that time. What comes from it all the same
// was under way, or is read from before the daemon was there: it counts no more than if it had been stopped.
func (d *AdaptiveDetector) banned(p *place, at stamp) bool {
	if d.hosts.banned(p.host, at) {
		return true
	}
	for _, wide := range p.around {
		if wide != 0 && d.wides.offences.banned(wide, at) {
			return true
		}
	}
	return false
}

// evidence is what one attempt weighs, and why.
type evidence struct {
	points   points
	name     int    // networks that failed on the name, when that makes it an attack name; else 0
	siege    int    // networks that failed on the name, when the points are those of a siege; else 0
	known    bool   // the address or a neighbour logged in
	stranger bool   // nobody ever logged in from around the address
	beside   bool   // a stranger, beside somebody who is banned
	total    points // of the window that decided
	span     time.Duration
	limit    points
	attempts int
}

// weigh gives an attempt its points.
func (d *AdaptiveDetector) weigh(a *Attempt, p *place, at stamp) evidence {
	weight, used := float64(clampCount(a.Guesses)), d.used(a, at)
	e := evidence{known: d.known.neighbour(p.net, at, d.cfg.KnownTime)}
	e.stranger = !e.known && !d.known.everNear(p.region)
	e.beside = !used && e.stranger && d.beside(p.region, at)
	switch {
	case a.Passwordless && d.exists(a):
		// Owners do the same: they press ^C, or offer a wrong key.
	case d.foreign(a, at):
		if e.name = d.learn(a, p.id, at); e.name > 0 {
			weight = max(weight, d.cfg.MaxRetry)
		}
	case !used:
		if n := d.besiege(a, p.region, at); n > 0 && e.stranger {
			e.siege, weight = n, max(weight, d.cfg.MaxRetry/2)
		}
	}
	if a.Guesses == 0 {
		weight-- // the guess was counted when it was told
	}
	if e.known {
		weight *= d.cfg.KnownGood
	}
	e.points = hundredths(weight)
	return e
}

// retry is how many points within FindTime ban.
func (d *AdaptiveDetector) retry(beside bool) points {
	if beside {
		return hundredths(min(d.cfg.MaxRetry, d.cfg.StrangerRetry))
	}
	return hundredths(d.cfg.MaxRetry)
}

// decide looks at both windows and says which of them is full.
func (d *AdaptiveDetector) decide(s *list, at stamp, e *evidence) bool {
	e.span, e.limit = d.cfg.FindTime, d.retry(e.beside)
	e.total, e.attempts = d.scores.sum(s, at, e.span)
	if e.total >= e.limit {
		return true
	}
	e.span, e.limit = d.cfg.SlowTime, hundredths(d.cfg.SlowRetry)
	e.total, e.attempts = d.scores.sum(s, at, e.span)
	return e.limit > 0 && e.total >= e.limit
}

// convict appends the ban of the address, and of the network around it when it is one of several.
func (d *AdaptiveDetector) convict(a *Attempt, p *place, at stamp, e *evidence, out []Verdict) []Verdict {
	ladder := d.ladder(e.name, p.region, at)
	o := d.hosts.next(p.host, at, d.cfg.Remember)
	n := int(o.count)
	t := d.step(ladder, n)
	o.until = stampOf(a.Time.Add(t))
	out = append(out, Verdict{
		Prefix: d.host(a.Addr), Duration: t, Failures: e.attempts, Offence: n,
		Reason: e.reason(a.User, n, max(min(n, len(ladder)), 1)),
	})
	d.troubled.note(p.region, p.id, at)
	return d.widen(a, p, at, e.attempts, out)
}

// ladder has the ban times of an address in a region, by what so many networks that failed on its name make of it. Next to
// a login a name bans no longer than points do.
func (d *AdaptiveDetector) ladder(networks int, region netID, at stamp) []time.Duration {
	switch {
	case networks == 0 || d.known.region(region, at, d.cfg.KnownTime):
		return d.cfg.Ladder
	case d.cfg.NameSure > 0 && networks >= d.cfg.NameSure:
		return nil // MaxBan
	default:
		return d.cfg.NameLadder
	}
}

// reason is what tells people of the evidence.
func (e *evidence) reason(user string, offence, step int) Reason {
	r := Reason{
		Kind: ByPoints, Points: e.total, Limit: e.limit, Span: e.span, Known: e.known, Siege: e.siege, Beside: e.beside,
		Offence: offence, Step: step,
	}
	if e.name > 0 {
		r.Kind, r.Name, r.Count = ByName, user, e.name
	}
	return r
}

// step is the ban time of the n-th offence.
func (d *AdaptiveDetector) step(ladder []time.Duration, n int) time.Duration {
	if len(ladder) == 0 {
		return d.cfg.MaxBan
	}
	return min(d.cfg.MaxBan, ladder[min(n, len(ladder))-1])
}

// Forget implements Detector: whoever was pardoned starts anew, but what was learned about names stays.
func (d *AdaptiveDetector) Forget(p netip.Prefix) {
	for host := range hostsIn(d.cfg.Strangers, d.scores.recent, p) {
		d.takeBack(d.around(host.host().Addr()), d.scores.get(host).newest)
		d.scores.delete(host)
	}
	d.forgetTallies(p)
	for host := range hostsIn(d.cfg.Strangers, d.hosts.recent, p) {
		d.hosts.delete(host)
	}
	d.wides.forgetAll(p)
	d.excuse(p)
}

// Release implements Releaser.
func (d *AdaptiveDetector) Release(p netip.Prefix) {
	if d.host(p.Addr()) == p {
		d.hosts.release(keyOf(p))
	}
	if wide, ok := wideOf(p); ok {
		d.wides.release(wide)
	}
}

// Expire implements Lister. It changes no decision: what it forgets counts no more.
func (d *AdaptiveDetector) Expire(now time.Time) {
	at := int64(stampOf(now))
	d.scores.expire(at, seconds(max(d.cfg.FindTime, d.cfg.SlowTime)))
	d.names.expire(at, seconds(d.cfg.NameTime))
	d.sieges.expire(at, seconds(d.cfg.SiegeTime))
	d.troubled.expire(at, seconds(d.cfg.PrefixTime))
	d.hosts.expire(at, seconds(d.cfg.Remember))
	d.tallies.expire(at, seconds(max(d.cfg.FindTime, d.cfg.SlowTime)))
	d.wides.banned.expire(at, seconds(d.cfg.PrefixTime)+1)
	d.wides.offences.expire(at, seconds(d.cfg.Remember))
}

func seconds(d time.Duration) int64 { return int64(d / time.Second) }

// Failing implements Lister: the addresses that have points.
func (d *AdaptiveDetector) Failing() int { return d.scores.len() }

// Evicted implements Lister: the addresses whose points were forgotten early because there were too many.
func (d *AdaptiveDetector) Evicted() uint64 { return d.scores.evicted }

// Hosts implements Lister. It looks at every address once, however few are asked for.
func (d *AdaptiveDetector) Hosts(after netip.Prefix, limit int) []Host {
	var hosts []Host
	for node := range d.scores.all {
		p, marks := node.key.host(), d.scores.oldestFirst(&node.value)
		if len(marks) == 0 || after.IsValid() && p.Compare(after) <= 0 {
			continue
		}
		h := Host{Prefix: p, First: marks[0].at.time(), Last: marks[len(marks)-1].at.time()}
		for _, m := range marks {
			h.Failures += int(m.guesses)
		}
		if hosts = append(hosts, h); len(hosts) >= 2*limit {
			hosts = firstHosts(hosts, limit)
		}
	}
	return firstHosts(hosts, limit)
}
