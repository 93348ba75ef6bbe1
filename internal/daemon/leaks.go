package daemon

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"exile/firewall"
	"exile/internal/control"
	"exile/jail"
)

// A ban leaks if its service goes on to log what the banned address does. One entry proves nothing: what was on its way when the ban began is
// logged later, because PAM lets a failure wait for seconds.

// reasonLeak is a reason for being degraded that concerns one jail: its name follows.
const reasonLeak = "leaking:"

const (
	leakAfter  = 2 * time.Second  // entries that are later than that after the ban have leaked
	leakEcho   = 10 * time.Second // and have no connection from before the ban, if bans cut these
	leakMany   = 5                // of these within leakWithin make a trouble
	leakWithin = 10 * time.Minute
	leakLook   = 10 * time.Second // between two looks for the cause
	leakLag    = 2 * time.Second  // an entry that is read later than that may lead to a ban that the kernel has only then
)

// leaks is what a jail knows of entries of addresses that it has banned.
type leaks struct {
	recent []leak    // those that no connection from before the ban explains: the newest, at most leakMany
	looked time.Time // when the cause was last looked for
}

// leak is an entry of a banned address.
type leak struct {
	at    time.Time
	from  netip.Addr
	ports []firewall.Port // that the ban closes; none: all
}

// note adds an entry that leaked.
func (l *leaks) note(one leak) {
	if len(l.recent) == leakMany {
		l.recent = slices.Delete(l.recent, 0, 1)
	}
	l.recent = append(l.recent, one)
}

// due reports whether so many leaked lately that the cause is to be looked for, and counts it as looked for.
func (l *leaks) due(now time.Time) bool {
	if len(l.recent) < leakMany || now.Sub(l.recent[0].at) > leakWithin || now.Sub(l.looked) < leakLook {
		return false
	}
	l.looked = now
	return true
}

// noteLeak counts the entry that the jail has just observed if its address was banned then, and the kernel knew.
func (d *Daemon) noteLeak(r *running, j *Jail, at time.Time) {
	from := j.Seen()
	if !from.IsValid() || j.Simulate || !r.caughtUp || d.kernel.pausing() || !d.kernel.holds() {
		return
	}
	b, banned := d.outermost(j, from)
	if !banned || d.passes(j, from, at) {
		return
	}
	since := at.Sub(slices.MaxFunc([]time.Time{b.Since, d.kernel.backend.whole, r.late}, time.Time.Compare))
	if since <= leakAfter {
		return
	}
	j.counters.leaked++
	if since > d.echo() {
		j.leaks.note(leak{at: at, from: from, ports: j.closes(b.Origin)})
	}
}

// outermost returns the widest ban of the jail that stops an address.
func (d *Daemon) outermost(j *Jail, a netip.Addr) (control.Ban, bool) {
	bans := d.ledger.covering(j.Info.Name, netip.PrefixFrom(a, a.BitLen()))
	if len(bans) == 0 {
		return control.Ban{}, false
	}
	return bans[len(bans)-1], true
}

// passes reports whether some traffic of a banned address passes on purpose.
func (d *Daemon) passes(j *Jail, a netip.Addr, at time.Time) bool {
	if _, allowed := j.Allowed(a, at); allowed {
		return true
	}
	for _, other := range d.plan.Jails {
		for range other.Sessions().From(a, at) {
			return true
		}
	}
	return false
}

// echo is how long after a ban entries may still come from connections that were open when it began.
func (d *Daemon) echo() time.Duration {
	if d.plan.Kill == nil {
		return jail.LoginGrace
	}
	return leakEcho
}

// explainLeaks degrades the daemon if bans of these jails leak, and has the kernel compared: perhaps it has lost them.
func (d *Daemon) explainLeaks(ctx context.Context, jails []*Jail) {
	now := time.Now()
	for _, j := range jails {
		if !j.leaks.due(now) {
			continue
		}
		name, last := j.Info.Name, j.leaks.recent[leakMany-1]
		remedy := func(who string) string {
			return fmt.Sprintf("The service of jail %s logs attempts of addresses that are banned%s: %s", name, who, d.leakCause(ctx, j, now))
		}
		d.health.degradeWith(reasonLeak+name, remedy(fmt.Sprintf(" (the last is %s, at %s)", last.from, last.at.Format(time.TimeOnly))),
			now.Add(transient), nil)
		d.health.restrict(reasonLeak+name, reasonLeak+name, remedy(""))
		d.kernel.compareSoon()
	}
}

// leakCause says what is the likeliest cause of a jail's leaks, and what helps.
func (d *Daemon) leakCause(ctx context.Context, j *Jail, now time.Time) string {
	if now.Sub(d.stats.lastRepair) < leakWithin {
		return "another program had removed them from the kernel, where they are again. Find out which one empties the firewall; " +
			"exilectl history says when."
	}
	port, open, err := d.leakPort(ctx, j)
	switch {
	case err != nil:
		return fmt.Sprintf("why is unknown (%v).", err)
	case !open && j.Proxied:
		return "they come through a proxy, whose address their packets have: no rule for packets can tell them apart. Ban them at the proxy, " +
			"with an action that writes a deny list; see man:exiled-actions.service(8)."
	case !open:
		return "none of their connections is to be seen here under that address. They come through a proxy, a tunnel or NAT, or end in a " +
			"container, another network namespace or another host: ban them there, or have the service log, and the jail ban, the address " +
			"that its packets come from."
	case port.closed && d.plan.Kill == nil:
		return fmt.Sprintf("their connections to port %d were open before, and bans leave these alone: set kill_connections: yes in exile.yaml.",
			port.number)
	case port.closed:
		return fmt.Sprintf("they connect to port %d although it is closed to them. Something lets packets pass before exile's rules: a flow "+
			"table with offload, XDP or IPVS; see nft list ruleset.", port.number)
	}
	return fmt.Sprintf("they connect to port %d, which jail %s does not close: name it with port: in exile.yaml.", port.number, j.Info.Name)
}

// leakedTo is the port of this host to which banned addresses are connected.
type leakedTo struct {
	number uint16
	closed bool
}

// leakPort looks for connections of addresses that leaked; open is false if there are none. One to a port that the ban does not close comes
// first.
func (d *Daemon) leakPort(ctx context.Context, j *Jail) (found leakedTo, open bool, err error) {
	if d.plan.Connections == nil {
		return found, false, errors.New("connections cannot be listed")
	}
	ports := make(map[netip.Addr][]firewall.Port)
	var from []netip.Addr
	for _, l := range j.leaks.recent {
		ports[l.from] = l.ports
		from = append(from, l.from)
	}
	connections, err := d.plan.Connections(ctx, from)
	if err != nil {
		return found, false, err
	}
	for _, c := range connections {
		to := leakedTo{c.Local.Port(), closes(ports[c.Remote.Addr()], c.Local.Port())}
		if !open || !to.closed {
			found = to
		}
		open = true
	}
	return found, open, nil
}

// closes reports whether a TCP port is one of the ports; none are all.
func closes(ports []firewall.Port, number uint16) bool {
	return len(ports) == 0 || slices.Contains(ports, firewall.Port{Proto: tcp, Number: number})
}

// tcp is the number of the protocol, IPPROTO_TCP.
const tcp = 6
