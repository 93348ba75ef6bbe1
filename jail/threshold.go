package jail

import (
	"iter"
	"net/netip"
	"time"

	"exile/jail/internal/bounded"
	"exile/jail/internal/netkey"
)

// threshold is the detector of the tutorial: MaxRetry attempts of one prefix within FindTime make a ban, or as many of their weight. Config.MaxTracked
// bounds its memory; it forgets the prefixes first whose last attempt is oldest.
type threshold struct {
	cfg    Config
	hosts  *bounded.Rows[netkey.Key, mark]
	traces origins
	shown  []Trace // of the last verdict, reused
}

// NewThreshold returns the detector of the tutorial.
func NewThreshold(cfg Config) Detector { return newThreshold(cfg) }

func newThreshold(cfg Config) *threshold {
	return &threshold{cfg: cfg, hosts: newRows(&cfg), traces: newOrigins()}
}

// bytesPerHost is what a prefix takes at most, at five marks.
const bytesPerHost = 128

// newRows has room for MaxTracked prefixes, or for fewer if each has so many marks that all took more memory than
// MaxTracked prefixes of five marks.
func newRows(cfg *Config) *bounded.Rows[netkey.Key, mark] {
	width := cfg.most()
	limit, size := cfg.MaxTracked, 48+16*width
	if size > bytesPerHost {
		limit = max(1, limit/size*bytesPerHost)
	}
	return bounded.NewRows[netkey.Key, mark](limit, width, netkey.Hash())
}

// Observe implements Detector.
func (t *threshold) Observe(a Attempt, out []Verdict) []Verdict {
	if a.Guesses == 0 && !a.Success {
		return out // an earlier attempt reported the guess
	}
	prefix := t.cfg.prefix(a.Addr)
	at := a.Time.UnixMicro()
	t.Expire(a.Time)
	if a.Success {
		t.forgive(prefix, a.Forgiven)
		return out
	}
	id := t.hosts.Touch(netkey.Of(prefix))
	n, marks := t.hosts.At(id)
	*n = t.slide(marks[:*n], at)
	origin, enough := t.traces.pack(a.Position, a.Rule), Weigh(t.cfg.Weigher, a.Addr).enough(t.cfg.MaxRetry)
	for range a.Guesses {
		marks[*n] = mark{at: at, origin: origin}
		*n++
		if int(*n) >= enough {
			out = append(out, t.verdict(prefix, marks[:*n]))
			t.hosts.Remove(id)
			return out
		}
	}
	return out
}

// slide drops the marks that are not within FindTime of at, in either direction: the clock may have been set back.
func (t *threshold) slide(marks []mark, at int64) uint16 {
	n := 0
	find := t.cfg.FindTime.Microseconds()
	for _, m := range marks {
		if d := at - m.at; d <= find && d >= -find {
			marks[n] = m
			n++
		}
	}
	return uint16(n)
}

// forgive takes the newest n marks back.
func (t *threshold) forgive(prefix netip.Prefix, n int) {
	id, ok := t.hosts.Find(netkey.Of(prefix))
	if !ok || n == 0 {
		return
	}
	used, _ := t.hosts.At(id)
	if *used -= uint16(min(n, int(*used))); *used == 0 {
		t.hosts.Remove(id)
	}
}

func (t *threshold) verdict(prefix netip.Prefix, marks []mark) Verdict {
	t.shown = t.shown[:0]
	for i, m := range marks {
		if i > 0 && m == marks[i-1] || len(t.shown) == maxEvidence {
			continue
		}
		t.shown = append(t.shown, t.traces.unpack(m))
	}
	return Verdict{
		Prefix: prefix, Failures: len(marks), Evidence: t.shown,
		Reason: Reason{Kind: ByFailures, Count: len(marks), Span: t.cfg.FindTime, Weighed: len(marks) != t.cfg.MaxRetry},
	}
}

// Forget implements Detector.
func (t *threshold) Forget(p netip.Prefix) {
	for id := range t.idsIn(p) {
		t.hosts.Remove(id)
	}
}

// ForgetAll implements Detector.
func (t *threshold) ForgetAll() {
	t.hosts, t.traces = newRows(&t.cfg), newOrigins()
}

// Expire implements Lister.
func (t *threshold) Expire(now time.Time) {
	at, find := now.UnixMicro(), t.cfg.FindTime.Microseconds()
	for id, ok := t.hosts.Oldest(); ok; id, ok = t.hosts.Oldest() {
		if n, marks := t.hosts.At(id); *n > 0 {
			if d := at - marks[*n-1].at; d <= find && d >= -find {
				return
			}
		}
		t.hosts.Remove(id)
	}
}

// Failing implements Lister.
func (t *threshold) Failing() int { return t.hosts.Len() }

// Evicted implements Lister.
func (t *threshold) Evicted() uint64 { return t.hosts.Evicted() }

// Hosts implements Lister.
func (t *threshold) Hosts(yield func(Host) bool) {
	for id := range t.hosts.All {
		n, marks := t.hosts.At(id)
		if *n == 0 {
			continue
		}
		first, last := time.UnixMicro(marks[0].at).UTC(), time.UnixMicro(marks[*n-1].at).UTC()
		if !yield(Host{Prefix: t.cfg.prefixOf(t.hosts.Key(id)), Failures: int(*n), First: first, Last: last}) {
			return
		}
	}
}

// idsIn yields the numbers of the hosts that overlap p. The body may remove the one that it is given.
func (t *threshold) idsIn(p netip.Prefix) iter.Seq[uint32] {
	keys, few := netkey.In(t.cfg.Strangers, p, t.cfg.IPv4Prefix, t.cfg.IPv6Prefix, t.hosts.Len())
	if !few {
		return func(yield func(uint32) bool) {
			for id := range t.hosts.All {
				if p.Overlaps(t.cfg.prefixOf(t.hosts.Key(id))) && !yield(id) {
					return
				}
			}
		}
	}
	return func(yield func(uint32) bool) {
		for k := range keys {
			if id, ok := t.hosts.Find(k); ok && !yield(id) {
				return
			}
		}
	}
}
