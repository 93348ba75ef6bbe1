package jail

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"time"
)

// maxExplained bounds the names that Explain lists.
const maxExplained = 8

// Explain says in lines for people what is known of an address at that time: its points in both windows, its offences
// and the next steps, the names that it tried, and who logged in around it. Names are quoted and clipped.
func (d *AdaptiveDetector) Explain(addr netip.Addr, at time.Time) []string {
	addr = addr.Unmap().WithZone("")
	if !counted(addr) {
		return nil
	}
	now, p := stampOf(at), d.place(addr)
	lines := append(d.explainPoints(&p, now), d.explainOffences(&p, now)...)
	lines = append(lines, d.explainNames(p.id, now)...)
	lines = append(lines, d.explainSieges(p.region, now)...)
	if d.known.neighbour(p.net, now, d.cfg.KnownTime) {
		lines = append(lines, fmt.Sprintf("known: it or a neighbour logged in within %s; its points count %v times", days(d.cfg.KnownTime), d.cfg.KnownGood))
	}
	if d.known.region(p.region, now, d.cfg.KnownTime) {
		lines = append(lines, fmt.Sprintf("region: somebody around it logged in within %s; attack names ban it no longer than points do", days(d.cfg.KnownTime)))
	}
	return lines
}

func (d *AdaptiveDetector) explainPoints(p *place, at stamp) []string {
	s := d.scores.get(p.host)
	if s == nil {
		return nil
	}
	fast, _ := d.scores.sum(s, at, d.cfg.FindTime)
	beside, why := d.stranger(p, at) && d.beside(p.region, at), ""
	if beside {
		why = ", since somebody in its network was banned"
	}
	lines := []string{fmt.Sprintf("points: %v of %v in %s%s", fast, d.retry(beside), days(d.cfg.FindTime), why)}
	if d.cfg.SlowRetry > 0 {
		slow, _ := d.scores.sum(s, at, d.cfg.SlowTime)
		lines = append(lines, fmt.Sprintf("points: %v of %v in %s", slow, hundredths(d.cfg.SlowRetry), days(d.cfg.SlowTime)))
	}
	return lines
}

func (d *AdaptiveDetector) explainOffences(p *place, at stamp) []string {
	var lines []string
	if n := d.hosts.soFar(p.host, at, d.cfg.Remember); n > 0 {
		began, _ := d.hosts.touched(p.host)
		since := at.since(stamp(began))
		line := fmt.Sprintf("offences: %d, the last %s ago; the next bans for %s by points, %s by an attack name",
			n, days(since), days(d.step(d.cfg.Ladder, n+1)), days(d.step(d.cfg.NameLadder, n+1)))
		if d.cfg.NameSure > 0 {
			line += fmt.Sprintf(", %s by one of %s", days(d.cfg.MaxBan), networks(d.cfg.NameSure))
		}
		lines = append(lines, line)
	}
	for _, wide := range p.around {
		lines = append(lines, d.explainNetwork(wide, p, at)...)
		if n := d.wides.count(wide, at, d.cfg.PrefixTime); n > 0 && d.cfg.PrefixHosts > 0 {
			lines = append(lines, fmt.Sprintf("prefix: %s in %v banned within %s; %d ban it all", addresses(n), wide.prefix(), days(d.cfg.PrefixTime), d.cfg.PrefixHosts))
		}
	}
	return lines
}

// explainNetwork says how many points a network around an address has, unless they are all its own.
func (d *AdaptiveDetector) explainNetwork(wide wideID, p *place, at stamp) (lines []string) {
	t := d.tallies.get(wide)
	if t == nil || d.cfg.PrefixRetry == 0 || d.known.ever(p.net, p.region) {
		return nil
	}
	for i, w := range d.windows() {
		var own points
		if s := d.scores.get(p.host); s != nil {
			own, _ = d.scores.sum(s, at, w.span)
		}
		now, limit := t[i], d.networkRetry(wide, w)
		now.add(at.eighth(w.span), 0)
		if sum := now.sum(); sum > own && limit > 0 {
			lines = append(lines, fmt.Sprintf("network: %v of %v points in %s by all addresses of %v", sum, limit, days(w.span), wide.prefix()))
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

// explainNames lists the names on which the host failed last. Those that are no evidence are not known as text.
func (d *AdaptiveDetector) explainNames(host netID, at stamp) []string {
	var tries []try
	nameless := 0
	for node := range d.names.all {
		c := &node.value
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
		lines = append(lines, fmt.Sprintf("name: %s, on which %s failed within %s%s", quote(t.name), networks(t.networks), days(d.cfg.NameTime), how))
	}
	if nameless > 0 {
		lines = append(lines, fmt.Sprintf("names: tried within %s that are no attack names: %d", days(d.cfg.NameTime), nameless))
	}
	return lines
}

// explainSieges lists the accounts under siege on which the region failed.
func (d *AdaptiveDetector) explainSieges(region netID, at stamp) []string {
	var lines []string
	for _, name := range d.accounts.names {
		c := d.sieges.get(d.names.id(name))
		if c == nil || d.cfg.SiegeHosts == 0 || !slices.Contains(c.hosts[:c.n], region) {
			continue
		}
		if n := c.count(at, d.cfg.SiegeTime); n >= d.cfg.SiegeHosts && len(lines) < maxExplained {
			lines = append(lines, fmt.Sprintf("siege: %s, on which %s failed within %s by refused passwords; a stranger's counts %v points, a key or no password one",
				quote(name), networks(n), days(d.cfg.SiegeTime), hundredths(d.cfg.MaxRetry/2)))
		}
	}
	return lines
}

func quote(name string) string { return strconv.QuoteToASCII(clip(name)) }

// String is without needless zeros: "5", "0.2".
func (p points) String() string { return string(p.append(nil)) }

func (p points) append(b []byte) []byte {
	b = strconv.AppendUint(b, uint64(p/100), 10)
	switch tenths, hundredths := byte(p/10%10), byte(p%10); {
	case hundredths > 0:
		b = append(b, '.', '0'+tenths, '0'+hundredths)
	case tenths > 0:
		b = append(b, '.', '0'+tenths)
	}
	return b
}

func addresses(n int) string { return many(n, "address", "addresses") }

func networks(n int) string { return many(n, "network", "networks") }

// many counts things of which at most maxCrowd are told apart.
func many(n int, one, more string) string {
	switch {
	case n == 1:
		return "1 " + one
	case n >= maxCrowd:
		return strconv.Itoa(n) + " or more " + more
	}
	return strconv.Itoa(n) + " " + more
}

func days(d time.Duration) string {
	if d >= day && d%day == 0 {
		return strconv.Itoa(int(d/day)) + "d"
	}
	return d.String()
}
