package jail

import (
	"net/netip"
	"slices"
	"time"
)

// threshold is the detector of the tutorial: MaxRetry attempts of one prefix within FindTime make a ban. Its memory is
// bounded by Config.MaxTracked; the prefixes whose last attempt is oldest are forgotten first.
type threshold struct {
	cfg    Config
	hosts  *table
	traces origins
	told   []Trace // of the last verdict, reused
}

// mark is one attempt: 16 bytes.
type mark struct {
	at     int64  // µs since 1970
	origin uint64 // see origins
}

// NewThreshold returns the detector of the tutorial.
func NewThreshold(cfg Config) Detector { return newThreshold(cfg) }

func newThreshold(cfg Config) *threshold {
	return &threshold{cfg: cfg, hosts: newTable(cfg.MaxTracked, cfg.MaxRetry), traces: newOrigins()}
}

// Observe implements Detector.
func (t *threshold) Observe(a Attempt, out []Verdict) []Verdict {
	if a.Guesses == 0 && !a.Success {
		return out // it was counted when it was told
	}
	prefix := t.cfg.prefix(a.Addr)
	at := a.Time.UnixMicro()
	t.Expire(a.Time)
	if a.Success {
		t.forgive(prefix, a.Forgiven)
		return out
	}
	id := t.hosts.touch(keyOf(prefix))
	h, marks := t.hosts.at(id)
	h.n = t.slide(marks[:h.n], at)
	origin := t.traces.pack(a.Position, a.Rule)
	for range a.Guesses {
		marks[h.n] = mark{at: at, origin: origin}
		h.n++
		if int(h.n) == t.cfg.MaxRetry {
			out = append(out, t.verdict(prefix, marks))
			t.hosts.remove(id)
			return out
		}
	}
	return out
}

// slide drops the marks that are not within FindTime of at, in either direction: a clock may have stepped back.
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
	id, ok := t.hosts.find(keyOf(prefix))
	if !ok || n == 0 {
		return
	}
	h, _ := t.hosts.at(id)
	if h.n -= uint16(min(n, int(h.n))); h.n == 0 {
		t.hosts.remove(id)
	}
}

func (t *threshold) verdict(prefix netip.Prefix, marks []mark) Verdict {
	t.told = t.told[:0]
	for i, m := range marks {
		if i > 0 && m == marks[i-1] || len(t.told) == maxEvidence {
			continue
		}
		t.told = append(t.told, t.traces.unpack(m))
	}
	return Verdict{
		Prefix: prefix, Failures: len(marks), Evidence: t.told,
		Reason: Reason{Kind: ByFailures, Count: len(marks), Span: t.cfg.FindTime},
	}
}

// Forget implements Detector.
func (t *threshold) Forget(p netip.Prefix) {
	for id := range t.idsIn(p) {
		t.hosts.remove(id)
	}
}

// Expire implements Lister.
func (t *threshold) Expire(now time.Time) {
	at, find := now.UnixMicro(), t.cfg.FindTime.Microseconds()
	for t.hosts.oldest != 0 {
		h, marks := t.hosts.at(t.hosts.oldest - 1)
		if h.n > 0 {
			if d := at - marks[h.n-1].at; d <= find && d >= -find {
				return
			}
		}
		t.hosts.remove(t.hosts.oldest - 1)
	}
}

// Failing implements Lister.
func (t *threshold) Failing() int { return t.hosts.len() }

// Evicted implements Lister.
func (t *threshold) Evicted() uint64 { return t.hosts.evicted }

// Hosts implements Lister. It looks at every host once, however few are asked for.
func (t *threshold) Hosts(after netip.Prefix, limit int) []Host {
	var hosts []Host
	for id := range t.hosts.all {
		h, marks := t.hosts.at(id)
		p := t.cfg.prefixOf(t.hosts.key(id))
		if h.n == 0 || after.IsValid() && p.Compare(after) <= 0 {
			continue
		}
		first, last := time.UnixMicro(marks[0].at).UTC(), time.UnixMicro(marks[h.n-1].at).UTC()
		hosts = append(hosts, Host{Prefix: p, Failures: int(h.n), First: first, Last: last})
		if len(hosts) >= 2*limit {
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
