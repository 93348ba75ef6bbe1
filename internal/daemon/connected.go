package daemon

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"exile/firewall"
	"exile/internal/control"
	"exile/jail"
)

// connected is what the bans leave alone because somebody is logged in.
type connected struct {
	spared  []firewall.Spared // as the kernel was last told
	asked   bool              // spared is what the kernel spares, or was told
	changes uint64            // of sessions, when that was worked out
	stale   bool              // bans have changed since
}

// mercy is what the bans leave of an address with an open session.
type mercy uint8

const (
	nothingToSpare  mercy = iota // no ban is about it, or one by hand, which is meant
	spareConnection              // it is banned itself: who is logged in stays so
	spareAddress                 // a network around it is banned for what others did
)

// mercyFor says what the bans leave of the address of a session.
func (d *Daemon) mercyFor(s *jail.Session) mercy {
	addr := s.From.Addr()
	left := nothingToSpare
	for _, b := range d.covering("", netip.PrefixFrom(addr, addr.BitLen())) {
		switch j := d.plan.jail(b.Jail); {
		case j == nil || j.Simulate:
		case b.Origin == control.OriginManual:
			return nothingToSpare
		case strict(b) && !s.Admin:
			left = spareConnection
		case left == nothingToSpare:
			left = spareAddress
		}
	}
	return left
}

// strict reports whether a ban means every address in it, and not only what is left when those with sessions are spared.
func strict(b control.Ban) bool {
	return b.Origin == control.OriginManual || b.Prefix.IsSingleIP() || jail.AmidSessions(b.Reason)
}

// keepConnected has the kernel spare those who are logged in and banned, before it bans more, if bans or sessions have
// changed, or now is true. Without an answer the bans are made: they stop an attacker.
func (d *Daemon) keepConnected(ctx context.Context, now bool) {
	backend, ok := d.plan.Backend.(firewall.Sparer)
	if !ok || d.plan.Connections == nil || !d.allCaughtUp() {
		return
	}
	changes := d.sessionChanges()
	if !now && !d.connected.stale && changes == d.connected.changes {
		return
	}
	d.connected.stale, d.connected.changes = false, changes
	all, err := d.connectedNow(ctx)
	if err == nil {
		err = d.tellSpared(ctx, backend, all)
	}
	if err != nil && ctx.Err() == nil {
		d.connected.stale = true
		d.degrade(reasonSpare, time.Now().Add(transient), err)
	}
}

// tellSpared tells the kernel, unless there is nothing to spare and was nothing.
func (d *Daemon) tellSpared(ctx context.Context, backend firewall.Sparer, all []firewall.Spared) error {
	if d.connected.asked && len(all) == 0 && len(d.connected.spared) == 0 {
		return nil
	}
	if err := backend.Spare(ctx, all); err != nil {
		return fmt.Errorf("leave sessions alone: %w", err)
	}
	d.connected.spared, d.connected.asked = all, true
	return nil
}

// allCaughtUp reports whether the logs have been read, so that the sessions are known.
func (d *Daemon) allCaughtUp() bool {
	if len(d.sources) == 0 {
		return false // not yet
	}
	for _, r := range d.sources {
		if !r.caughtUp {
			return false
		}
	}
	return true
}

func (d *Daemon) sessionChanges() (n uint64) {
	for _, j := range d.plan.Jails {
		n += j.Sessions().Changes()
	}
	return n
}

// connectedNow is what the bans are to leave alone now. Of a session it is the connection with its far end, if there is one;
// of a session whose port nobody told, which is older than the log, those that its address has.
func (d *Daemon) connectedNow(ctx context.Context) ([]firewall.Spared, error) {
	if d.bans.len() == 0 {
		return nil, nil
	}
	var all []firewall.Spared
	var ask []netip.Addr
	ends := make(map[netip.AddrPort]struct{})
	for _, j := range d.plan.Jails {
		for s := range j.Sessions().All(time.Now()) {
			addr := s.From.Addr()
			switch d.mercyFor(&s) {
			case spareAddress:
				all = append(all, firewall.Spared{Remote: netip.AddrPortFrom(addr, 0)})
			case spareConnection:
				ask, ends[s.From] = append(ask, addr), struct{}{}
			}
		}
	}
	if len(ask) > 0 {
		connections, err := d.plan.Connections(ctx, ask)
		if err != nil {
			return nil, err
		}
		for _, c := range connections {
			_, this := ends[c.Remote]
			_, any := ends[netip.AddrPortFrom(c.Remote.Addr(), 0)]
			if this || any {
				all = append(all, c)
			}
		}
	}
	all = firewall.SortSpared(all)
	return all[:min(len(all), firewall.MaxSpared)], nil
}

// whoIsConnected reports whether a ban of p would hit somebody who is logged in, and whom.
func (p *Plan) whoIsConnected(prefix netip.Prefix, now time.Time) (why string, ok bool) {
	for _, j := range p.Jails {
		if why, ok = j.Sessions().Touches(prefix, now); ok {
			return why, true
		}
	}
	return "", false
}

// handOver tells another backend what the one before it spared, and until the new jails know who is logged in it stays so.
func (d *Daemon) handOver(ctx context.Context) {
	spared := d.connected.spared
	d.connected = connected{spared: spared, stale: true}
	if backend, ok := d.plan.Backend.(firewall.Sparer); ok {
		if err := d.tellSpared(ctx, backend, spared); err != nil && ctx.Err() == nil {
			d.degrade(reasonSpare, time.Now().Add(transient), err)
		}
	}
}

// recallSpared asks what the kernel spares, as a process before this one told it: until the sessions are known, their
// connections are not cut.
func (d *Daemon) recallSpared(ctx context.Context) {
	if backend, ok := d.plan.Backend.(firewall.Sparer); ok && !d.connected.asked {
		d.connected.spared, _ = backend.Spared(ctx) // without an answer nothing is known, as on the first start
	}
}
