package daemon

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
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
	if d.sources == nil {
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

// maxConnections is how many connections of an address are left alone for a session whose port nobody told.
const maxConnections = 64

// connectedNow is what the bans are to leave alone now. Of a session it is the connection with its far end, if there is one;
// of a session whose port nobody told, which is older than the log, those that its address has. Where that is too much, the
// sessions that began last come first: others are idle, or abandoned.
func (d *Daemon) connectedNow(ctx context.Context) ([]firewall.Spared, error) {
	if d.bans.len() == 0 {
		return nil, nil
	}
	merciful, ask := d.merciful(time.Now())
	ends, err := d.endsOf(ctx, ask)
	if err != nil {
		return nil, err
	}
	var all []firewall.Spared
	seen := make(map[firewall.Spared]bool)
	for _, m := range merciful {
		for _, s := range m.spares(ends) {
			if !seen[s] {
				seen[s] = true
				all = append(all, s)
			}
		}
	}
	if more := len(all) - firewall.MaxSpared; more > 0 {
		all = all[:firewall.MaxSpared]
		d.degrade(reasonSpare, time.Now().Add(transient), fmt.Errorf("%d too many to be left alone, those of the oldest sessions", more))
	}
	return firewall.SortSpared(all), nil
}

// session is somebody of whom a ban leaves something.
type session struct {
	from netip.AddrPort
	left mercy
}

// merciful returns the sessions of which the bans leave something, of each jail those that began last first, and the addresses whose
// connections have to be known for that.
func (d *Daemon) merciful(now time.Time) (all []session, ask []netip.Addr) {
	for _, j := range d.plan.Jails {
		for s := range j.Sessions().All(now) {
			left := d.mercyFor(&s)
			if left == nothingToSpare {
				continue
			}
			all = append(all, session{s.From, left})
			if left == spareConnection {
				ask = append(ask, s.From.Addr())
			}
		}
	}
	slices.Reverse(all)
	return all, ask
}

// endsOf returns the connections of addresses.
func (d *Daemon) endsOf(ctx context.Context, ask []netip.Addr) (map[netip.Addr][]firewall.Spared, error) {
	if len(ask) == 0 {
		return nil, nil
	}
	connections, err := d.plan.Connections(ctx, ask)
	if err != nil {
		return nil, err
	}
	ends := make(map[netip.Addr][]firewall.Spared)
	for _, c := range connections {
		ends[c.Remote.Addr()] = append(ends[c.Remote.Addr()], c)
	}
	return ends, nil
}

// spares is what is left alone of a session, by the connections that there are.
func (s *session) spares(ends map[netip.Addr][]firewall.Spared) []firewall.Spared {
	all := ends[s.from.Addr()]
	switch {
	case s.left == spareAddress:
		return []firewall.Spared{{Remote: netip.AddrPortFrom(s.from.Addr(), 0)}}
	case s.from.Port() == 0:
		return all[:min(len(all), maxConnections)]
	}
	var own []firewall.Spared
	for _, c := range all {
		if c.Remote == s.from {
			own = append(own, c)
		}
	}
	return own
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
