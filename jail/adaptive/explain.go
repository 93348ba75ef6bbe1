package adaptive

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"exile/jail"
	"exile/jail/internal/netkey"
	"exile/jail/internal/text"
)

// maxExplained is how many names Explain lists.
const maxExplained = 8

// Explain returns lines for people that say what is known of an address at that time: its points in both windows, its
// offences and the next steps, the names it tried, and who logged in around it. Names are quoted and clipped.
func (d *Detector) Explain(addr netip.Addr, at time.Time) []string {
	addr = addr.Unmap().WithZone("")
	if !netkey.Counted(addr) {
		return nil
	}
	now, p := stampOf(at), d.place(addr)
	c := d.known.company(&p, now, d.cfg.KnownTime)
	lines := append(d.explainPoints(&p, c, now), d.explainOffences(&p, c, now)...)
	lines = append(lines, d.explainNames(p.id, now)...)
	lines = append(lines, d.explainSieges(p.region, now)...)
	if w := jail.Weigh(d.cfg.Weigher, addr); w != jail.Plain {
		line := fmt.Sprintf("place: by its country or network its points count %v times, and its bans last %v times as long", w.Points, w.BanTime)
		if w.First {
			line += "; the first failure bans it"
		}
		lines = append(lines, line)
	}
	if c.neighbour {
		lines = append(lines, fmt.Sprintf("known: it or a neighbour logged in within %s; its points count %v times", text.Span(d.cfg.KnownTime), d.cfg.KnownGood))
	}
	if c.nearLately {
		lines = append(lines, fmt.Sprintf("region: somebody around it logged in within %s; attack names ban it no longer than points do", text.Span(d.cfg.KnownTime)))
	}
	return lines
}

// Next returns how many offences of an address count at that time, and how long a ban for points would last that came next.
func (d *Detector) Next(addr netip.Addr, at time.Time) (offences int, length time.Duration) {
	if addr = addr.Unmap().WithZone(""); netkey.Counted(addr) {
		offences, _ = d.hosts.last(d.place(addr).host, stampOf(at), d.cfg.Remember)
	}
	return offences, d.step(d.cfg.Ladder, offences+1)
}

func (d *Detector) explainPoints(p *place, c company, at stamp) []string {
	s := d.scores.Get(p.host)
	if s == nil {
		return nil
	}
	fast, _ := d.scores.sum(s, scoreMark{at: at}, d.cfg.FindTime)
	beside, why := c.strange() && d.besideBanned(d.troubled.Slot(p.region), at), ""
	if beside {
		why = ", since somebody in its network was banned"
	}
	lines := []string{fmt.Sprintf("points: %v of %v in %s%s", fast, d.fast(beside), text.Span(d.cfg.FindTime), why)}
	if d.cfg.SlowRetry > 0 {
		slow, _ := d.scores.sum(s, scoreMark{at: at}, d.cfg.SlowTime)
		lines = append(lines, fmt.Sprintf("points: %v of %v in %s", slow, d.windows[1].retry, text.Span(d.cfg.SlowTime)))
	}
	return lines
}

func (d *Detector) explainOffences(p *place, c company, at stamp) []string {
	var lines []string
	if n, began := d.hosts.last(p.host, at, d.cfg.Remember); n > 0 {
		line := fmt.Sprintf("offences: %d, the last %s ago; the next bans for %s by points, %s by an attack name",
			n, text.Span(max(at.since(began), 0)), text.Span(d.step(d.cfg.Ladder, n+1)), text.Span(d.step(d.cfg.NameLadder, n+1)))
		if d.cfg.NameSure > 0 {
			line += fmt.Sprintf(", %s by one of %s", text.Span(d.cfg.MaxBan), networks(d.cfg.NameSure))
		}
		lines = append(lines, line)
	}
	for _, wide := range p.around {
		lines = append(lines, d.explainNetwork(wide, p, c, at)...)
		if n := d.wides.count(wide, at, d.cfg.PrefixTime); n > 0 && d.cfg.PrefixHosts > 0 {
			lines = append(lines, fmt.Sprintf("prefix: %s in %v banned within %s; %d ban it all", addresses(n), wide.prefix(), text.Span(d.cfg.PrefixTime), d.cfg.PrefixHosts))
		}
	}
	return lines
}

// explainNetwork says how many points a network around an address has, unless they are all its own.
func (d *Detector) explainNetwork(wide wideID, p *place, c company, at stamp) (lines []string) {
	t := d.tallies.Get(wide)
	if t == nil || d.cfg.PrefixRetry == 0 || c.ever {
		return nil
	}
	for i := range d.windows {
		w := &d.windows[i]
		var own points
		if s := d.scores.Get(p.host); s != nil {
			own, _ = d.scores.sum(s, scoreMark{at: at}, w.span)
		}
		now, limit := t[i], w.limit(wide)
		now.add(w.eighthOf(at), 0)
		if sum := now.sum(); sum > own && limit > 0 {
			lines = append(lines, fmt.Sprintf("network: %v of %v points in %s by all addresses of %v", sum, limit, text.Span(w.span), wide.prefix()))
		}
	}
	return lines
}

// try is a name that an address tried.
type try struct {
	name     string
	at       stamp
	networks int
}

// explainNames lists the names on which the host failed last. Names that are no evidence are not kept as text.
func (d *Detector) explainNames(host netkey.ID, at stamp) []string {
	var tries []try
	nameless := 0
	for e := range d.names.All {
		c := &e.Value
		switch i := slices.Index(c.hosts[:c.n], host); {
		case i < 0 || !at.within(c.at[i], d.cfg.NameTime):
		case c.text == "":
			nameless++
		default:
			tries = append(tries, try{c.text, c.at[i], c.count(at, d.cfg.NameTime)})
		}
	}
	slices.SortStableFunc(tries, func(a, b try) int { return int(b.at.since(a.at) / time.Second) })
	var lines []string
	for _, t := range tries[:min(len(tries), maxExplained)] {
		how := ""
		if d.accounts.has(t.name) {
			how = " by refused passwords"
		}
		lines = append(lines, fmt.Sprintf("name: %s, on which %s failed within %s%s", text.Quote(t.name), networks(t.networks), text.Span(d.cfg.NameTime), how))
	}
	if nameless > 0 {
		lines = append(lines, fmt.Sprintf("names: tried within %s that are no attack names: %d", text.Span(d.cfg.NameTime), nameless))
	}
	return lines
}

// explainSieges lists the accounts under siege on which the region failed, and says whether it took part in one without a
// name.
func (d *Detector) explainSieges(region netkey.ID, at stamp) []string {
	var lines []string
	half, span := hundredths(d.cfg.MaxRetry/2), text.Span(d.cfg.SiegeTime)
	if n := d.besieges(region, "", at); n > 0 {
		lines = append(lines, fmt.Sprintf("siege: without a user name, by %s within %s; a stranger's attempt counts %v points", networks(n), span, half))
	}
	for _, name := range d.accounts.names {
		if n := d.besieges(region, name, at); n > 0 && len(lines) < maxExplained {
			lines = append(lines, fmt.Sprintf("siege: %s, on which %s failed within %s by refused passwords; a stranger's counts %v points, a key or no password one",
				text.Quote(name), networks(n), span, half))
		}
	}
	return lines
}

// besieges returns how many networks failed on a name lately, if the region is one of them and these are a siege;
// otherwise 0.
func (d *Detector) besieges(region netkey.ID, name string, at stamp) int {
	c := d.sieges.Get(d.names.id(name))
	if c == nil || d.cfg.SiegeHosts == 0 || !slices.Contains(c.hosts[:c.n], region) {
		return 0
	}
	if n := c.count(at, d.cfg.SiegeTime); n >= d.cfg.SiegeHosts {
		return n
	}
	return 0
}
