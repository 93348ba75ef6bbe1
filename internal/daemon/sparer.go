package daemon

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"exile/firewall"
	"exile/internal/banning"
	"exile/internal/control"
	"exile/internal/human"
	"exile/jail"
)

// sparer knows which connections the kernel lets pass in spite of bans, because they belong to open sessions.
type sparer struct {
	spared  []firewall.Spared // as the kernel was last told
	asked   bool              // spared is known to be what the kernel has
	changes uint64            // of sessions, as of the last update
	stale   bool              // bans have changed since
}

// changed notes that bans have changed.
func (s *sparer) changed() { s.stale = true }

// reset notes that the kernel lets no session pass any more.
func (s *sparer) reset() { *s = sparer{stale: true} }

// exchange returns what the previous backend let pass, for the new one.
func (s *sparer) exchange() []firewall.Spared {
	*s = sparer{spared: s.spared, stale: true}
	return s.spared
}

// due reports whether bans or sessions have changed since the last call.
func (s *sparer) due(changes uint64) bool {
	due := s.stale || changes != s.changes
	s.stale, s.changes = false, changes
	return due
}

// list is what the kernel spares.
func (s *sparer) list() []firewall.Spared { return slices.Clone(s.spared) }

// recall reads from the kernel what a previous process let pass.
func (s *sparer) recall(ctx context.Context, backend firewall.Sparer) {
	if !s.asked {
		s.spared, _ = backend.Spared(ctx) // on error nothing is known, as on a first start
	}
}

// spare updates the kernel, unless nothing is to pass and nothing was.
func (s *sparer) spare(ctx context.Context, backend firewall.Sparer, all []firewall.Spared) error {
	if s.asked && len(all) == 0 && len(s.spared) == 0 {
		return nil
	}
	if err := backend.Spare(ctx, all); err != nil {
		return fmt.Errorf("leave sessions alone: %w", err)
	}
	s.spared, s.asked = all, true
	return nil
}

// mercy is how much of the traffic of an address with an open session passes.
type mercy uint8

const (
	nothingToSpare  mercy = iota // no ban covers it, or a ban by hand, which is deliberate
	spareConnection              // it is banned itself: only the session's connection passes
	spareAddress                 // a network around it is banned for what others did: the address passes
)

// mercyFor returns how much of the traffic of a session's address passes.
func (d *Daemon) mercyFor(s *jail.Session) mercy {
	addr := s.From.Addr()
	left := nothingToSpare
	for _, b := range d.covering("", netip.PrefixFrom(addr, addr.BitLen())) {
		switch j := d.plan.jail(b.Jail); {
		case j == nil || j.Simulate:
		case b.Origin == control.OriginManual:
			return nothingToSpare
		case banning.Strict(&b) && !s.Admin:
			left = spareConnection
		case left == nothingToSpare:
			left = spareAddress
		}
	}
	return left
}

// keepConnected updates which sessions the kernel lets pass, before it bans more: if bans or sessions have changed, or if now is true. If
// that fails the bans are made anyway, because they stop an attacker.
func (d *Daemon) keepConnected(ctx context.Context, now bool) {
	backend, ok := d.plan.Backend.(firewall.Sparer)
	if !ok || d.plan.Connections == nil || !d.sources.caughtUp() {
		return
	}
	if due := d.sparer.due(d.sessionChanges()); !due && !now {
		return
	}
	all, err := d.connectedNow(ctx)
	if err == nil {
		err = d.sparer.spare(ctx, backend, all)
	}
	if err != nil && ctx.Err() == nil {
		d.sparer.changed()
		d.health.degrade(reasonSpare, time.Now().Add(transient), err)
	}
}

func (d *Daemon) sessionChanges() (n uint64) {
	for _, j := range d.plan.Jails {
		n += j.Sessions().Changes()
	}
	return n
}

// maxConnections is how many connections of an address pass for a session whose port is unknown.
const maxConnections = 64

// connectedNow returns what has to pass now. For a session that is the connection with its far end; for a session whose port is unknown,
// because it is older than the log, the connections of its address. If that is too much, the newest sessions win: older ones are idle or
// abandoned.
func (d *Daemon) connectedNow(ctx context.Context) ([]firewall.Spared, error) {
	if d.ledger.bans.len() == 0 {
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
		d.health.degrade(reasonSpare, time.Now().Add(transient), fmt.Errorf("%s too many, those of the oldest sessions", human.Count(more, "connections")))
	}
	return firewall.SortSpared(all), nil
}

// session is a session of which some traffic passes a ban.
type session struct {
	from netip.AddrPort
	left mercy
}

// merciful returns the sessions of which some traffic passes, the newest of each jail first, and the addresses whose connections have to be
// looked up for that.
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

// endsOf looks up the connections of addresses.
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

// spares returns what passes for a session, given the connections that exist.
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

// whoIsConnected reports whether a ban of the prefix would hit an open session, and whose.
func (p *Plan) whoIsConnected(prefix netip.Prefix, now time.Time) (why string, ok bool) {
	for _, j := range p.Jails {
		if why, ok = j.Sessions().Touches(prefix, now); ok {
			return why, true
		}
	}
	return "", false
}

// handOver gives a new backend what the previous one let pass. That holds until the new jails know the sessions.
func (d *Daemon) handOver(ctx context.Context) {
	spared := d.sparer.exchange()
	if backend, ok := d.plan.Backend.(firewall.Sparer); ok {
		if err := d.sparer.spare(ctx, backend, spared); err != nil && ctx.Err() == nil {
			d.health.degrade(reasonSpare, time.Now().Add(transient), err)
		}
	}
}

// recallSpared reads what the kernel lets pass: until the sessions are known, these connections are not cut.
func (d *Daemon) recallSpared(ctx context.Context) {
	if backend, ok := d.plan.Backend.(firewall.Sparer); ok {
		d.sparer.recall(ctx, backend)
	}
}
