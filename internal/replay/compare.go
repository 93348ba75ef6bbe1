package replay

import (
	"fmt"
	"net/netip"
	"strings"

	"exile/internal/human"
	"exile/journal"
)

// Comparison runs two sets of rules over the same log, and keeps where they decide differently.
type Comparison struct {
	sides [2]*Replay
	seen  [2]int // bans of each side that were compared
	list  []Difference
	total int
	entry *journal.Entry // that was shown last
}

// Difference is a ban that one side made while the other did not have the address banned.
type Difference struct {
	Ban
	Here    bool   `json:"here"`           // the first side made it, otherwise the other
	Reason  string `json:"reason"`         // why it did
	Instead string `json:"instead"`        // why the other did not
	Line    string `json:"line,omitempty"` // the entry that decided it, as far as it is kept; empty: time alone did
	Only    bool   `json:"only"`           // the other never banned the address; false for the bans of groups
	unit    unit   // that is banned
}

// maxDifferences is how many are kept, the first ones.
const maxDifferences = 1000

// Compare begins to compare two runs that have seen nothing yet.
func Compare(here, there *Replay) *Comparison {
	here.Explain()
	there.Explain()
	return &Comparison{sides: [2]*Replay{here, there}}
}

// Look compares the bans that were made since the last time. Both runs have seen the same entries.
func (c *Comparison) Look() {
	for i, side := range c.sides {
		for n := side.bench.len(); c.seen[i] < n; c.seen[i]++ {
			if b := side.bench.at(uint32(c.seen[i])); !b.silent {
				c.compare(i, b)
			}
		}
	}
}

func (c *Comparison) compare(side int, b *record) {
	here, there := c.sides[side], c.sides[1-side]
	name := here.rules.Jails[b.jail].Name
	other := there.jail(name)
	if other != nil {
		k := b.key
		k.jail = other.number
		for range there.bench.covering(k) {
			return
		}
		if other.Lines != nil && there.bench.inside[k] > 0 {
			return // it bans addresses, and one of this network is banned
		}
	}
	if c.total++; len(c.list) >= maxDifferences {
		return
	}
	d := Difference{Ban: here.shown(b), Here: side == 0, Reason: here.bench.reasons[b.reason], Instead: there.instead(name, b)}
	if c.entry != nil && micro(c.entry.Time) == b.at {
		d.Line = strings.ToValidUTF8(string(c.entry.Message[:min(len(c.entry.Message), maxLine)]), "\uFFFD")
	}
	d.unit, _ = here.unitOf(b)
	c.list = append(c.list, d)
}

// maxLine is how much of a line is kept, in bytes: a service may log 64 KiB.
const maxLine = 300

// Differences returns the first ones, and how many there are.
func (c *Comparison) Differences() (list []Difference, total int) { return c.list, c.total }

func (r *Replay) jail(name string) *Jail {
	for _, j := range r.rules.Jails {
		if j.Name == name {
			return j
		}
	}
	return nil
}

// instead says for people why a jail of that name has not banned who b is a ban of.
func (r *Replay) instead(name string, b *record) string {
	j := r.jail(name)
	if j == nil {
		return "there is no such jail"
	}
	p := b.prefix()
	at := timeOf(b.at)
	if why, ok := j.Allowed(p.Addr(), at); ok {
		return "never banned: " + why
	}
	k := b.key
	k.jail = j.number
	text := ""
	if old, ok := r.bench.pastOf(k); ok {
		text = fmt.Sprintf("the last ban began %s before; ", human.Span(at.Sub(timeOf(old.last))))
	}
	if j.Lines != nil {
		return text + j.Lines.counted(p, at)
	}
	w := j.Window()
	return text + fmt.Sprintf("%d of %s within %s", j.counted(p), human.Count(w.MaxRetry, "attempts"), human.Span(w.FindTime))
}

// counted returns how many attempts of a prefix, or of an address in it, count now.
func (j *Jail) counted(p netip.Prefix) (n int) {
	before := netip.PrefixFrom(p.Addr().Prev(), p.Bits())
	if before.IsValid() {
		before = before.Masked()
	}
	for _, h := range j.Hosts(before, 1) {
		if p.Overlaps(h.Prefix) {
			n = h.Failures
		}
	}
	return n
}

// ObserveBoth shows an entry to the jails of both sides.
func (c *Comparison) ObserveBoth(e *journal.Entry) {
	for _, side := range c.sides {
		side.Observe(side.rules.Jails, e)
	}
	c.entry = e
	c.Look()
	c.entry = nil
}
