package jail

import (
	"encoding/binary"
	"math"
	"net/netip"
	"strings"
	"time"

	"github.com/dchest/siphash"
)

// The memories of the adaptive detector. Each has a hard cap and forgets what was not touched for longest, so that no
// attacker makes it grow; each is found through an index whose hash is seeded, so that none makes it slow.

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

// netID is the first 64 bits of an IPv6 network, or an IPv4 network in the place of 0:ffff:a.b.c.d, or the hash of a single
// IPv6 address in the place of multicast. IPv6 has no networks there, see counted. It tells apart and says no more: what
// is banned is kept as a key.
type netID uint64

const (
	mapped    = 0xffff << 32
	multicast = 0xff << 56
	linkLocal = mapped | 169<<24 | 254<<16
)

// netID is the number of a network. Nobody who does not know the key can make up addresses that pass for each other.
func (k nameKey) netID(p netip.Prefix) netID {
	if p.Bits() > 64 {
		b := p.Addr().As16()
		return netID(multicast | siphash.Hash(k[0], k[1], b[:])>>8)
	}
	return netIDOf(p)
}

// netIDOf is the number of a network that is none of a single IPv6 address.
func netIDOf(p netip.Prefix) netID {
	if p.Addr().Is4() {
		b := p.Addr().As4()
		return netID(mapped | uint64(binary.BigEndian.Uint32(b[:])))
	}
	b := p.Addr().As16()
	return netID(binary.BigEndian.Uint64(b[:8]))
}

// counted reports whether the address can be one that guesses: the ranges of IPv6 in whose place others are counted are
// left out. The one routes nowhere, from the other nothing comes.
func counted(a netip.Addr) bool {
	if !a.IsValid() || a.Is4() {
		return a.IsValid()
	}
	p, _ := a.Prefix(64)
	return !netIDOf(p).is4() && !a.IsMulticast()
}

func (n netID) is4() bool { return n>>32 == 0xffff }

// hashed reports whether it is the number of a single IPv6 address, and tells no address.
func (n netID) hashed() bool { return n>>56 == multicast>>56 }

// region is the /16 or /48 of a network; a stranger is its own.
func (n netID) region() netID {
	if n.hashed() || n>>16 == linkLocal>>16 {
		return n
	}
	return n &^ math.MaxUint16
}

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

// place is where an address is, for each of the memories.
type place struct {
	host   key       // what counts as one address: an IPv4 address, an IPv6 /64, or a single one among strangers
	id     netID     // of the host
	net    netID     // the neighbourhood: /24 or /64
	region netID     // where an owner's other addresses are likely to be: /16 or /48
	around [2]wideID // the networks that may be banned because of the address, see around
}

// place says where an address is. A stranger has no neighbours.
func (d *AdaptiveDetector) place(a netip.Addr) place {
	if d.cfg.Strangers.Hold(a) {
		id := d.hostID(a)
		return place{host: d.hostOf(a), id: id, net: id, region: id}
	}
	host, net := 64, netID(0)
	if a.Is4() {
		host, net = 32, 0xff
	}
	p, _ := a.Prefix(host) // valid
	id := netIDOf(p)
	return place{keyOf(p), id, id &^ net, id &^ math.MaxUint16, around(a)}
}

// host is what counts as one address.
func (d *AdaptiveDetector) host(a netip.Addr) netip.Prefix { return d.cfg.Strangers.Unit(a, 32, 64) }

// hostOf is the key of host.
func (d *AdaptiveDetector) hostOf(a netip.Addr) key { return keyOf(d.host(a)) }

// host is that of its key.
func (k key) host() netip.Prefix { return k.prefix(32, 64) }

// hostID is the number of host.
func (d *AdaptiveDetector) hostID(a netip.Addr) netID { return d.names.key.netID(d.host(a)) }

// known is who logged in.
type known struct {
	nets    *shared[netID, struct{}]
	regions *shared[netID, struct{}]
	names   *recent[string, stamp] // when the name last did so by password; 0: never
}

// alike reports whether a name is a slip of the finger away from one that logged in.
func (k *known) alike(name string) bool {
	if k.names.get(name) != nil {
		return true
	}
	for node := range k.names.all {
		if nearMiss(name, node.key) {
			return true
		}
	}
	return false
}

func newKnown(n int) known {
	return known{newShared[netID, struct{}](n, nil), newShared[netID, struct{}](n, nil), newRecent[string, stamp](n)}
}

// from remembers where a login of the user by that number came from.
func (k *known) from(net, region netID, at stamp, user uint32) {
	by := sharer{user, region}
	k.nets.touch(net, int64(at), by)
	k.regions.touch(region, int64(at), by)
}

// login remembers the name of a login and reports whether it is a new one.
func (k *known) login(a *Attempt, at stamp) bool {
	if a.User == "" {
		return false
	}
	fresh := k.names.get(clip(a.User)) == nil
	byPassword := k.names.touch(strings.Clone(clip(a.User)), int64(at)) // the rest of what was sent need not be kept
	if a.Method != "publickey" {
		*byPassword = at
	}
	return fresh
}

// restored counts whose networks were read from a snapshot.
func (k *known) restored() {
	k.nets.restored(netID.region)
	k.regions.restored(netID.region)
}

// neighbour reports whether anybody from the neighbourhood logged in less than span before at.
func (k *known) neighbour(net netID, at stamp, span time.Duration) bool {
	t, ok := k.nets.touched(net)
	return ok && at.within(stamp(t), span)
}

// region reports whether anybody from the region logged in less than span before at.
func (k *known) region(region netID, at stamp, span time.Duration) bool {
	t, ok := k.regions.touched(region)
	return ok && at.within(stamp(t), span)
}

// ever reports whether anybody from a network that is banned as one ever logged in: the /24 of IPv4, or the /48.
func (k *known) ever(net, region netID) bool {
	if net.is4() {
		return k.nets.get(net) != nil
	}
	return k.regions.get(region) != nil
}

// everNear reports whether anybody from the region ever logged in.
func (k *known) everNear(region netID) bool { return k.regions.get(region) != nil }

// user reports whether the name logged in, in whatever way, less than span before at.
func (k *known) user(name string, at stamp, span time.Duration) bool {
	t, ok := k.names.touched(clip(name))
	return ok && at.within(stamp(t), span)
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
	so := o.soFar(k, at, quiet)
	was := o.touch(k, int64(at))
	*was = offence{count: saturated(uint16(so), 1)}
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
	was := o.look(k)
	return was != nil && int64(at) >= was.touched && at < was.value.until
}

// soFar is how many offences count at that time.
func (o offences[K]) soFar(k K, at stamp, quiet time.Duration) int {
	if was := o.look(k); was != nil && at.near(stamp(was.touched), quiet) {
		return int(was.value.count)
	}
	return 0
}
