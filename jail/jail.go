package jail

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"exile/jail/internal/netkey"
	"exile/journal"
)

// Jail is the whole of detection for one service: entries in, decisions out. It is used from one goroutine.
type Jail struct {
	cfg       Config
	reader    *Reader
	allow     Allow
	detector  Detector
	protected Detector // counts those who are never banned, to say who would have been
	lenient   *lenient // counts addresses with a session or a login by key: they may guess more
	sessions  *Sessions
	spares    bool    // bans leave sessions alone, see SpareSessions
	settled   settled // empty when live
	pardoned  time.Time
	trail     *trail           // nil: the detector remembers the entries itself
	gate      Gate             // nil: the log is what came through
	counted   func(a *Attempt) // see Tell; nil: nobody wants to know
	counters  Counters         // of attempts
	seen      netip.Addr
	attempts  []Attempt // of the last entry
	verdicts  []Verdict // buffers, reused
	decisions []Decision
	traces    []Trace // of the decisions
}

// Counters only ever rise.
type Counters struct {
	Entries   uint64          // read
	Lines     [End + 1]uint64 // of those, by kind
	Ignored   uint64          // of those that are None: the filter knows them, and that they mean nothing
	Attempts  uint64          // guesses counted, of protected addresses too
	Logins    uint64
	Decisions uint64 // bans decided
	Protected uint64 // bans not decided because the address is protected
	Evicted   uint64 // prefixes and connections forgotten early because there were too many
	Refused   uint64 // lines in which the service refused a connection on its own, which the filter's mode does not count
	Nowhere   uint64 // failures whose line names no address
	Throttled uint64 // lines in which the service refused connections because too many were not logged in yet
}

// maxProtected is how many protected prefixes are counted.
const maxProtected = 4096

// New returns a jail. A nil allow protects nobody. A nil detector stands for the threshold detector.
func New(cfg Config, filter Filter, allow Allow, detector Detector) (*Jail, error) {
	if err := cfg.check(); err != nil {
		return nil, fmt.Errorf("jail %q: %w", cfg.Name, err)
	}
	if detector == nil {
		if cfg.Detection != Threshold {
			return nil, fmt.Errorf("jail %q: no detector for detection %q", cfg.Name, cfg.Detection)
		}
		detector = newThreshold(cfg)
	}
	var entries *trail
	if _, ok := detector.(*threshold); !ok {
		entries = newTrail()
	}
	fast, slow := cfg.windows(detector)
	return &Jail{
		cfg: cfg, reader: NewReader(filter), allow: allow, detector: detector,
		protected: newThreshold(cfg.counting(fast)), lenient: newLenient(&cfg, fast, slow),
		sessions: NewSessions(cfg.TrustLogins, cfg.Strangers), trail: entries,
	}, nil
}

// Observe reads an entry of the service, which the caller trusts, and returns the decisions it leads to, including bans
// that are not made because the address is protected. They are valid until the next call of a method.
func (j *Jail) Observe(e *journal.Entry) []Decision { return j.Judge(e, j.reader.Read(e)) }

// Judge is the part of Observe that follows the reading of an entry. Of the entry it needs Time, Boot, PID and Replayed, and of the event User
// only if somebody logged in.
func (j *Jail) Judge(e *journal.Entry, r Reading) []Decision {
	if !e.Replayed {
		j.settled = settled{}
	}
	j.seen = netip.Addr{}
	if k := r.Event.Kind; k == Failure || k == Probe || k == NoMatch {
		j.seen = r.Event.Addr
	}
	if !j.stops(&r.Event, e.Time) {
		j.sessions.Observe(r.Event, e)
	}
	j.attempts = r.Attempts
	return j.decide(j.attempts)
}

// Advance says what time it is, and that everything logged up to then was observed: while the source lags, that is the time
// of its last entry. It decides about weak evidence that waited for stronger, and forgets what is over. The decisions are
// valid until the next call of a method.
func (j *Jail) Advance(now time.Time) []Decision {
	decisions := j.JudgeLate(j.reader.Advance(now))
	j.Expire(now)
	return decisions
}

// JudgeLate is the part of Advance that decides about attempts that waited.
func (j *Jail) JudgeLate(attempts []Attempt) []Decision {
	j.attempts = attempts
	return j.decide(attempts)
}

// Expire is the part of Advance that forgets what is over. It changes no decision.
func (j *Jail) Expire(now time.Time) {
	for _, d := range j.detectors() {
		if l, ok := d.(interface{ Expire(now time.Time) }); ok {
			l.Expire(now)
		}
	}
}

// Logins yields the addresses that logged in with the last entry observed.
func (j *Jail) Logins(yield func(netip.Addr) bool) {
	for i := range j.attempts {
		if a := &j.attempts[i]; a.Success && !yield(a.Addr) {
			return
		}
	}
}

// Seen returns the address that the last entry observed says something bad of, whether that counts or not; the zero Addr if there is none.
func (j *Jail) Seen() netip.Addr { return j.seen }

// ObserveAttempt takes an attempt that another program saw. The decisions are valid until the next call of a method.
func (j *Jail) ObserveAttempt(a Attempt) []Decision {
	a.Addr = a.Addr.Unmap().WithZone("")
	if !a.Addr.IsValid() {
		return nil
	}
	if !a.Success {
		a.Guesses = clampCount(a.Guesses)
	}
	return j.decide([]Attempt{a})
}

// Forget drops the failures of the addresses in p.
func (j *Jail) Forget(p netip.Prefix) {
	for _, d := range j.detectors() {
		d.Forget(p)
	}
}

// ForgetAll drops the failures of everybody.
func (j *Jail) ForgetAll() {
	for _, d := range j.detectors() {
		d.ForgetAll()
	}
}

// Release says that a ban ended early, or was not made: attempts from the prefix count again.
func (j *Jail) Release(p netip.Prefix) {
	if r, ok := j.detector.(Releaser); ok {
		r.Release(p)
	}
}

func (j *Jail) detectors() [3]Detector { return [...]Detector{j.detector, j.protected, j.lenient} }

// Sessions is who is logged in. The caller may tell it of sessions that began before the log.
func (j *Jail) Sessions() *Sessions { return j.sessions }

// Failing is the number of prefixes with failures.
func (j *Jail) Failing() int {
	if l, ok := j.detector.(Lister); ok {
		return l.Failing()
	}
	return 0
}

// Hosts returns at most limit of the prefixes with failures, in order: the first ones after the given one.
func (j *Jail) Hosts(after netip.Prefix, limit int) []Host {
	l, ok := j.detector.(Lister)
	if !ok {
		return nil
	}
	var hosts []Host
	for h := range l.Hosts {
		if after.IsValid() && h.Prefix.Compare(after) <= 0 {
			continue
		}
		if hosts = append(hosts, h); len(hosts) >= 2*limit {
			hosts = firstHosts(hosts, limit)
		}
	}
	return firstHosts(hosts, limit)
}

// firstHosts sorts and keeps the first of them.
func firstHosts(hosts []Host, limit int) []Host {
	slices.SortFunc(hosts, func(a, b Host) int { return a.Prefix.Compare(b.Prefix) })
	return hosts[:min(limit, len(hosts))]
}

// Window is how many attempts within what time make a ban.
func (j *Jail) Window() Window {
	fast, _ := j.cfg.windows(j.detector)
	return fast
}

// Counters returns the counters.
func (j *Jail) Counters() Counters {
	c := j.reader.counters
	c.Attempts, c.Logins, c.Decisions, c.Protected = j.counters.Attempts, j.counters.Logins, j.counters.Decisions, j.counters.Protected
	c.Evicted = j.reader.conns.Evicted()
	if l, ok := j.detector.(Lister); ok {
		c.Evicted += l.Evicted()
	}
	return c
}

// decide passes attempts to the detectors.
func (j *Jail) decide(attempts []Attempt) []Decision {
	j.decisions, j.traces = j.decisions[:0], j.traces[:0]
	for i := range attempts {
		j.judge(&attempts[i])
	}
	return j.decisions
}

func (j *Jail) judge(a *Attempt) {
	if !j.passes(a) {
		return
	}
	j.follow(a) // even if the detector remembers it from before a restart
	if j.settled.has(a.Time, j.cfg.prefix(a.Addr)) {
		return
	}
	if !a.Success && !a.Time.After(j.pardoned) {
		return
	}
	if a.Success {
		j.counters.Logins++
		for _, d := range j.detectors() {
			d.Observe(*a, nil)
		}
		return
	}
	j.counters.Attempts += uint64(a.Guesses)
	if j.counted != nil && a.Guesses > 0 {
		j.counted(a)
	}
	why, protected := j.friend(a.Addr, a.Time)
	who, whose := j.sessions.stands(a.Addr, a.User, a.Time)
	switch {
	case protected:
		j.put(a, j.protected, why)
	case who >= excused:
		j.put(a, j.protected, liveSession(whose))
	case who == guest:
		j.putGuest(a, liveSession(whose))
	case j.sessions.Trusted(a.Addr, a.Time):
		j.put(a, j.protected, keyLogin)
		j.put(a, j.lenient.fast, "")
	default:
		j.put(a, j.detector, "")
	}
}

// follow remembers the entry of an attempt, unless the detector does.
func (j *Jail) follow(a *Attempt) {
	switch k := netkey.Of(j.cfg.prefix(a.Addr)); {
	case j.trail == nil:
	case a.Success:
		j.trail.forgive(k, a.Forgiven)
	default:
		j.trail.note(k, a)
	}
}

// put passes an attempt to a detector. What protects the address, if anything, goes into the decisions.
func (j *Jail) put(a *Attempt, d Detector, protected string) {
	j.verdicts = d.Observe(*a, j.verdicts[:0])
	for i := range j.verdicts {
		j.decisions = append(j.decisions, j.decision(&j.verdicts[i], a, protected))
	}
}

// putGuest passes on an attempt from an address with sessions, for a name that has none there.
func (j *Jail) putGuest(a *Attempt, why string) {
	before := len(j.decisions)
	j.put(a, j.protected, why)
	if j.spares {
		j.put(a, j.lenient, "")
		return
	}
	for i := range j.decisions[before:] {
		j.decisions[before+i].Unstoppable = true
	}
}

// Allowed reports whether addr cannot be banned now, and why.
func (j *Jail) Allowed(addr netip.Addr, at time.Time) (string, bool) {
	if why, ok := j.friend(addr, at); ok {
		return why, true
	}
	who, whose := j.sessions.stands(addr, "", at)
	if who == admin || who == guest && !j.spares {
		return liveSession(whose), true
	}
	return "", false
}

// friend reports whether addr is on the list of those never banned, and why.
func (j *Jail) friend(addr netip.Addr, at time.Time) (string, bool) {
	if j.allow == nil {
		return "", false
	}
	return j.allow.Allowed(addr, at)
}

// SpareSessions says whether bans leave open sessions alone: the connections of a banned address, and an address with a
// session in a banned network. If they do not, an address with an open session is not banned, nor a network around one.
func (j *Jail) SpareSessions(able bool) { j.spares = able }

// Touches reports whether a ban of p would hit somebody else who is never banned or, if p is more than the jail counts as
// one, somebody who recently logged in with a key.
func (j *Jail) Touches(p netip.Prefix, at time.Time) (string, bool) {
	if !j.spares {
		if why, ok := j.sessions.Touches(p, at); ok {
			return why, true
		}
	}
	if p.Bits() < j.Unit(p.Addr()).Bits() && j.sessions.TrustedIn(p, at) {
		return keyLogin, true
	}
	if t, ok := j.allow.(Toucher); ok {
		if why, ok := t.Touches(p); ok {
			return why, true
		}
	}
	return j.cfg.Strangers.Touches(p)
}

// Unit is what the jail counts as one with addr.
func (j *Jail) Unit(addr netip.Addr) netip.Prefix { return j.cfg.prefix(addr) }

// evidence returns the entries that led to a verdict.
func (j *Jail) evidence(v *Verdict, a *Attempt) []Trace {
	before := len(j.traces)
	if j.trail != nil {
		j.traces = j.trail.evidence(j.traces, netkey.Of(j.cfg.prefix(a.Addr)), v.Failures)
	} else {
		j.traces = append(j.traces, v.Evidence...)
	}
	return slices.Clip(j.traces[before:])
}

// decision turns a verdict into a decision. The end is counted from the entry: the same entry always gives the same end.
func (j *Jail) decision(v *Verdict, a *Attempt, protected string) Decision {
	d := Decision{
		Jail: j.cfg.Name, Prefix: v.Prefix, At: a.Time, Failures: v.Failures, Offence: v.Offence,
		Reason: v.Reason, Evidence: j.evidence(v, a), Protected: protected, Ladder: v.Ladder, Account: account(a),
		Unstoppable: protected != "" && (a.Addr.IsLoopback() || protected == OwnAddress),
	}
	duration := v.Duration
	if duration == 0 {
		duration = Capped(v.Ladder, 1, Weigh(j.cfg.Weigher, a.Addr).Stretch(j.cfg.BanTime))
	}
	if why, ok := j.Touches(v.Prefix, a.Time); ok && protected == "" && !v.Prefix.IsSingleIP() {
		j.Release(v.Prefix)
		d.Prefix = netip.PrefixFrom(a.Addr, a.Addr.BitLen())
		d.Reason.Around = why
		if v.OfNetwork { // the address may have done no more than its neighbours
			d.Offence, duration = 1, min(duration, aloneTime)
		}
	}
	if duration != Permanent {
		d.Until = a.Time.Add(duration)
	}
	if protected == "" {
		j.counters.Decisions++
	} else {
		j.counters.Protected++
	}
	return d
}

// aloneTime is the longest ban of a single address for what its network did.
const aloneTime = time.Hour
