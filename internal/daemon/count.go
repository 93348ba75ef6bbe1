package daemon

import (
	"slices"
	"time"

	"exile/firewall"
	"exile/internal/control"
)

// count returns how many bans the kernel has to hold at least and at most: it may have dropped those that are about to end, since it counts
// in seconds. It is called each minute, so it looks at as few bans as possible.
func (p *Plan) count(t *table, now time.Time) (least, most int) {
	soon := now.Add(3 * time.Second)
	if p.overlap() {
		return p.countEach(t, soon)
	}
	ending := 0
	for _, j := range p.Jails {
		if j.Simulate {
			continue
		}
		all, groups := t.count(j.Info.Name), t.groups(j.Info.Name)
		most += (all-groups)*j.width(control.OriginJournal) + groups*j.width(control.OriginGroup)
	}
	t.endingBy(soon, func(e *entry) {
		if j := p.jail(e.jail); j != nil && !j.Simulate {
			ending += j.width(control.Origin(e.origin.Value()))
		}
	})
	return most - ending, most
}

// countEach is count for jails that may share bans in the kernel.
func (p *Plan) countEach(t *table, soon time.Time) (least, most int) {
	bans := p.wanted(t)
	for _, b := range bans {
		if b.Until.IsZero() || b.Until.After(soon) {
			least++
		}
	}
	return least, len(bans)
}

// width returns how many kernel bans a ban of that origin needs.
func (j *Jail) width(o control.Origin) int { return max(len(j.closes(o)), 1) }

// overlap reports whether two jails may close the same port.
func (p *Plan) overlap() bool {
	seen := make(map[firewall.Port]bool)
	for _, j := range p.Jails {
		if j.Simulate {
			continue
		}
		ports := j.doors()
		if slices.ContainsFunc(ports, func(port firewall.Port) bool { return seen[port] }) {
			return true
		}
		for _, port := range ports {
			seen[port] = true
		}
	}
	return false
}

// doors returns all ports that bans of the jail may close; the zero Port is everything.
func (j *Jail) doors() []firewall.Port {
	var all []firewall.Port
	for _, o := range []control.Origin{control.OriginJournal, control.OriginGroup} {
		ports := j.closes(o)
		if len(ports) == 0 {
			ports = []firewall.Port{{}}
		}
		all = append(all, ports...)
	}
	return all
}
