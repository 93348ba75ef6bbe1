package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"exile/internal/control"
	"exile/internal/human"
)

// print shows an explanation.
func (x *explanation) print(c *console) error {
	if c.wantJSON() {
		return c.document(x)
	}
	a := &x.Address
	state, color := x.verdict()
	c.line(c.paint(color, "●"), " ", control.FormatPrefix(a.Prefix))
	field(c, "State", c.paint(color, state))
	if x.Place != nil {
		field(c, "Place", x.Place.String())
	}
	for _, n := range x.Names {
		confirmed := "not confirmed: it does not lead back to the address"
		if n.Confirmed {
			confirmed = "confirmed: it leads back to the address"
		}
		field(c, "Host name", clean(n.Name)+" ("+confirmed+")")
	}
	x.printBans(c)
	x.printJails(c)
	for _, line := range a.Detail {
		c.line(strings.Repeat(" ", 15), clean(line))
	}
	x.printKernel(c)
	x.printNetwork(c)
	printEntries(c, "Log entries behind it", x.Entries)
	x.printHistory(c)
	for _, n := range x.Notes {
		c.line("")
		c.line(quoteLines(sentences(n)))
	}
	return nil
}

// verdict says whether an address is banned.
func (x *explanation) verdict() (state, color string) {
	a := &x.Address
	switch {
	case a.Banned && x.State == control.Paused:
		return "banned, but banning is paused", yellow
	case a.Banned && x.Source == "exiled" && x.Backend == "dry-run":
		return "banned, but the backend is dry-run: nobody is stopped", yellow
	case a.Banned && x.Kernel != nil && len(x.Kernel) == 0:
		return "banned, but the kernel does not have the ban", yellow
	case a.Banned:
		return "banned", red
	case len(a.Bans) > 0:
		return "banned by a jail that only simulates: nobody is stopped", yellow
	}
	return "not banned", green
}

func (x *explanation) printBans(c *console) {
	for _, b := range x.Address.Bans {
		label := "Banned"
		if b.Simulated {
			label = "Simulated"
		}
		until := "for ever"
		if !b.Until.IsZero() {
			until = "until " + stamp(b.Until) + ", " + left(b.Until, c.now) + " left"
		}
		field(c, label, fmt.Sprintf("%s by jail %s since %s, %s", control.FormatPrefix(b.Prefix), clean(b.Jail), stamp(b.Since), until))
		field(c, "Because", because(b))
	}
}

// because says why a ban was made.
func because(b control.Ban) string {
	text := human.Count(b.Failures, "attempts")
	switch b.Origin {
	case control.OriginManual:
		text = "by hand"
	case control.OriginReport:
		text += ", reported by another program"
	case control.OriginFile:
		text += " in a text log"
	}
	if b.Offence > 0 {
		text += fmt.Sprintf(", ban no. %d of this address", b.Offence)
	}
	if b.Reason != "" {
		text += ": " + clean(b.Reason)
	}
	return text
}

// printJails says how the address stands with each jail that knows it, or that does not ban it.
func (x *explanation) printJails(c *console) {
	if p := x.Address.Prefix; p.Bits() < 64 && !p.IsSingleIP() { // no jail counts so much as one address
		return
	}
	told := false
	for _, s := range x.Address.Jails {
		if s.Protected != "" {
			field(c, "Protected", fmt.Sprintf("in jail %s: %s", clean(s.Jail), clean(s.Protected)))
		}
		if s.Failures > 0 {
			field(c, "Failures", lacking(s, c.now))
		}
		banned := slices.ContainsFunc(x.Address.Bans, func(b control.Ban) bool { return b.Jail == s.Jail })
		if s.Failures > 0 || s.Offences > 0 || banned {
			field(c, "Next ban", fmt.Sprintf("by jail %s for %s, after %s", clean(s.Jail), forHowLong(s.Next), human.Count(s.Offences, "bans")))
			told = true
		}
	}
	if !told && x.Address.Offences > 0 {
		field(c, "Offences", fmt.Sprint(x.Address.Offences))
	}
}

// lacking says how many failures count, how many more make a ban, and until when.
func lacking(s control.Standing, now time.Time) string {
	text := fmt.Sprintf("%d in jail %s since %s", s.Failures, clean(s.Jail), stamp(s.First))
	if s.Lapse.IsZero() {
		return text + fmt.Sprintf("; %d points make a ban", s.MaxRetry)
	}
	return text + fmt.Sprintf("; %d more make a ban, until %s, when the first lapses (%s)", max(s.MaxRetry-s.Failures, 0), stamp(s.Lapse), left(s.Lapse, now))
}

// forHowLong is the length of a ban.
func forHowLong(d time.Duration) string {
	if d < 0 {
		return "ever"
	}
	return human.Span(d)
}

func (x *explanation) printKernel(c *console) {
	for _, h := range x.Kernel {
		text := fmt.Sprintf("drops %s from %s", clean(h.Port), control.FormatPrefix(h.Prefix))
		if h.Counts {
			text += fmt.Sprintf("; %s, %d bytes so far", human.Count(h.Packets, "packets"), h.Bytes)
		} else {
			text += "; " + uncounted(x.Backend)
		}
		field(c, "Kernel", text)
	}
}

// uncounted says why there is no number of packets.
func uncounted(backend string) string {
	if backend == "route" {
		return "for routes the kernel counts no packets"
	}
	return "its packets are not counted one by one, only those of all bans (exilectl statistics)"
}

// printNetwork lists what is known of the parts of a network.
func (x *explanation) printNetwork(c *console) {
	a := &x.Address
	if a.NWithin > 0 {
		field(c, "Banned in it", more(a.NWithin, len(a.Within), "bans"))
		for _, b := range a.Within {
			c.line(strings.Repeat(" ", 15), fmt.Sprintf("%s by jail %s, %s left", control.FormatPrefix(b.Prefix), clean(b.Jail), left(b.Until, c.now)))
		}
	}
	if a.NFailing > 0 {
		field(c, "Failing in it", more(a.NFailing, len(a.Failing), "addresses"))
		for _, h := range a.Failing {
			c.line(strings.Repeat(" ", 15), fmt.Sprintf("%s in jail %s, %s, last %s", control.FormatPrefix(h.Prefix), clean(h.Jail),
				human.Count(h.Failures, "failures"), stamp(h.Last)))
		}
	}
}

// more is a number of things of which not all are shown, and perhaps not all were counted.
func more(all, shown int, nouns string) string {
	text := human.Count(all, nouns)
	if all >= control.MostCounted {
		text += " or more"
	}
	if shown < all {
		text += fmt.Sprintf(", %d of them here", shown)
	}
	return text
}

// printEntries shows entries with their messages quoted: attackers write into them.
func printEntries(c *console, title string, entries []logEntry) {
	if len(entries) == 0 {
		return
	}
	c.line("")
	c.line(title, ":")
	for i, e := range entries {
		rule := e.Rule
		if rule == "" {
			rule = "matches nothing"
		}
		c.line(fmt.Sprintf("%3d/%d ", i+1, len(entries)), moment(e.at()), " ", entryText(e), " ", c.paint(grey, "("+clean(rule)+")"))
	}
}

// entryText is where an entry is from, and what it says.
func entryText(e logEntry) string {
	if e.Message == "" {
		return "no longer in the journal, or from a text log"
	}
	from := clean(e.Unit)
	if e.PID > 0 {
		from += fmt.Sprintf("[%d]", e.PID)
	}
	return from + `: "` + clean(e.Message) + `"`
}

// moment is a time as the journal's lines have it.
func moment(t time.Time) string { return t.Local().Format(time.DateTime) }

func (x *explanation) printHistory(c *console) {
	if len(x.History) == 0 {
		return
	}
	c.line("")
	c.line("History, newest first (exilectl history shows more):")
	for _, e := range x.History {
		c.line("  ", moment(e.Time), " ", c.eventText(e))
	}
}
