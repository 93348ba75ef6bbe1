package jail

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// The memories of the adaptive detector. Each is an LRU with a hard cap, so that no attacker makes it grow, and a Go map
// inside, whose hash is seeded, so that none makes it slow.

// crowd is how many addresses are kept by name or network, the most recent: more would prove nothing more.
const crowd = 16

// clip shortens a name to what is kept of it.
func clip(name string) string { return name[:min(len(name), 64)] }

// hostOf is what counts as one address: an IPv4 address, an IPv6 /64.
func hostOf(a netip.Addr) netip.Prefix { return cut(a, 32, 64) }

// netOf is the neighbourhood of an address: /24 or /64.
func netOf(a netip.Addr) netip.Prefix { return cut(a, 24, 64) }

// wideOf is what is banned when several addresses in it are: /24 or /56.
func wideOf(a netip.Addr) netip.Prefix { return cut(a, 24, 56) }

// regionOf is where an owner's other addresses are likely to be: /16 or /48.
func regionOf(a netip.Addr) netip.Prefix { return cut(a, 16, 48) }

func cut(a netip.Addr, bits4, bits6 int) netip.Prefix {
	bits := bits6
	if a.Is4() {
		bits = bits4
	}
	p, _ := a.Prefix(bits) // the bits fit the family
	return p
}

// newLRU returns an LRU of n entries, at least one.
func newLRU[K comparable, V any](n int) *simplelru.LRU[K, V] {
	l, _ := simplelru.NewLRU[K, V](max(n, 1), nil) // fails only for sizes below one
	return l
}

// sightings are addresses and when each was last seen; at most crowd of them.
type sightings []sighting

type sighting struct {
	Host netip.Prefix
	At   time.Time
}

// see notes an address, in place of the one not seen for longest when there are too many.
func (s sightings) see(host netip.Prefix, at time.Time) sightings {
	for i := range s {
		if s[i].Host == host {
			s[i].At = at
			return s
		}
	}
	s = append(s, sighting{host, at})
	if len(s) > crowd {
		oldest := 0
		for i := range s {
			if s[i].At.Before(s[oldest].At) {
				oldest = i
			}
		}
		s = slices.Delete(s, oldest, oldest+1)
	}
	return s
}

// names are the user names that failed, and where from.
type names struct {
	lru *simplelru.LRU[string, sightings]
}

// AttackName is a name that only attackers use, as far as the host knows.
type AttackName struct {
	Name  string // as sent, clipped to 64 bytes: quote it
	Hosts int    // addresses that failed on it, 16 standing for more
	Last  time.Time
}

func newNames(n int) names { return names{newLRU[string, sightings](n)} }

// fail notes that host failed on the name and returns how many hosts did within span.
func (n *names) fail(name string, host netip.Prefix, at time.Time, span time.Duration) int {
	name = clip(name)
	s, ok := n.lru.Get(name)
	if !ok {
		name = strings.Clone(name) // the rest of what was sent need not be kept
	}
	s = s.see(host, at)
	n.lru.Add(name, s)
	return s.within(at, span)
}

// within is how many of them were seen less than span before at.
func (s sightings) within(at time.Time, span time.Duration) int {
	count := 0
	for i := range s {
		if at.Sub(s[i].At) < span {
			count++
		}
	}
	return count
}

func (n *names) remove(name string) bool { return n.lru.Remove(clip(name)) }

func (n *names) list(at time.Time, span time.Duration, atLeast int) []AttackName {
	var list []AttackName
	for _, name := range n.lru.Keys() {
		s, _ := n.lru.Peek(name)
		if hosts := s.within(at, span); hosts >= atLeast {
			last := slices.MaxFunc(s, func(a, b sighting) int { return a.At.Compare(b.At) })
			list = append(list, AttackName{name, hosts, last.At})
		}
	}
	slices.SortFunc(list, func(a, b AttackName) int {
		return cmp.Or(cmp.Compare(b.Hosts, a.Hosts), b.Last.Compare(a.Last), cmp.Compare(a.Name, b.Name))
	})
	return list
}

// scores are the points of the addresses that are counted.
type scores struct {
	lru *simplelru.LRU[netip.Prefix, *score]
}

// score is the points of one address, oldest first. Points are at least a fifth and a ban comes at ten, so there are
// never more than fifty.
type score struct{ points []point }

type point struct {
	At      time.Time
	Points  float64
	Guesses int
}

func newScores(n int) scores { return scores{newLRU[netip.Prefix, *score](n)} }

// add counts a point and forgets those of the host that are older than span.
func (s *scores) add(host netip.Prefix, p point, span time.Duration) *score {
	sc, ok := s.lru.Get(host)
	if !ok {
		sc = &score{}
		s.lru.Add(host, sc)
	}
	sc.points = append(sc.points, p)
	old := 0
	for old < len(sc.points) && sc.points[old].At.Before(p.At.Add(-span)) {
		old++
	}
	sc.points = slices.Delete(sc.points, 0, old)
	return sc
}

// since is the sum of the points, and the guesses, from that time on.
func (s *score) since(at time.Time) (points float64, guesses int) {
	for _, p := range s.points {
		if !p.At.Before(at) {
			points += p.Points
			guesses += p.Guesses
		}
	}
	return points, guesses
}

func (s *score) clear() { s.points = nil }

func (s *scores) forgetAll(p netip.Prefix) {
	for _, host := range s.lru.Keys() {
		if p.Overlaps(host) {
			s.lru.Remove(host)
		}
	}
}

// known is who logged in: networks, regions, and the names that did so by password.
type known struct {
	nets    *simplelru.LRU[netip.Prefix, time.Time]
	regions *simplelru.LRU[netip.Prefix, time.Time]
	owners  *simplelru.LRU[string, time.Time]
}

func newKnown(n int) known {
	return known{newLRU[netip.Prefix, time.Time](n), newLRU[netip.Prefix, time.Time](n), newLRU[string, time.Time](n)}
}

func (k *known) login(a Attempt) {
	k.nets.Add(netOf(a.Addr), a.Time)
	k.regions.Add(regionOf(a.Addr), a.Time)
	if a.Method != "publickey" {
		k.owners.Add(strings.Clone(clip(a.User)), a.Time)
	}
}

// neighbour reports whether the address or one beside it logged in less than span before at.
func (k *known) neighbour(a netip.Addr, at time.Time, span time.Duration) bool {
	last, ok := k.nets.Peek(netOf(a))
	return ok && at.Sub(last) < span
}

// ever reports whether the address or one beside it ever logged in.
func (k *known) ever(a netip.Addr) bool { return k.nets.Contains(netOf(a)) }

// region reports whether anybody from the region of the address logged in less than span before at.
func (k *known) region(a netip.Addr, at time.Time, span time.Duration) bool {
	last, ok := k.regions.Peek(regionOf(a))
	return ok && at.Sub(last) < span
}

// owner reports whether the name logged in by password less than span before at.
func (k *known) owner(name string, at time.Time, span time.Duration) bool {
	last, ok := k.owners.Peek(clip(name))
	return ok && at.Sub(last) < span
}

// offences are who was banned how often, and which addresses of a network were.
type offences struct {
	hosts *simplelru.LRU[netip.Prefix, offence]
	wide  *simplelru.LRU[netip.Prefix, sightings]
}

type offence struct {
	Count int
	Last  time.Time
}

func newOffences(n int) offences {
	return offences{newLRU[netip.Prefix, offence](n), newLRU[netip.Prefix, sightings](n)}
}

// next counts an offence of p and returns its number. Offences are forgotten after a quiet time.
func (o *offences) next(p netip.Prefix, at time.Time, quiet time.Duration) int {
	last, ok := o.hosts.Get(p)
	if !ok || at.Sub(last.Last) > quiet {
		last.Count = 0
	}
	last = offence{last.Count + 1, at}
	o.hosts.Add(p, last)
	return last.Count
}

// neighbours notes that host was banned and returns how many hosts of the wide prefix were within span.
func (o *offences) neighbours(wide, host netip.Prefix, at time.Time, span time.Duration) int {
	s, _ := o.wide.Get(wide)
	s = slices.DeleteFunc(s.see(host, at), func(x sighting) bool { return at.Sub(x.At) > span })
	o.wide.Add(wide, s)
	return len(s)
}

func (o *offences) forgetAll(p netip.Prefix) {
	for _, host := range o.hosts.Keys() {
		if p.Overlaps(host) {
			o.hosts.Remove(host)
		}
	}
	for _, wide := range o.wide.Keys() {
		if p.Overlaps(wide) {
			o.wide.Remove(wide)
		}
	}
}
