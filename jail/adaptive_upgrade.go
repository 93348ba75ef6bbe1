package jail

import (
	"cmp"
	"slices"
)

// What is made of snapshots of former versions, so that an upgrade pardons nobody.

// formerCrowd reads a crowd of at most eight addresses, none of which is one with another.
func (r *snapshotReader) formerCrowd() (c crowd) {
	type seen struct {
		host netID
		at   stamp
	}
	all := make([]seen, r.number(maxCrowd))
	for i := range all {
		all[i] = seen{r.net(), r.stamp()}
	}
	slices.SortStableFunc(all, func(a, b seen) int { return cmp.Compare(a.at, b.at) })
	for _, s := range all {
		c.see(s.host, s.at)
	}
	return c
}

// deriveCrowds makes up what a snapshot does not say from what it says: names that exist were counted with those that do not,
// and whoever was banned was so in a region.
func (d *AdaptiveDetector) deriveCrowds() {
	for _, name := range d.accounts.names {
		id := d.names.id(name)
		if t := d.names.look(id); t != nil && !d.accounts.locked(name) {
			d.sieges.touch(id, t.touched).seeRegions(&t.value.crowd)
			d.names.delete(id)
		}
	}
	for node := range d.hosts.all {
		host := node.key.host()
		p := d.place(host.Addr())
		d.troubled.note(p.region, p.id, stamp(node.touched))
	}
}

// seeRegions notes the networks of the addresses of another crowd, in their order.
func (c *crowd) seeRegions(from *crowd) {
	for i, host := range from.hosts[:from.n] {
		c.see(host.region(), from.at[i])
	}
}
