package daemon

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"exile/internal/control"
	"exile/internal/human"
)

// reasonStartups is a reason for being degraded that concerns one jail: its name follows.
const reasonStartups = "max-startups:"

// shownHolders is how many holders of connections are named, those with most of them.
const shownHolders = 3

// startups is the last look at the connections to the service of a jail.
type startups struct {
	since map[netip.AddrPort]time.Time // when each was first seen
	lines uint64                       // that reported refused connections, as of the last look without a reason for them
}

// checkStartups degrades the daemon while so many connections wait for a login that the service refuses others. Log lines about it are no
// proof, since sshd writes the same when a single source has too many; but they are needed if the limits of the service are unknown.
func (d *Daemon) checkStartups(j *Jail, s *control.Startups, now time.Time) {
	waiting := j.withoutLogin(s, now)
	lines := j.Counters().Throttled
	if len(waiting) < s.Begin {
		j.startups.lines = lines
	}
	refuses := len(waiting) >= s.Begin && (s.Known || lines > j.startups.lines)
	reason := reasonStartups + j.Info.Name
	d.health.concern(refuses, reason, startupsRemedy(j, s, waiting, "Most come from "+holders(j, waiting)+". Ban these with exilectl ban"))
	d.health.restrict(reason, reason, startupsRemedy(j, s, waiting, "Ban those with most of them, whom sudo exilectl status names"))
}

// withoutLogin returns the connections that wait for a login: not those of known sessions, and none that is older than the login grace
// time.
func (j *Jail) withoutLogin(s *control.Startups, now time.Time) (waiting []netip.AddrPort) {
	sessions := newFarEnds(j, now)
	since := make(map[netip.AddrPort]time.Time, len(s.From))
	for _, from := range s.From {
		first, ok := j.startups.since[from]
		if !ok {
			first = now
		}
		since[from] = first
		if !sessions.take(from) && (s.Grace == 0 || now.Sub(first) <= s.Grace) {
			waiting = append(waiting, from)
		}
	}
	j.startups.since = since
	return waiting
}

// farEnds counts sessions by their far end; port 0: unknown.
type farEnds map[netip.AddrPort]int

func newFarEnds(j *Jail, now time.Time) farEnds {
	ends := make(farEnds)
	for s := range j.Sessions().All(now) {
		ends[s.From]++
	}
	return ends
}

// take reports whether a session has the connection. A session whose port is unknown is used up by that.
func (e farEnds) take(from netip.AddrPort) bool {
	if e[from] > 0 {
		return true
	}
	any := netip.AddrPortFrom(from.Addr(), 0)
	if e[any] == 0 {
		return false
	}
	e[any]--
	return true
}

func startupsRemedy(j *Jail, s *control.Startups, waiting []netip.AddrPort, ban string) string {
	return fmt.Sprintf("%s to the service of jail %s have not logged in: it refuses some of the others from %d on, and all from "+
		"%d on, owners too. %s, or set mode: ddos in exile.yaml; and set PerSourceMaxStartups (5, say) and a LoginGraceTime of 30 in "+
		"sshd_config.", human.Count(len(waiting), "connections"), j.Info.Name, s.Begin, s.Full, ban)
}

// holders names the addresses with most connections: "192.0.2.1 (60), 2001:db8::/64 (40)".
func holders(j *Jail, waiting []netip.AddrPort) string {
	counts := make(map[netip.Prefix]int)
	for _, from := range waiting {
		counts[j.Unit(from.Addr())]++
	}
	most := slices.SortedFunc(maps.Keys(counts), func(a, b netip.Prefix) int {
		return cmp.Or(counts[b]-counts[a], a.Compare(b))
	})
	words := make([]string, min(len(most), shownHolders))
	for i, p := range most[:len(words)] {
		who := p.String()
		if p.IsSingleIP() {
			who = p.Addr().String()
		}
		words[i] = fmt.Sprintf("%s (%d)", who, counts[p])
	}
	return strings.Join(words, ", ")
}
