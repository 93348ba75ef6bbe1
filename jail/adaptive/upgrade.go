package adaptive

import (
	"cmp"
	"slices"

	"exile/jail/internal/netkey"
)

// What snapshots of former versions become: an upgrade pardons nobody.

// formerSources reads at most eight addresses, without twins.
func (r *snapshotReader) formerSources() (c sources) {
	type seen struct {
		host netkey.ID
		at   stamp
	}
	all := make([]seen, r.number(maxCounted))
	for i := range all {
		all[i] = seen{r.net(), r.stamp()}
	}
	slices.SortStableFunc(all, func(a, b seen) int { return cmp.Compare(a.at, b.at) })
	for _, s := range all {
		c.see(s.host, s.at)
	}
	return c
}

// deriveSieges works out what a former snapshot does not say: it has the names that exist among those that do not, and the
// banned addresses tell in which regions there were bans.
func (d *Detector) deriveSieges() {
	for _, name := range d.accounts.names {
		id := d.names.id(name)
		if t := d.names.Find(id); t != nil && !d.accounts.locked(name) {
			d.sieges.Touch(id, t.Touched).seeRegions(&t.Value.sources)
			d.names.Delete(id)
		}
	}
	for e := range d.hosts.All {
		p := d.place(hostOf(e.Key).Addr())
		d.troubled.note(p.region, d.troubled.Slot(p.region), p.id, stamp(e.Touched))
	}
}

// seeRegions notes the networks of the addresses of others, in their order.
func (c *sources) seeRegions(from *sources) {
	for i, host := range from.hosts[:from.n] {
		c.see(host.Region(), from.at[i])
	}
}
