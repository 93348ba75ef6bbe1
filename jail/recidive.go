package jail

import (
	"iter"
	"maps"
	"net/netip"
	"slices"
	"time"

	"exile/jail/internal/netkey"
)

// Recidive is the rule for addresses that are banned again and again, by any jails.
type Recidive struct {
	Enabled  bool
	MaxRetry int           // bans
	FindTime time.Duration // within this
	BanTime  time.Duration // then: this long, from all ports
}

// maxRecidivists bounds the memory of the rule. It forgets those first whose last ban is oldest.
const maxRecidivists = 100_000

// Recidivists applies the rule. It counts bans the way a jail counts guesses.
type Recidivists struct {
	rule  Recidive
	count *threshold
}

// NewRecidivists returns a rule that has seen no ban yet.
func NewRecidivists(rule Recidive, strangers *Strangers) *Recidivists {
	return &Recidivists{rule: rule, count: newThreshold(Config{
		MaxRetry: rule.MaxRetry, FindTime: rule.FindTime, IPv4Prefix: 32, IPv6Prefix: 64, MaxTracked: maxRecidivists,
		Strangers: strangers,
	})}
}

// Observe takes a ban of p, in order of time, and reports whether the rule bans p now.
func (r *Recidivists) Observe(p netip.Prefix, at time.Time) (Verdict, bool) {
	verdicts := r.count.Observe(Attempt{Time: at, Addr: p.Addr(), Guesses: 1, Rule: "ban"}, nil)
	if !r.rule.Enabled || len(verdicts) == 0 {
		return Verdict{}, false
	}
	v := verdicts[0]
	v.Prefix, v.Duration = p, r.rule.BanTime
	v.Reason = Reason{Kind: ByBans, Count: v.Failures, Span: r.rule.FindTime}
	return v, true
}

// Counted returns the prefix that p counts as, and when its bans that count began, oldest first.
func (r *Recidivists) Counted(p netip.Prefix) (netip.Prefix, []time.Time) {
	unit := r.count.cfg.prefix(p.Addr())
	id, ok := r.count.hosts.Find(netkey.Of(unit))
	if !ok {
		return unit, nil
	}
	return unit, r.times(id)
}

// All yields every prefix whose bans count, in no order, and when they began.
func (r *Recidivists) All() iter.Seq2[netip.Prefix, []time.Time] {
	return func(yield func(netip.Prefix, []time.Time) bool) {
		for id := range r.count.hosts.All {
			if !yield(r.count.cfg.prefixOf(r.count.hosts.Key(id)), r.times(id)) {
				return
			}
		}
	}
}

func (r *Recidivists) times(id uint32) []time.Time {
	n, marks := r.count.hosts.At(id)
	times := make([]time.Time, *n)
	for i := range times {
		times[i] = time.UnixMicro(marks[i].at).UTC()
	}
	return times
}

// Remind tells a rule that has seen no ban yet what another one has counted, see All. If that is enough for a ban by this
// rule, the next ban causes it.
func (r *Recidivists) Remind(bans map[netip.Prefix][]time.Time) {
	newest := func(p netip.Prefix) time.Time { return slices.MaxFunc(bans[p], time.Time.Compare) }
	known := slices.DeleteFunc(slices.Collect(maps.Keys(bans)), func(p netip.Prefix) bool { return len(bans[p]) == 0 })
	// Those whose last ban is oldest come first, and are forgotten first if there are too many.
	slices.SortFunc(known, func(a, b netip.Prefix) int { return newest(a).Compare(newest(b)) })
	for _, p := range known {
		r.remind(p, bans[p])
	}
}

func (r *Recidivists) remind(p netip.Prefix, times []time.Time) {
	times = times[max(0, len(times)-r.rule.MaxRetry+1):]
	if len(times) == 0 {
		return
	}
	n, marks := r.count.hosts.At(r.count.hosts.Touch(netkey.Of(p)))
	*n = uint16(len(times))
	for i, t := range times {
		marks[i] = mark{at: t.UnixMicro()}
	}
}

// Forget drops the bans of the addresses in p.
func (r *Recidivists) Forget(p netip.Prefix) { r.count.Forget(p) }
