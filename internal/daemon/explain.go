package daemon

import (
	"context"
	"net/netip"
	"time"

	"exile/firewall"
	"exile/internal/control"
	"exile/internal/state"
	"exile/jail"
)

// This file says what a jail has against an address, and what the kernel holds of its bans.

// NextBan returns how many bans of an address make its next one longer, and how long that lasts.
type NextBan func(a netip.Addr, at time.Time) (offences int, length time.Duration)

// stands says how an address stands with a jail.
func (d *Daemon) stands(j *Jail, p netip.Prefix, now time.Time) control.Standing {
	s := control.Standing{Jail: j.Info.Name, State: j.Info.State, MaxRetry: j.Info.MaxRetry}
	s.Protected, _ = j.Allowed(p.Addr(), now)
	if h, ok := j.host(p.Addr()); ok {
		s.Failures, s.First, s.Last = h.Failures, h.First, h.Last
		if j.Explain == nil { // the adaptive detector lets points fade in eighths of two windows
			s.Lapse = h.First.Add(j.Info.FindTime)
		}
	}
	unit := j.Unit(p.Addr())
	if !unit.IsValid() {
		unit = p
	}
	who := state.Who{Jail: j.Info.Name, Prefix: unit}
	s.Cleared = latest(d.ledger.past.get(who).Cleared, d.ledger.pardoned(j.Info.Name))
	if s.Offences, s.Next = d.rules().Next(&j.Jail, unit, now); j.Next != nil {
		s.Offences, s.Next = j.Next(p.Addr(), now)
	}
	return s
}

// latest returns the later of two times; zero is the earliest.
func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// addParts adds the bans and the failing addresses in a network. There may be a million, so each jail counts no more than it lists on a page.
func (d *Daemon) addParts(a *control.Address) {
	for _, j := range d.plan.Jails {
		within := d.ledger.bans.firstWithin(j.Info.Name, a.Prefix, control.MostCounted)
		a.NWithin += len(within)
		for _, b := range within[:min(len(within), control.MaxWithin-len(a.Within))] {
			a.Within = append(a.Within, d.asShown(b))
		}
		hosts := j.within(a.Prefix)
		a.NFailing += len(hosts)
		for _, h := range hosts[:min(len(hosts), control.MaxWithin-len(a.Failing))] {
			a.Failing = append(a.Failing, control.Host{Jail: j.Info.Name, Prefix: h.Prefix, Failures: h.Failures, First: h.First, Last: h.Last})
		}
	}
}

// host returns the attempts of the address that count now.
func (j *Jail) host(a netip.Addr) (jail.Host, bool) {
	p := j.Unit(a)
	if !p.IsValid() {
		return jail.Host{}, false
	}
	before := netip.PrefixFrom(p.Addr().Prev(), p.Bits()).Masked()
	for _, h := range j.Hosts(before, 1) {
		if h.Prefix == p {
			return h, true
		}
	}
	return jail.Host{}, false
}

// Held implements control.Reader. The kernel is asked outside the loop, since it may have to list very many bans.
func (d *Daemon) Held(ctx context.Context, p netip.Prefix) (held []control.Held, err error) {
	var keys []firewall.Key
	var backend firewall.Backend
	err = d.ask(ctx, func(context.Context) {
		backend = d.plan.Backend
		for _, b := range d.covering("", p.Masked()) {
			keys = append(keys, d.plan.jail(b.Jail).keys(&b)...)
		}
	})
	finder, ok := backend.(firewall.Finder)
	if err != nil || !ok || len(keys) == 0 {
		return nil, err
	}
	found, err := finder.Find(ctx, distinct(keys))
	for _, f := range found {
		held = append(held, control.Held{
			Prefix: f.Prefix, Port: f.Port.String(), Until: f.Until, Counts: f.Counts, Packets: f.Packets, Bytes: f.Bytes,
		})
	}
	return held, err
}

// distinct returns each key once.
func distinct(keys []firewall.Key) []firewall.Key {
	seen := make(map[firewall.Key]bool)
	once := keys[:0]
	for _, k := range keys {
		if !seen[k] {
			once = append(once, k)
		}
		seen[k] = true
	}
	return once
}
