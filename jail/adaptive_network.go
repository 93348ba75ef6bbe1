package jail

import (
	"net/netip"
	"slices"
	"time"
)

// tallies are the points of all addresses of a network that are not banned, in each window.
type tallies [2]tally

// tally is those of one window, by eighths of it.
type tally struct {
	points [eighths]points
	newest uint32 // eighth, counted from 1970
}

const eighths = 8

// eighth is the number of the eighth of span in which the stamp lies.
func (s stamp) eighth(span time.Duration) uint32 {
	return uint32(s) / uint32(max(seconds(span)/eighths, 1))
}

// add adds points of an eighth, and forgets what is too old by then. What is as far ahead was counted by a wrong clock.
func (t *tally) add(n uint32, more points) {
	if ahead := int64(n) - int64(t.newest); ahead >= eighths || ahead <= -eighths {
		*t = tally{newest: n}
	}
	for ; t.newest < n; t.newest++ {
		t.points[(t.newest+1)%eighths] = 0
	}
	t.points[n%eighths] = saturated(t.points[n%eighths], more)
}

// takeBack takes points of an eighth away again, as far as they still count.
func (t *tally) takeBack(n uint32, less points) {
	if t.newest-n < eighths {
		t.points[n%eighths] -= min(t.points[n%eighths], less)
	}
}

// takeBackAll takes the points of a part away.
func (t *tally) takeBackAll(part *tally) {
	for i := range uint32(eighths) {
		t.takeBack(part.newest-i, part.points[(part.newest-i)%eighths])
	}
}

func (t *tally) sum() (sum points) {
	for _, p := range t.points {
		sum = saturated(sum, p)
	}
	return sum
}

// window is how many points within a span ban an address.
type window struct {
	span  time.Duration
	retry float64
}

// windows are the fast one and the slow one, which need not be.
func (d *AdaptiveDetector) windows() [2]window {
	return [...]window{{d.cfg.FindTime, d.cfg.MaxRetry}, {d.cfg.SlowTime, d.cfg.SlowRetry}}
}

// tallied adds the points of an attempt to the networks around its address, and bans the widest that has enough, unless
// somebody ever logged in there.
func (d *AdaptiveDetector) tallied(a *Attempt, p *place, at stamp, e *evidence, out []Verdict) []Verdict {
	if d.cfg.PrefixRetry == 0 || d.known.ever(p.net, p.region) {
		return out
	}
	var full wideID
	why := Reason{Kind: ByNetwork}
	for _, wide := range p.around {
		if wide == 0 {
			break
		}
		t := d.tallies.touch(wide, int64(at))
		for i, w := range d.windows() {
			t[i].add(at.eighth(w.span), e.points)
			if sum, limit := t[i].sum(), d.networkRetry(wide, w); sum >= limit && limit > 0 {
				full, why.Points, why.Limit, why.Span = wide, sum, limit, w.span
			}
		}
	}
	if full == 0 {
		return out
	}
	v := d.banFull(full, p.around[1], a.Time, why)
	v.Failures = e.attempts
	return append(out, v)
}

// networkRetry is how many points ban a network: a /56, which may be one customer's, half as many as others.
func (d *AdaptiveDetector) networkRetry(wide wideID, w window) points {
	times := d.cfg.PrefixRetry
	if wide.bits() == 56 {
		times = max(times/2, 1)
	}
	return hundredths(float64(times) * w.retry)
}

// banFull bans a network that has too many points. A /56 is then one of the banned of its /48, which may be enough to ban that.
func (d *AdaptiveDetector) banFull(full, outer wideID, at time.Time, why Reason) Verdict {
	if outer != 0 && outer != full && d.cfg.PrefixHosts > 0 {
		_, n := d.wides.ban(full.net(), [2]wideID{outer}, stampOf(at), d.cfg.PrefixHosts, d.cfg.PrefixTime)
		if n > 0 {
			return d.banWide(outer, at, Reason{Kind: ByPrefix, Count: n, Span: d.cfg.PrefixTime})
		}
	}
	return d.banWide(full, at, why)
}

// takeBack takes the points of an address, from a mark of it back, away from the networks around it: it is banned, or was pardoned.
func (d *AdaptiveDetector) takeBack(from [2]wideID, mark uint32) {
	for _, wide := range from {
		t := d.tallies.get(wide)
		for i := mark; t != nil && i != 0; i = d.scores.marks[i].older {
			m := &d.scores.marks[i].mark
			for n, w := range d.windows() {
				t[n].takeBack(m.at.eighth(w.span), m.points)
			}
		}
	}
}

// forgetTallies forgets the points of the networks in p, and those in p of the network around it.
func (d *AdaptiveDetector) forgetTallies(p netip.Prefix) {
	for _, wide := range slices.Collect(widesIn(d.tallies, p)) {
		if p.Bits() > wide.bits() {
			continue
		}
		gone := *d.tallies.get(wide)
		d.tallies.delete(wide)
		outer := d.tallies.get(around(wide.prefix().Addr())[1])
		for i := range gone {
			if outer != nil {
				outer[i].takeBackAll(&gone[i])
			}
		}
	}
}
