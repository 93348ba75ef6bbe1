package adaptive

import (
	"math"
	"net/netip"
	"strings"
	"time"

	"exile/jail"
	"exile/jail/internal/bounded"
	"exile/jail/internal/netkey"
	"exile/jail/internal/text"
)

// stamp is a time in seconds since 1970: half the memory of a time, and the settings are hours and days.
type stamp uint32

func stampOf(t time.Time) stamp { return stamp(min(max(t.Unix(), 0), math.MaxUint32)) }

func (s stamp) time() time.Time { return time.Unix(int64(s), 0).UTC() }

// since is the time from t to s; negative if the clock was set back.
func (s stamp) since(t stamp) time.Duration { return time.Duration(int64(s)-int64(t)) * time.Second }

// near reports whether s and t are at most span apart, in either direction: the clock may have been set back, and nothing
// may count for ever because the clock was once wrong.
func (s stamp) near(t stamp, span time.Duration) bool { return s.since(t).Abs() <= span }

// within is near without the end of the span.
func (s stamp) within(t stamp, span time.Duration) bool { return s.since(t).Abs() < span }

// known is who logged in.
type known struct {
	nets    *bounded.Owned[netkey.ID, struct{}]
	regions *bounded.Owned[netkey.ID, struct{}]
	names   *bounded.Store[string, stamp] // when the name last logged in by password; 0: never
}

func newKnown(n int) known {
	return known{
		nets:    bounded.NewOwned[netkey.ID, struct{}](n, bounded.HashNumber[netkey.ID](), nil),
		regions: bounded.NewOwned[netkey.ID, struct{}](n, bounded.HashNumber[netkey.ID](), nil),
		names:   bounded.New[string, stamp](n, bounded.HashAny[string]()),
	}
}

// alike reports whether a name is a typing error away from one that logged in.
func (k *known) alike(name string) bool {
	if k.names.Get(name) != nil {
		return true
	}
	for e := range k.names.All {
		if nearMiss(name, e.Key) {
			return true
		}
	}
	return false
}

// from remembers where a login came from, of the user with that number.
func (k *known) from(net, region netkey.ID, at stamp, user uint32) {
	by := bounded.Owner{User: user, Network: uint64(region)}
	k.nets.Touch(net, int64(at), by)
	k.regions.Touch(region, int64(at), by)
}

// login remembers the name of a login and reports whether it is new.
func (k *known) login(a *jail.Attempt, at stamp) bool {
	if a.User == "" {
		return false
	}
	fresh := k.names.Get(text.Clip(a.User)) == nil
	byPassword := k.names.Touch(strings.Clone(text.Clip(a.User)), int64(at)) // a clone, so that the rest can be freed
	if a.Method != "publickey" {
		*byPassword = at
	}
	return fresh
}

// restored counts keys that were read from a snapshot.
func (k *known) restored() {
	region := func(n netkey.ID) uint64 { return uint64(n.Region()) }
	k.nets.Recount(region)
	k.regions.Recount(region)
}

// company is who logged in around a place.
type company struct {
	ever       bool // somebody did from the network that is banned as one: the /24 of IPv4, or the /48
	everNear   bool // from the region
	neighbour  bool // from the neighbourhood, lately
	nearLately bool // from the region, lately
}

// strange reports whether nobody ever logged in from around the place.
func (c company) strange() bool { return !c.neighbour && !c.everNear }

// company says who logged in around p. Lately is less than span before at.
func (k *known) company(p *place, at stamp, span time.Duration) (c company) {
	net, region := k.nets.Find(p.net), k.regions.Find(p.region)
	if c.ever = region != nil; p.net.Is4() {
		c.ever = net != nil
	}
	c.everNear = region != nil
	c.neighbour = net != nil && at.within(stamp(net.Touched), span)
	c.nearLately = region != nil && at.within(stamp(region.Touched), span)
	return c
}

// user reports whether the name logged in less than span before at: by any method, and by password.
func (k *known) user(name string, at stamp, span time.Duration) (ever, byPassword bool) {
	e := k.names.Find(text.Clip(name))
	if e == nil {
		return false, false
	}
	return at.within(stamp(e.Touched), span), e.Value != 0 && at.within(e.Value, span)
}

// offences are who was banned how often. A key is touched when a ban of it begins.
type offences[K comparable] struct {
	*bounded.Store[K, offence]
}

type offence struct {
	count uint16
	until stamp // the end of the last ban; 0: it was lifted, or never made
}

// next counts an offence of the key in a slot; the caller sets its end. Offences are forgotten after a quiet time.
func (o offences[K]) next(k K, s bounded.Slot, at stamp, quiet time.Duration) *offence {
	was, before := o.TouchSlot(k, s, int64(at))
	if !at.near(stamp(before), quiet) {
		was.count = 0
	}
	*was = offence{count: saturated(was.count, 1)}
	return was
}

// release notes that the last ban is over.
func (o offences[K]) release(k K) {
	if was := o.Get(k); was != nil {
		was.until = 0
	}
}

// banned reports whether the last ban of the key in a slot holds at that time. One that begins in the future only shows
// that a clock was wrong.
func (o offences[K]) banned(s bounded.Slot, at stamp) bool {
	was := o.At(s)
	return was != nil && int64(at) >= was.Touched && at < was.Value.until
}

// last is how many offences count at that time, and when the last one was.
func (o offences[K]) last(k K, at stamp, quiet time.Duration) (n int, began stamp) {
	if was := o.Find(k); was != nil && at.near(stamp(was.Touched), quiet) {
		return int(was.Value.count), stamp(was.Touched)
	}
	return 0, 0
}

// hostsIn yields the keys of s that overlap p. The body may delete the one that it is given.
func hostsIn[V any](units netkey.Units, s *bounded.Store[netkey.Key, V], p netip.Prefix) func(yield func(netkey.Key) bool) {
	return func(yield func(netkey.Key) bool) {
		keys, few := netkey.In(units, p, 32, 64, s.Len())
		if !few {
			for e := range s.All {
				if p.Overlaps(hostOf(e.Key)) && !yield(e.Key) {
					return
				}
			}
			return
		}
		for k := range keys {
			if s.Get(k) != nil && !yield(k) {
				return
			}
		}
	}
}
