package jail

import (
	"net/netip"
	"time"
)

// used reports whether the attempt is for an account that somebody logs in to.
func (d *AdaptiveDetector) used(a *Attempt, at stamp) bool {
	return a.User != "" && !a.Unknown && d.known.user(a.User, at, d.cfg.OwnerTime)
}

// besiege enters the region of an attempt under a name that exists and that nobody uses, or under none. It returns how many
// networks failed on it lately if these are a siege; else 0.
func (d *AdaptiveDetector) besiege(a *Attempt, region netID, at stamp) int {
	c := d.sieges.touch(d.names.id(a.User), int64(at))
	c.see(region, at)
	if n := c.count(at, d.cfg.SiegeTime); d.cfg.SiegeHosts > 0 && n >= d.cfg.SiegeHosts {
		return n
	}
	return 0
}

// troubled is the regions (/16, /48) in which an address was banned, with the one that was banned last, and when.
type troubled struct{ *recent[netID, netID] }

func newTroubled(n int) troubled { return troubled{newRecent[netID, netID](n)} }

// note notes a ban.
func (t troubled) note(region, host netID, at stamp) { *t.touch(region, int64(at)) = host }

// lately reports whether an address of the region was banned less than span before at.
func (t troubled) lately(region netID, at stamp, span time.Duration) bool {
	last, ok := t.touched(region)
	return ok && at.within(stamp(last), span)
}

// excuse drops the regions in which an address of p was banned last: somebody pardoned it.
func (d *AdaptiveDetector) excuse(p netip.Prefix) {
	_, strangers := d.cfg.Strangers.Touches(p)
	pardoned := func(host netID) bool {
		return host == d.hostID(p.Addr()) || host.hashed() && strangers || !host.hashed() && p.Contains(host.addr())
	}
	if one := d.cfg.Strangers.Unit(p.Addr(), 16, 48); !strangers && p.Bits() >= one.Bits() {
		region := d.names.key.netID(one)
		if host := d.troubled.get(region); host != nil && pardoned(*host) {
			d.troubled.delete(region)
		}
		return
	}
	for node := range d.troubled.all {
		if pardoned(node.value) {
			d.troubled.delete(node.key)
		}
	}
}

// beside reports whether somebody of the region was banned lately, and strangers there have fewer points.
func (d *AdaptiveDetector) beside(region netID, at stamp) bool {
	return d.cfg.StrangerRetry > 0 && d.troubled.lately(region, at, d.cfg.PrefixTime)
}

// stranger reports whether nobody ever logged in from around the address.
func (d *AdaptiveDetector) stranger(p *place, at stamp) bool {
	return !d.known.neighbour(p.net, at, d.cfg.KnownTime) && !d.known.everNear(p.region)
}
