package jail

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"exile/journal"
)

// Jail is the whole of detection for one service: entries in, decisions out. It is used from one goroutine.
type Jail struct {
	cfg       Config
	filter    Filter
	allow     Allow
	detector  Detector
	protected Detector // counts those who are never banned, to say who would have been
	lenient   *lenient // counts those who came in with a key, or have a session: they may guess more
	sessions  *Sessions
	spares    bool // a ban leaves sessions alone, see SpareSessions
	conns     *Connections
	recall    recall // empty when live
	trail     *trail // nil: the detector itself remembers the entries
	counters  Counters
	attempts  []Attempt // buffers, reused
	verdicts  []Verdict
	decisions []Decision
	traces    []Trace // of the decisions
}

// Counters only ever rise.
type Counters struct {
	Entries   uint64          // read
	Lines     [End + 1]uint64 // of those, by what they say
	Attempts  uint64          // guesses counted, of protected addresses too
	Logins    uint64
	Decisions uint64 // bans decided
	Protected uint64 // bans not decided because the address is protected
	Evicted   uint64 // prefixes and connections forgotten early because there were too many
	Refused   uint64 // lines that say that the service refused a connection by itself, and that do not count in the filter's mode
	Throttled uint64 // lines that say that the service refused connections because too many had not logged in
}

// maxProtected is the number of protected prefixes that are counted.
const maxProtected = 4096

// New returns a jail. A nil allow protects nobody; a nil detector is made as cfg says.
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
	guard := cfg
	guard.MaxRetry, guard.FindTime = cfg.Limit()
	guard.MaxTracked = min(cfg.MaxTracked, maxProtected)
	return &Jail{
		cfg: cfg, filter: filter, allow: allow, detector: detector,
		protected: newThreshold(guard), lenient: newLenient(cfg),
		sessions: NewSessions(cfg.TrustLogins, cfg.Strangers), conns: NewConnections(), trail: entries,
	}, nil
}

// Observe reads an entry of the service, which the caller trusts, and returns what was decided with it, the bans that
// were not made because the address is protected included. What it returns is valid until the next call of a method.
func (j *Jail) Observe(e *journal.Entry) []Decision {
	j.counters.Entries++
	if !e.Replayed {
		j.recall = recall{}
	}
	j.attempts = j.conns.Advance(e.Time, j.attempts[:0])
	ev := j.conns.Resolve(j.filter.Parse(e.Message), e.Time)
	j.counters.Lines[ev.Kind]++
	switch {
	case ev.Rule == Penalty && !ev.Counts:
		j.counters.Refused += uint64(max(ev.Count, 1))
	case ev.Rule == Throttled:
		j.counters.Throttled++
	}
	j.sessions.Observe(ev, e)
	j.attempts = j.conns.Observe(ev, e, j.attempts)
	return j.decide(j.attempts)
}

// Advance says that it is now, and that everything logged up to now was observed: while the source lags, now is the time
// of its last entry. It decides about weak evidence that waited for something stronger, and forgets what is over.
// What it returns is valid until the next call of a method.
func (j *Jail) Advance(now time.Time) []Decision {
	j.attempts = j.conns.Advance(now, j.attempts[:0])
	decisions := j.decide(j.attempts)
	for _, d := range j.detectors() {
		if l, ok := d.(interface{ Expire(now time.Time) }); ok {
			l.Expire(now)
		}
	}
	return decisions
}

// Logins yields the addresses that logged in with the entry that was observed last.
func (j *Jail) Logins(yield func(netip.Addr) bool) {
	for i := range j.attempts {
		if a := &j.attempts[i]; a.Success && !yield(a.Addr) {
			return
		}
	}
}

// ObserveAttempt takes an attempt that another program saw. What it returns is valid until the next call of a method.
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

// Release says that a ban which was decided ended early, or was not made: attempts from the prefix count again.
func (j *Jail) Release(p netip.Prefix) {
	if r, ok := j.detector.(Releaser); ok {
		r.Release(p)
	}
}

func (j *Jail) detectors() [3]Detector { return [...]Detector{j.detector, j.protected, j.lenient} }

// Sessions is who is logged in; the caller may tell it of sessions that began before the log.
func (j *Jail) Sessions() *Sessions { return j.sessions }

// Failing is the number of prefixes that are counted now.
func (j *Jail) Failing() int {
	if l, ok := j.detector.(Lister); ok {
		return l.Failing()
	}
	return 0
}

// Hosts returns at most limit of the prefixes that are counted now, in order, those behind after.
func (j *Jail) Hosts(after netip.Prefix, limit int) []Host {
	if l, ok := j.detector.(Lister); ok {
		return l.Hosts(after, limit)
	}
	return nil
}

// Counters returns the counters.
func (j *Jail) Counters() Counters {
	c := j.counters
	c.Evicted += j.conns.Evicted()
	if l, ok := j.detector.(Lister); ok {
		c.Evicted += l.Evicted()
	}
	return c
}

// decide puts attempts to the detector.
func (j *Jail) decide(attempts []Attempt) []Decision {
	j.decisions, j.traces = j.decisions[:0], j.traces[:0]
	for i := range attempts {
		j.judge(&attempts[i])
	}
	return j.decisions
}

func (j *Jail) judge(a *Attempt) {
	j.follow(a) // also what the detector remembers from before a restart
	if j.recall.settled(a.Time, j.cfg.prefix(a.Addr)) {
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

// follow remembers the entry of an attempt for a detector that does not.
func (j *Jail) follow(a *Attempt) {
	switch k := keyOf(j.cfg.prefix(a.Addr)); {
	case j.trail == nil:
	case a.Success:
		j.trail.forgive(k, a.Forgiven)
	default:
		j.trail.note(k, a)
	}
}

// put puts an attempt to one detector; what protects its address, if anything does, goes into the decisions.
func (j *Jail) put(a *Attempt, d Detector, protected string) {
	j.verdicts = d.Observe(*a, j.verdicts[:0])
	for i := range j.verdicts {
		j.decisions = append(j.decisions, j.decision(&j.verdicts[i], a, protected))
	}
}

// putGuest puts an attempt for somebody who has no session to the detectors, from an address with sessions.
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

// Allowed reports whether addr is never banned, for now, and why.
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

// friend reports whether addr is never banned, whoever is logged in, and why.
func (j *Jail) friend(addr netip.Addr, at time.Time) (string, bool) {
	if j.allow == nil {
		return "", false
	}
	return j.allow.Allowed(addr, at)
}

// SpareSessions says whether whoever carries out a ban leaves alone who is connected: the connections of an address that is
// banned itself, and the address of a session where a network around it is. Unless it does, the address of an open session
// is not banned at all, nor a network around one.
func (j *Jail) SpareSessions(able bool) { j.spares = able }

// Touches reports whether a ban of p would hit somebody else who is never banned or, where p is more than the jail counts as
// one, somebody who lately came in with a key.
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

// evidence is the entries behind a verdict.
func (j *Jail) evidence(v *Verdict, a *Attempt) []Trace {
	before := len(j.traces)
	if j.trail != nil {
		j.traces = j.trail.evidence(j.traces, keyOf(j.cfg.prefix(a.Addr)), v.Failures)
	} else {
		j.traces = append(j.traces, v.Evidence...)
	}
	return slices.Clip(j.traces[before:])
}

// decision turns a verdict into a decision. Its end counts from the entry, so that the same entry gives the same end
// whenever it is read.
func (j *Jail) decision(v *Verdict, a *Attempt, protected string) Decision {
	d := Decision{
		Jail: j.cfg.Name, Prefix: v.Prefix, At: a.Time, Failures: v.Failures, Offence: v.Offence,
		Reason: v.Reason, Evidence: j.evidence(v, a), Protected: protected, Ladder: v.Ladder, Account: account(a),
		Unstoppable: protected != "" && (a.Addr.IsLoopback() || protected == OwnAddress),
	}
	duration := v.Duration
	if duration == 0 {
		duration = Capped(v.Ladder, 1, j.cfg.BanTime)
	}
	if why, ok := j.Touches(v.Prefix, a.Time); ok && protected == "" && !v.Prefix.IsSingleIP() {
		j.Release(v.Prefix)
		d.Prefix = netip.PrefixFrom(a.Addr, a.Addr.BitLen())
		d.Reason.Around = why
		if v.Reason.Kind == ByNetwork { // it may have done no more than the others
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

// aloneTime is the longest ban of an address for what its network did.
const aloneTime = time.Hour

// account is the name that an attempt was for, if the host has it: others may be anything, passwords among them.
func account(a *Attempt) string {
	if a.Unknown {
		return ""
	}
	return a.User
}

// Capped is a ban time that is no longer than the step of the ladder for that offence; without a ladder it stays as it is.
func Capped(ladder []time.Duration, offence int, t time.Duration) time.Duration {
	if len(ladder) == 0 {
		return t
	}
	step := ladder[min(max(offence, 1), len(ladder))-1]
	if t == Permanent {
		return step
	}
	return min(t, step)
}
