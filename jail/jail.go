package jail

import (
	"fmt"
	"net/netip"
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
	conns     *Connections
	recalled  map[netip.Prefix]time.Time // see Recall; empty when live
	counters  Counters
	attempts  []Attempt // buffers, reused
	verdicts  []Verdict
	decisions []Decision
}

// Counters only ever rise.
type Counters struct {
	Entries   uint64 // read
	Attempts  uint64 // guesses counted, of protected addresses too
	Logins    uint64
	Decisions uint64 // bans decided
	Protected uint64 // bans not decided because the address is protected
	Evicted   uint64 // prefixes and connections forgotten early because there were too many
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
	guard := cfg
	guard.MaxTracked = min(cfg.MaxTracked, maxProtected)
	return &Jail{
		cfg: cfg, filter: filter, allow: allow, detector: detector,
		protected: newThreshold(guard), conns: NewConnections(),
	}, nil
}

// Observe reads an entry of the service, which the caller trusts, and returns what was decided with it, the bans that
// were not made because the address is protected included. The slice is valid until the next call of a method.
func (j *Jail) Observe(e *journal.Entry) []Decision {
	j.counters.Entries++
	if !e.Replayed && len(j.recalled) > 0 {
		clear(j.recalled)
	}
	j.attempts = j.conns.Advance(e.Time, j.attempts[:0])
	j.attempts = j.conns.Observe(j.filter.Parse(e.Message), e, j.attempts)
	return j.decide(j.attempts)
}

// Advance says that it is now, and that everything logged up to now was observed: while the source lags, now is the time
// of its last entry. It decides about weak evidence that waited for something stronger, and forgets what is over.
// The slice is valid until the next call of a method.
func (j *Jail) Advance(now time.Time) []Decision {
	j.attempts = j.conns.Advance(now, j.attempts[:0])
	decisions := j.decide(j.attempts)
	for _, d := range []Detector{j.detector, j.protected} {
		if l, ok := d.(Lister); ok {
			l.Expire(now)
		}
	}
	return decisions
}

// ObserveAttempt takes an attempt that another program saw. The slice is valid until the next call of a method.
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
	j.detector.Forget(p)
	j.protected.Forget(p)
}

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
	j.decisions = j.decisions[:0]
	for i := range attempts {
		j.judge(&attempts[i])
	}
	return j.decisions
}

func (j *Jail) judge(a *Attempt) {
	if j.settled(a) {
		return
	}
	detector := j.detector
	why, protected := j.isAllowed(a.Addr, a.Time)
	if protected {
		detector = j.protected
	}
	if a.Success {
		j.counters.Logins++
	}
	j.counters.Attempts += uint64(a.Guesses)
	j.verdicts = detector.Observe(*a, j.verdicts[:0])
	for i := range j.verdicts {
		j.decisions = append(j.decisions, j.decision(&j.verdicts[i], a, why))
	}
}

func (j *Jail) isAllowed(addr netip.Addr, at time.Time) (string, bool) {
	if j.allow == nil {
		return "", false
	}
	return j.allow.Allowed(addr, at)
}

// decision turns a verdict into a decision. Its end counts from the entry, so that the same entry gives the same end
// whenever it is read.
func (j *Jail) decision(v *Verdict, a *Attempt, protected string) Decision {
	d := Decision{
		Jail: j.cfg.Name, Prefix: v.Prefix, At: a.Time, Failures: v.Failures, Offence: v.Offence,
		Reason: v.Reason, Evidence: v.Evidence, Protected: protected,
	}
	duration := v.Duration
	if duration == 0 {
		duration = j.cfg.BanTime
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
