package jail

import (
	"slices"
	"time"
)

// crowd is which addresses failed on a name lately, and when.
type crowd struct {
	hosts [maxTried]netID
	at    [maxTried]stamp
	twin  [maxTried]uint8 // 1 + the place of the address that is one with this; 0: none is
	n     uint8
}

const (
	// maxTried bounds the addresses of a name.
	maxTried = 16
	// maxCrowd bounds what they are counted up to, and so AdaptiveConfig.NameHosts and PrefixHosts: as many prove as much as
	// more would.
	maxCrowd = 8
	// twinTime is how far apart one client tries a name over IPv6 and over IPv4.
	twinTime = time.Hour
)

// see notes an address, in place of the one not seen for longest when there are too many.
func (c *crowd) see(host netID, at stamp) {
	i := slices.Index(c.hosts[:c.n], host)
	switch {
	case i >= 0:
	case c.n < maxTried:
		i = int(c.n)
		c.n++
	default:
		i = slices.Index(c.at[:], slices.Min(c.at[:]))
		c.part(i)
	}
	c.hosts[i], c.at[i] = host, at
	c.pair(i)
}

// pair makes one of an address and another, of the other family, that was seen within an hour of it.
func (c *crowd) pair(i int) {
	for j := 0; j < int(c.n) && c.twin[i] == 0; j++ {
		if c.twin[j] == 0 && c.hosts[i].is4() != c.hosts[j].is4() && c.at[i].near(c.at[j], twinTime) {
			c.twin[i], c.twin[j] = uint8(j+1), uint8(i+1)
		}
	}
}

// part makes an address one by itself again.
func (c *crowd) part(i int) {
	if j := c.twin[i]; j != 0 {
		c.twin[i], c.twin[j-1] = 0, 0
	}
}

// whole reports whether those that are one say so of each other.
func (c *crowd) whole() bool {
	for i, j := range c.twin {
		if j != 0 && (i >= int(c.n) || j > c.n || c.twin[j-1] != uint8(i+1) || int(j) == i+1) {
			return false
		}
	}
	return true
}

// count is in how many networks (/16 of IPv4, /48 of IPv6) they were seen less than span before at, up to maxCrowd. Networks
// of two that are one count once.
func (c *crowd) count(at stamp, span time.Duration) int {
	var nets [maxCrowd]netID
	n := 0
	for i := 0; i < int(c.n) && n < maxCrowd; i++ {
		if !at.within(c.at[i], span) {
			continue
		}
		if net := c.hosts[c.first(i)].region(); !slices.Contains(nets[:n], net) {
			nets[n] = net
			n++
		}
	}
	return n
}

// first is the place of the first of those that are one with an address.
func (c *crowd) first(i int) int {
	if j := c.twin[i]; j != 0 {
		return min(i, int(j)-1)
	}
	return i
}
