package daemon

import (
	"fmt"
	"maps"
	"net/netip"
	"strings"
	"time"

	"exile/firewall"
	"exile/internal/control"
	"exile/internal/state"
)

// explainGroup returns a line for people about a ban of a group: what it closes, and whom it hits for what others did.
func (d *Daemon) explainGroup(j *Jail, b control.Ban) string {
	guilty := d.ledger.past.within(state.Who{Jail: b.Jail, Prefix: b.Prefix})
	from := portsText(j.closes(b.Origin))
	failing := 0
	for _, h := range j.within(b.Prefix) {
		if !guilty[h.Prefix] {
			failing++
		}
	}
	return fmt.Sprintf("%s is banned as a group, from %s: %s", b.Prefix, from, blame(len(guilty), failing))
}

// blame says how many addresses of a network were banned before, and how many others failed.
func blame(guilty, failing int) string {
	var said []string
	switch {
	case guilty == 1:
		said = append(said, "1 in it was banned before")
	case guilty > 1:
		said = append(said, fmt.Sprintf("%d in it were banned before", guilty))
	}
	switch {
	case failing > 0 && guilty > 0:
		said = append(said, fmt.Sprintf("%d more failed", failing))
	case failing > 0:
		said = append(said, fmt.Sprintf("%d in it failed", failing))
	case guilty == 0:
		return "nothing is known of anybody in it"
	}
	return strings.Join(said, ", ") + "; nothing is known of others in it"
}

func portsText(ports []firewall.Port) string {
	if len(ports) == 0 {
		return "everything"
	}
	words := make([]string, len(ports))
	for i, p := range ports {
		words[i] = p.String()
	}
	return strings.Join(words, ", ")
}

// regroup gives the aggregators of a new plan the current bans.
func (d *Daemon) regroup() {
	rules := d.rules()
	for _, j := range d.plan.Jails {
		if j.Aggregator == nil {
			continue
		}
		bans := make([]control.Ban, 0, d.ledger.bans.count(j.Info.Name))
		d.ledger.bans.every(j.Info.Name, func(b control.Ban) { bans = append(bans, b) })
		for _, b := range bans {
			rules.Group(&j.Jail, b)
		}
	}
}

// forgetRepeats forgets the bans of addresses in p that the recidive rule counts, and reports whether there were any.
func (d *Daemon) forgetRepeats(p netip.Prefix) bool {
	known := false
	for prefix := range d.plan.repeats() {
		if prefix.Overlaps(p) {
			d.ledger.repeat(prefix, nil)
			d.plan.Recidivists.Forget(prefix)
			known = true
		}
	}
	return known
}

// repeats returns the bans that the recidive rule counts, if there is such a rule.
func (p *Plan) repeats() map[netip.Prefix][]time.Time {
	if p.Recidivists == nil {
		return nil
	}
	return maps.Collect(p.Recidivists.All())
}

// recount gives the recidive rule of a new plan what was counted before.
func (p *Plan) recount(repeats map[netip.Prefix][]time.Time) {
	if p.Recidivists != nil {
		p.Recidivists.Remind(repeats)
	}
}
