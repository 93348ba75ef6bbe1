package adaptive

import (
	"math"
	"math/bits"
	"slices"
	"time"

	"exile/jail/internal/netkey"
)

// sources are the addresses that failed on a name lately, and when. One client may try over IPv6 and over IPv4: its two addresses
// are twins, and count once.
type sources struct {
	hosts [maxSources]netkey.ID
	at    [maxSources]stamp
	twin  [maxSources]uint8 // 1 + the place of its twin; 0: it has none
	n     uint8
	six   uint16 // bit i: the address in place i is IPv6
}

const (
	// maxSources bounds the addresses of a name.
	maxSources = 16
	// maxCounted is what they are counted up to, and so bounds Config.NameHosts and PrefixHosts: more would prove no more.
	maxCounted = 8
	// twinTime is how far apart the attempts of twins are at most.
	twinTime = time.Hour
)

// see notes an address. If there are too many, it takes the place of the one not seen for longest.
func (c *sources) see(host netkey.ID, at stamp) {
	i := slices.Index(c.hosts[:c.n], host)
	switch {
	case i >= 0:
	case c.n < maxSources:
		i = int(c.n)
		c.n++
	default:
		i = oldest(c.at[:])
		c.part(i)
	}
	c.put(i, host, at)
	c.pair(i)
}

// put puts an address in a place.
func (c *sources) put(i int, host netkey.ID, at stamp) {
	c.hosts[i], c.at[i] = host, at
	if c.six |= 1 << i; host.Is4() {
		c.six &^= 1 << i
	}
}

// oldest is the first place of the oldest stamp.
func oldest(at []stamp) (place int) {
	least := uint64(math.MaxUint64)
	for i, t := range at {
		least = min(least, uint64(t)<<8|uint64(i)) // no branch
	}
	return int(least & math.MaxUint8)
}

// pair makes twins of an address and one of the other family that was seen within twinTime of it.
func (c *sources) pair(i int) {
	others := c.six
	if c.six>>i&1 == 1 {
		others = 1<<c.n - 1 - c.six
	}
	for ; others != 0 && c.twin[i] == 0; others &= others - 1 {
		if j := bits.TrailingZeros16(others); c.twin[j] == 0 && c.at[i].near(c.at[j], twinTime) {
			c.twin[i], c.twin[j] = uint8(j+1), uint8(i+1)
		}
	}
}

// part makes twins two addresses again.
func (c *sources) part(i int) {
	if j := c.twin[i]; j != 0 {
		c.twin[i], c.twin[j-1] = 0, 0
	}
}

// whole reports whether all twins name each other.
func (c *sources) whole() bool {
	for i, j := range c.twin {
		if j != 0 && (i >= int(c.n) || j > c.n || c.twin[j-1] != uint8(i+1) || int(j) == i+1) {
			return false
		}
	}
	return true
}

// count is in how many networks (/16 of IPv4, /48 of IPv6) they were seen less than span before at, up to maxCounted. The
// networks of twins count once.
func (c *sources) count(at stamp, span time.Duration) int {
	var nets [maxCounted]netkey.ID
	n, seen := 0, uint64(0)
	for i := 0; i < int(c.n) && n < maxCounted; i++ {
		if !at.within(c.at[i], span) {
			continue
		}
		net := c.hosts[c.first(i)].Region()
		bit := uint64(1) << (net >> 16 % 64) // most networks differ in it
		if seen&bit == 0 || !slices.Contains(nets[:n], net) {
			seen |= bit
			nets[n] = net
			n++
		}
	}
	return n
}

// first is the place of an address, or of its twin if that comes first.
func (c *sources) first(i int) int {
	if j := c.twin[i]; j != 0 {
		return min(i, int(j)-1)
	}
	return i
}
