package adaptive

import (
	"math"
	"net/netip"
	"slices"
	"time"

	"exile/jail"
	"exile/jail/internal/bounded"
)

// tallies are the points of all addresses of a network that are not banned, in each window.
type tallies [2]tally

// tally is those of one window, by eighths of it.
type tally struct {
	points [eighths]points
	newest uint32 // eighth, counted from 1970
}

const eighths = 8

// add adds points of an eighth, and forgets what is too old by then. What is too far ahead was counted with a wrong clock.
func (t *tally) add(n uint32, more points) {
	if ahead := int64(n) - int64(t.newest); ahead >= eighths || ahead <= -eighths {
		*t = tally{newest: n}
	}
	for ; t.newest < n; t.newest++ {
		t.points[(t.newest+1)%eighths] = 0
	}
	t.points[n%eighths] = saturated(t.points[n%eighths], more)
}

// takeBack takes points of an eighth away again, if they still count.
func (t *tally) takeBack(n uint32, less points) {
	if t.newest-n < eighths {
		t.points[n%eighths] -= min(t.points[n%eighths], less)
	}
}

// takeBackAll takes away the points of another tally, which are in this one.
func (t *tally) takeBackAll(part *tally) {
	for i := range uint32(eighths) {
		t.takeBack(part.newest-i, part.points[(part.newest-i)%eighths])
	}
}

func (t *tally) sum() points {
	var sum uint32
	for _, p := range t.points {
		sum += uint32(p)
	}
	return points(min(sum, math.MaxUint16))
}

// limits are how many points make a ban.
type limits struct {
	windows [2]window // the fast one and the slow one, which may be missing
	beside  points    // within the fast one, for a stranger in a network that had a ban
}

func newLimits(cfg *Config) limits {
	return limits{
		windows: [...]window{
			newWindow(cfg.FindTime, cfg.MaxRetry, cfg.PrefixRetry), newWindow(cfg.SlowTime, cfg.SlowRetry, cfg.PrefixRetry),
		},
		beside: hundredths(min(cfg.MaxRetry, cfg.StrangerRetry)),
	}
}

// fast is how many points within the fast window ban an address.
func (l *limits) fast(beside bool) points {
	if beside {
		return l.beside
	}
	return l.windows[0].retry
}

// window is how many points within a span make a ban; 0: never.
type window struct {
	span     time.Duration
	eighth   uint32 // of the span, in seconds
	retry    points // of an address
	customer points // of a /56, which may be one customer's: half of network
	network  points // of a /24 or /48
}

// newWindow returns a window in which so many points ban an address, and times as many a network.
func newWindow(span time.Duration, retry float64, times int) window {
	return window{
		span, uint32(max(seconds(span)/eighths, 1)), hundredths(retry),
		hundredths(float64(max(times/2, 1)) * retry), hundredths(float64(times) * retry),
	}
}

// eighthOf is the number of the eighth in which the stamp lies.
func (w *window) eighthOf(s stamp) uint32 { return uint32(s) / w.eighth }

// limit is how many points ban a network.
func (w *window) limit(wide wideID) points {
	if wide.bits() == 56 {
		return w.customer
	}
	return w.network
}

// addTallies adds the points of an attempt to the networks around its address, and bans the widest that has enough, unless
// somebody ever logged in there.
func (d *Detector) addTallies(a *jail.Attempt, p *place, at stamp, e *evidence, out []jail.Verdict) []jail.Verdict {
	if d.cfg.PrefixRetry == 0 || e.ever {
		return out
	}
	var full wideID
	why := reason{kind: byNetwork}
	for _, wide := range p.around {
		if wide == 0 {
			break
		}
		t := d.tallies.Touch(wide, int64(at))
		for i := range d.windows {
			w := &d.windows[i]
			t[i].add(w.eighthOf(at), e.points)
			if sum, limit := t[i].sum(), w.limit(wide); sum >= limit && limit > 0 {
				full, why.points, why.limit, why.span = wide, sum, limit, w.span
			}
		}
	}
	if full == 0 {
		return out
	}
	v := d.banNetwork(full, p.around[1], a.Time, why)
	v.Failures = e.attempts
	return append(out, v)
}

// banNetwork bans a network that has too many points. A /56 is then one of those banned in its /48, which may be enough to
// ban that.
func (d *Detector) banNetwork(full, outer wideID, at time.Time, why reason) jail.Verdict {
	if outer != 0 && outer != full && d.cfg.PrefixHosts > 0 {
		_, n := d.wides.ban(full.net(), [2]wideID{outer}, stampOf(at), d.cfg.PrefixHosts, d.cfg.PrefixTime)
		if n > 0 {
			return d.banWide(outer, at, reason{kind: byPrefix, count: uint8(n), span: d.cfg.PrefixTime})
		}
	}
	return d.banWide(full, at, why)
}

// takeBack takes the points of an address away from the networks around it: it is banned, or was pardoned.
func (d *Detector) takeBack(from [2]wideID, marks *bounded.List) {
	for _, wide := range from {
		t := d.tallies.Get(wide)
		if t == nil {
			continue
		}
		for m := range d.scores.NewestFirst(marks) {
			for n := range d.windows {
				t[n].takeBack(d.windows[n].eighthOf(m.at), m.points)
			}
		}
	}
}

// forgetTallies drops the points of the networks in p, also from the network around p.
func (d *Detector) forgetTallies(p netip.Prefix) {
	for _, wide := range slices.Collect(widesIn(d.tallies, p)) {
		if p.Bits() > wide.bits() {
			continue
		}
		gone := *d.tallies.Get(wide)
		d.tallies.Delete(wide)
		outer := d.tallies.Get(widesAround(wide.net())[1])
		for i := range gone {
			if outer != nil {
				outer[i].takeBackAll(&gone[i])
			}
		}
	}
}
