package jail

import (
	"fmt"
	"net/netip"
	"strconv"
	"time"
)

const day = 24 * time.Hour

// AdaptiveConfig has the knobs of the adaptive detector. What each is worth is in docs/efficacy.md.
type AdaptiveConfig struct {
	MaxRetry    float64         // points within FindTime that make a ban
	FindTime    time.Duration   // the fast window
	SlowRetry   float64         // points within SlowTime that make a ban
	SlowTime    time.Duration   // the slow window
	NameHosts   int             // addresses that fail on an unknown name and make it an attack name
	NameTime    time.Duration   // within this
	KnownGood   float64         // what the points of an address count that logged in, or a neighbour of it
	KnownTime   time.Duration   // within this
	OwnerTime   time.Duration   // how long a password login makes its name a person's
	Remember    time.Duration   // how long an offence counts for the next
	Ladder      []time.Duration // ban times by offence when points decide
	NameLadder  []time.Duration // ban times by offence when an attack name decides
	PrefixHosts int             // banned addresses of one /24 (IPv6: /64 of one /56) that ban it all; 0: never
	PrefixTime  time.Duration   // within this
	PrefixBan   time.Duration   // for this long, and four times as long at each further offence
	MaxBan      time.Duration   // no ban is longer
	MaxNames    int             // names remembered, the least recently used forgotten first
	MaxAddrs    int             // addresses counted, likewise
	MaxKnown    int             // offenders, and addresses and networks with logins, remembered, likewise
}

// DefaultAdaptive returns the constants that were judged on hosts kept apart; they are not to be tuned on one's own.
func DefaultAdaptive() AdaptiveConfig {
	return AdaptiveConfig{
		MaxRetry: 5, FindTime: day, SlowRetry: 10, SlowTime: 30 * day,
		NameHosts: 2, NameTime: 30 * day,
		KnownGood: 0.2, KnownTime: 30 * day, OwnerTime: 90 * day, Remember: 60 * day,
		Ladder:      []time.Duration{time.Hour, 4 * time.Hour, day, 4 * day, 16 * day, 30 * day},
		NameLadder:  []time.Duration{7 * day, 30 * day},
		PrefixHosts: 3, PrefixTime: 7 * day, PrefixBan: 7 * day, MaxBan: 30 * day,
		MaxNames: 4096, MaxAddrs: 16384, MaxKnown: 65536,
	}
}

// AdaptiveDetector counts points over a day and a month, learns which names only attackers use, and remembers who
// logged in. It is deterministic and its memory is bounded. See docs/efficacy.md for what it prevents.
type AdaptiveDetector struct {
	cfg      AdaptiveConfig
	accounts accounts
	names    names
	scores   scores
	known    known
	offences offences
}

// NewAdaptive returns a detector that has seen nothing yet.
func NewAdaptive(cfg AdaptiveConfig) *AdaptiveDetector {
	return &AdaptiveDetector{
		cfg:      cfg,
		accounts: newAccounts(),
		names:    newNames(cfg.MaxNames),
		scores:   newScores(cfg.MaxAddrs),
		known:    newKnown(cfg.MaxKnown),
		offences: newOffences(cfg.MaxKnown),
	}
}

// SetAccounts tells which accounts the host has, and which of them cannot log in by password: those count as unknown
// names. Names that logged in are accounts without being told.
func (d *AdaptiveDetector) SetAccounts(all, locked []string) { d.accounts.set(all, locked) }

// Observe implements Detector.
func (d *AdaptiveDetector) Observe(a Attempt, out []Verdict) []Verdict {
	if a.Success {
		d.known.login(a)
		d.accounts.add(a.User)
		return out
	}
	e := d.weigh(a)
	host := hostOf(a.Addr)
	s := d.scores.add(host, point{a.Time, e.points, max(a.Guesses, 1)}, d.cfg.SlowTime)
	fast, guesses := s.since(a.Time.Add(-d.cfg.FindTime))
	e.total, e.span, e.limit = fast, d.cfg.FindTime, d.cfg.MaxRetry
	if !reached(fast, d.cfg.MaxRetry) {
		e.total, guesses = s.since(time.Time{})
		e.span, e.limit = d.cfg.SlowTime, d.cfg.SlowRetry
	}
	if !reached(e.total, e.limit) {
		return out
	}
	e.attempts = guesses
	s.clear()
	return d.convict(a, host, e, out)
}

// reached compares sums of fifths, which binary fractions cannot hold.
func reached(sum, limit float64) bool { return sum >= limit-1e-9 }

// evidence is what one attempt weighs, and why.
type evidence struct {
	points   float64
	name     int     // addresses that failed on the name, when that makes it an attack name; else 0
	known    bool    // the address or a neighbour logged in
	total    float64 // of the window that decided
	span     time.Duration
	limit    float64
	attempts int
}

// weigh gives an attempt its points.
func (d *AdaptiveDetector) weigh(a Attempt) evidence {
	e := evidence{points: float64(max(a.Guesses, 1))}
	if hosts := d.learn(a); hosts >= d.cfg.NameHosts {
		e.name = hosts
		e.points = max(e.points, d.cfg.MaxRetry)
	}
	if d.known.neighbour(a.Addr, a.Time, d.cfg.KnownTime) {
		e.known = true
		e.points *= d.cfg.KnownGood
	}
	return e
}

// learn enters the address under the name and returns how many addresses failed on it, or 0 when the name may be a
// person's: it logged in by password, it exists, or it is a slip of the finger away from one that does.
func (d *AdaptiveDetector) learn(a Attempt) int {
	unknown := a.Unknown || d.accounts.locked(a.User)
	if a.User == "" || !unknown && d.known.owner(a.User, a.Time, d.cfg.OwnerTime) {
		return 0
	}
	n := d.names.fail(a.User, hostOf(a.Addr), a.Time, d.cfg.NameTime)
	if !unknown || d.accounts.near(a.User) {
		return 0
	}
	return n
}

// convict appends the ban of the address, and of the network around it when it is one of several.
func (d *AdaptiveDetector) convict(a Attempt, host netip.Prefix, e evidence, out []Verdict) []Verdict {
	ladder := d.cfg.Ladder
	if e.name > 0 && !d.known.region(a.Addr, a.Time, d.cfg.KnownTime) {
		ladder = d.cfg.NameLadder
	}
	n := d.offences.next(host, a.Time, d.cfg.Remember)
	v := Verdict{
		Prefix: host, Duration: min(d.cfg.MaxBan, ladder[min(n, len(ladder))-1]), Failures: e.attempts, Offence: n,
		Reason:   e.reason(a.User, n, min(n, len(ladder))),
		Evidence: []Trace{{Time: a.Time, Position: a.Position, Rule: a.Rule}},
	}
	return d.widen(a, v, append(out, v))
}

// widen appends the ban of the network when enough of its addresses were banned and nobody ever logged in from it.
func (d *AdaptiveDetector) widen(a Attempt, v Verdict, out []Verdict) []Verdict {
	wide := wideOf(a.Addr)
	hosts := d.offences.neighbours(wide, v.Prefix, a.Time, d.cfg.PrefixTime)
	if d.cfg.PrefixHosts == 0 || hosts < d.cfg.PrefixHosts || d.known.ever(a.Addr) {
		return out
	}
	n := d.offences.next(wide, a.Time, d.cfg.Remember)
	v.Prefix, v.Offence = wide, n
	v.Duration = quadrupled(d.cfg.PrefixBan, n-1, d.cfg.MaxBan)
	v.Reason = fmt.Sprintf("prefix: %d of its addresses were banned within %s, offence %d", hosts, days(d.cfg.PrefixTime), n)
	return append(out, v)
}

// quadrupled is t times 4 to the power of n, at most limit.
func quadrupled(t time.Duration, n int, limit time.Duration) time.Duration {
	for ; n > 0 && t < limit; n-- {
		t *= 4
	}
	return min(t, limit)
}

// reason tells people which evidence it was. The name is the attacker's: quoted.
func (e evidence) reason(user string, offence, step int) string {
	what := fmt.Sprintf("count: %s of %s points in %s", number(e.total), number(e.limit), days(e.span))
	if e.name > 0 {
		what = fmt.Sprintf("name: %s, which %d addresses failed on", strconv.QuoteToASCII(clip(user)), e.name)
	}
	if e.known {
		what += ", weighed as a known neighbour"
	}
	return fmt.Sprintf("%s, offence %d, step %d", what, offence, step)
}

func number(f float64) string { return strconv.FormatFloat(f, 'f', -1, 32) }

func days(d time.Duration) string {
	if d%day == 0 {
		return strconv.Itoa(int(d/day)) + "d"
	}
	return d.String()
}

// Forget implements Detector: whoever was pardoned starts anew, but what was learned about names stays.
func (d *AdaptiveDetector) Forget(p netip.Prefix) {
	d.scores.forgetAll(p)
	d.offences.forgetAll(p)
}

// Names returns the names that are evidence now, with the number of addresses that failed on each, most first.
func (d *AdaptiveDetector) Names(at time.Time) []AttackName {
	return d.names.list(at, d.cfg.NameTime, d.cfg.NameHosts)
}

// ForgetName drops what was learned about a name and reports whether anything was.
func (d *AdaptiveDetector) ForgetName(name string) bool { return d.names.remove(name) }
