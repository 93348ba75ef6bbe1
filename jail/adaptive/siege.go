package adaptive

import (
	"net/netip"
	"time"

	"exile/jail"
	"exile/jail/internal/bounded"
	"exile/jail/internal/netkey"
)

// besiege notes that a region failed on a name that exists and that nobody uses, or on no name. It returns how many
// networks did lately, if these are a siege; otherwise 0.
func (d *Detector) besiege(a *jail.Attempt, region netkey.ID, at stamp) int {
	c := d.sieges.Touch(d.names.id(a.User), int64(at))
	c.see(region, at)
	if n := c.count(at, d.cfg.SiegeTime); d.cfg.SiegeHosts > 0 && n >= d.cfg.SiegeHosts {
		return n
	}
	return 0
}

// troubled is the regions (/16, /48) in which an address was banned, when that was, and which address was the last.
type troubled struct {
	*bounded.Store[netkey.ID, netkey.ID]
}

func newTroubled(n int) troubled {
	return troubled{bounded.New[netkey.ID, netkey.ID](n, bounded.HashNumber[netkey.ID]())}
}

// note notes a ban in a region and its slot.
func (t troubled) note(region netkey.ID, s bounded.Slot, host netkey.ID, at stamp) {
	last, _ := t.TouchSlot(region, s, int64(at))
	*last = host
}

// within reports whether an address of the region in a slot was banned less than span before at.
func (t troubled) within(s bounded.Slot, at stamp, span time.Duration) bool {
	last := t.At(s)
	return last != nil && at.within(stamp(last.Touched), span)
}

// excuse drops the regions in which the last banned address was one of p: somebody lifted that ban.
func (d *Detector) excuse(p netip.Prefix) {
	_, strangers := d.cfg.Strangers.Touches(p)
	pardoned := func(host netkey.ID) bool {
		return host == d.hostID(p.Addr()) || host.Hashed() && strangers || !host.Hashed() && p.Contains(host.Addr())
	}
	if one := d.cfg.Strangers.Unit(p.Addr(), 16, 48); !strangers && p.Bits() >= one.Bits() {
		region := d.names.secret.ID(one)
		if host := d.troubled.Get(region); host != nil && pardoned(*host) {
			d.troubled.Delete(region)
		}
		return
	}
	for e := range d.troubled.All {
		if pardoned(e.Value) {
			d.troubled.Delete(e.Key)
		}
	}
}

// besideBanned reports whether the region had a ban lately: then fewer points ban a stranger there.
func (d *Detector) besideBanned(region bounded.Slot, at stamp) bool {
	return d.cfg.StrangerRetry > 0 && d.troubled.within(region, at, d.cfg.PrefixTime)
}
