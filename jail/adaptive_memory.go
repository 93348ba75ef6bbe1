package jail

import (
	"cmp"
	"encoding/binary"
	"math"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// The memories of the adaptive detector. Each has a hard cap and forgets what was not touched for longest, so that no
// attacker makes it grow; each is found through a Go map, whose hash is seeded, so that none makes it slow.

// stamp is a time in seconds since 1970: half the memory of a time, and the constants are hours and days.
type stamp uint32

func stampOf(t time.Time) stamp { return stamp(min(max(t.Unix(), 0), math.MaxUint32)) }

func (s stamp) time() time.Time { return time.Unix(int64(s), 0).UTC() }

// since is the time from t to s; negative when a clock stepped back.
func (s stamp) since(t stamp) time.Duration { return time.Duration(int64(s)-int64(t)) * time.Second }

// near reports whether s and t are at most span apart, in either direction: a clock may have stepped back, and nothing
// may count for ever because it once stood wrong.
func (s stamp) near(t stamp, span time.Duration) bool { return s.since(t).Abs() <= span }

// within is like near, but the end of the span is outside.
func (s stamp) within(t stamp, span time.Duration) bool { return s.since(t).Abs() < span }

// netID is the first 64 bits of an IPv6 network, or an IPv4 network in the place of 0:ffff:a.b.c.d. IPv6 has no
// networks there, see counted.
type netID uint64

const mapped = 0xffff << 32

func netIDOf(a netip.Addr, bits4, bits6 int) netID {
	if a.Is4() {
		b := a.As4()
		v := binary.BigEndian.Uint32(b[:])
		return netID(mapped | uint64(v&^(math.MaxUint32>>bits4)))
	}
	b := a.As16()
	return netID(binary.BigEndian.Uint64(b[:8]) &^ (math.MaxUint64 >> bits6))
}

// counted reports whether the address can be one that guesses: a special range of IPv6 that routes nowhere is left out.
func counted(a netip.Addr) bool { return a.IsValid() && (a.Is4() || !netIDOf(a, 0, 64).is4()) }

func (n netID) is4() bool { return n>>32 == 0xffff }

func (n netID) addr() netip.Addr {
	if n.is4() {
		var b [4]byte
		binary.BigEndian.PutUint32(b[:], uint32(n))
		return netip.AddrFrom4(b)
	}
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], uint64(n))
	return netip.AddrFrom16(b)
}

// host is n as what counts as one address: an IPv4 address, an IPv6 /64.
func (n netID) host() netip.Prefix {
	if n.is4() {
		return netip.PrefixFrom(n.addr(), 32)
	}
	return netip.PrefixFrom(n.addr(), 64)
}

func hostOf(a netip.Addr) netID { return netIDOf(a, 32, 64) }

// netOf is the neighbourhood of an address: /24 or /64.
func netOf(a netip.Addr) netID { return netIDOf(a, 24, 64) }

// regionOf is where an owner's other addresses are likely to be: /16 or /48.
func regionOf(a netip.Addr) netID { return netIDOf(a, 16, 48) }

// crowd is which addresses were seen lately, and when: at most eight, which proves as much as more would.
type crowd struct {
	hosts [8]netID
	at    [8]stamp
	n     uint8
}

// maxCrowd bounds AdaptiveConfig.NameHosts and PrefixHosts.
const maxCrowd = 8

// see notes an address, in place of the one not seen for longest when there are too many.
func (c *crowd) see(host netID, at stamp) {
	i := slices.Index(c.hosts[:c.n], host)
	switch {
	case i >= 0:
	case c.n < maxCrowd:
		i = int(c.n)
		c.n++
	default:
		i = slices.Index(c.at[:], slices.Min(c.at[:]))
	}
	c.hosts[i], c.at[i] = host, at
}

// count is how many of them were seen less than span before at.
func (c *crowd) count(at stamp, span time.Duration) int {
	count := 0
	for _, seen := range c.at[:c.n] {
		if at.within(seen, span) {
			count++
		}
	}
	return count
}

// drop removes those that remove says.
func (c *crowd) drop(remove func(netID) bool) {
	kept := crowd{}
	for i, host := range c.hosts[:c.n] {
		if !remove(host) {
			kept.see(host, c.at[i])
		}
	}
	*c = kept
}

// clip shortens a name to what is kept of it.
func clip(name string) string { return name[:min(len(name), maxName)] }

const maxName = 64

// names are the user names that failed, and where from.
type names struct{ *recent[string, crowd] }

// fail notes that host failed on the name and returns how many hosts did within span.
func (n names) fail(name string, host netID, at stamp, span time.Duration) int {
	name = clip(name)
	if n.get(name) == nil {
		name = strings.Clone(name) // the rest of what was sent need not be kept
	}
	c := n.touch(name, int64(at))
	c.see(host, at)
	return c.count(at, span)
}

// AttackName is a name that only attackers use, as far as the host knows.
type AttackName struct {
	Name  string // as sent, clipped to 64 bytes: quote it
	Hosts int    // addresses that failed on it, 8 standing for more
	Last  time.Time
}

func (n names) list(at stamp, span time.Duration, atLeast int) []AttackName {
	var list []AttackName
	for node := range n.all {
		if hosts := node.value.count(at, span); hosts >= max(atLeast, 1) {
			list = append(list, AttackName{node.key, hosts, stamp(node.touched).time()})
		}
	}
	slices.SortFunc(list, func(a, b AttackName) int {
		return cmp.Or(cmp.Compare(b.Hosts, a.Hosts), b.Last.Compare(a.Last), cmp.Compare(a.Name, b.Name))
	})
	return list
}

// points are hundredths of a point: whole numbers, so that sums are exact.
type points uint16

func hundredths(f float64) points { return points(min(max(math.Round(f*100), 0), math.MaxUint16)) }

// score is the points of one address, the oldest first. Ten points ban, so that only an address whose points count less,
// because of a login, has more than ten.
type score []scoreMark

// maxMarks holds ten points of the fifths that known addresses get, one by one.
const maxMarks = 64

type scoreMark struct {
	at      stamp
	points  points
	guesses uint16
}

// add counts a mark. When there are too many, the oldest two become one of the older time: it errs for the address.
func (s *score) add(m scoreMark) {
	if old := *s; len(old) == maxMarks {
		old[1] = scoreMark{old[0].at, saturated(old[0].points, old[1].points), saturated(old[0].guesses, old[1].guesses)}
		*s = slices.Delete(old, 0, 1)
	}
	more := make(score, len(*s)+1) // append would make room for as many again, in the worst of attacks for every address
	copy(more, *s)
	more[len(*s)] = m
	*s = more
}

func saturated[T ~uint16](a, b T) T { return T(min(uint32(a)+uint32(b), math.MaxUint16)) }

// slide drops the marks that are more than span away from at.
func (s *score) slide(at stamp, span time.Duration) {
	*s = slices.DeleteFunc(*s, func(m scoreMark) bool { return !at.near(m.at, span) })
}

// sum is the points, and the guesses, within span of at.
func (s score) sum(at stamp, span time.Duration) (sum points, guesses int) {
	for _, m := range s {
		if at.near(m.at, span) {
			sum = saturated(sum, m.points)
			guesses += int(m.guesses)
		}
	}
	return sum, guesses
}

// forgive takes the newest n guesses back, with their share of the points.
func (s *score) forgive(n int) {
	for marks := *s; n > 0 && len(marks) > 0; marks = *s {
		m := &marks[len(marks)-1]
		taken := min(n, int(m.guesses))
		m.points -= points(int(m.points) * taken / max(int(m.guesses), 1))
		m.guesses -= uint16(taken)
		if m.guesses > 0 {
			return
		}
		n -= taken
		*s = marks[:len(marks)-1]
	}
}

// known is who logged in.
type known struct {
	nets    *recent[netID, struct{}]
	regions *recent[netID, struct{}]
	names   *recent[string, stamp] // when the name last did so by password; 0: never
}

func newKnown(n int) known {
	return known{newRecent[netID, struct{}](n), newRecent[netID, struct{}](n), newRecent[string, stamp](n)}
}

func (k *known) login(a Attempt, at stamp) {
	if counted(a.Addr) {
		k.nets.touch(netOf(a.Addr), int64(at))
		k.regions.touch(regionOf(a.Addr), int64(at))
	}
	if a.User == "" {
		return
	}
	byPassword := k.names.touch(strings.Clone(clip(a.User)), int64(at))
	if a.Method != "publickey" {
		*byPassword = at
	}
}

// last is when a key was touched last.
func last[K comparable, V any](r *recent[K, V], k K) (stamp, bool) {
	at, ok := r.touched(k)
	return stamp(at), ok
}

// neighbour reports whether the address or one beside it logged in less than span before at.
func (k *known) neighbour(a netip.Addr, at stamp, span time.Duration) bool {
	t, ok := last(k.nets, netOf(a))
	return ok && at.within(t, span)
}

// region reports whether anybody from the region of the address logged in less than span before at.
func (k *known) region(a netip.Addr, at stamp, span time.Duration) bool {
	t, ok := last(k.regions, regionOf(a))
	return ok && at.within(t, span)
}

// ever reports whether anybody from a network that holds the address ever logged in: its /24, or its /48.
func (k *known) ever(a netip.Addr) bool {
	if a.Is4() {
		return k.nets.get(netOf(a)) != nil
	}
	return k.regions.get(regionOf(a)) != nil
}

// owner reports whether the name logged in by password less than span before at.
func (k *known) owner(name string, at stamp, span time.Duration) bool {
	t := k.names.get(clip(name))
	return t != nil && *t != 0 && at.within(*t, span)
}

// offences are who was banned how often, touched when the last ban began.
type offences[K comparable] struct{ *recent[K, offence] }

type offence struct {
	count uint16
	until stamp // the end of the last ban; 0: it was lifted, or never made
}

// next counts an offence, whose ban the caller puts in. Offences are forgotten after a quiet time.
func (o offences[K]) next(k K, at stamp, quiet time.Duration) *offence {
	began, ok := last(o.recent, k)
	was := o.touch(k, int64(at))
	if !ok || !at.near(began, quiet) {
		was.count = 0
	}
	*was = offence{count: saturated(was.count, 1)}
	return was
}

// release notes that the last offence bans no more.
func (o offences[K]) release(k K) {
	if was := o.get(k); was != nil {
		was.until = 0
	}
}

// banned reports whether the last offence bans at that time. A ban that began in the future says only that a clock was
// wrong.
func (o offences[K]) banned(k K, at stamp) bool {
	began, ok := last(o.recent, k)
	return ok && at >= began && at < o.get(k).until
}

// soFar is how many offences count at that time.
func (o offences[K]) soFar(k K, at stamp, quiet time.Duration) int {
	if began, ok := last(o.recent, k); ok && at.near(began, quiet) {
		return int(o.get(k).count)
	}
	return 0
}
