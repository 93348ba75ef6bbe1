package daemon

import (
	"context"
	"net/netip"
	"time"

	"exile/internal/control"
	"exile/internal/state"
	"exile/internal/tally"
)

// Names implements control.Learner.
func (d *Daemon) Names(ctx context.Context, name string) (names []control.Name, err error) {
	var unknown error
	asked := d.ask(ctx, func(context.Context) {
		if unknown = d.known(name); unknown != nil {
			return
		}
		for _, j := range d.named(name) {
			if j.Names == nil {
				continue
			}
			for _, n := range j.Names.Names(time.Now()) {
				names = append(names, control.Name{Jail: j.Info.Name, Name: control.AnyText(n.Name), Hosts: n.Hosts, Last: n.Last})
			}
		}
	})
	if asked != nil {
		return nil, asked
	}
	return names, unknown
}

// History implements control.Historian. The days are added up outside of the loop.
func (d *Daemon) History(ctx context.Context, jail string, since, until time.Time) (tally.History, error) {
	var texts [][]byte
	if err := d.ask(ctx, func(context.Context) { texts = d.ledger.year.book.Select(jail, since, until) }); err != nil {
		return tally.History{}, err
	}
	return tally.Read(texts), nil
}

// named returns the jail of that name as a list, or all jails ("").
func (d *Daemon) named(name string) []*Jail {
	if name == "" {
		return d.plan.Jails
	}
	if j := d.plan.jail(name); j != nil {
		return []*Jail{j}
	}
	return nil
}

// ForgetName implements control.Learner.
func (d *Daemon) ForgetName(ctx context.Context, name, user string) (known bool, err error) {
	err = d.change(ctx, func() error {
		if err := d.known(name); err != nil {
			return err
		}
		for _, j := range d.named(name) {
			if j.Names != nil && j.Names.ForgetName(user) {
				known = true
			}
		}
		if known {
			d.ledger.memorizeSoon() // otherwise the name would be back after a crash
		}
		return nil
	})
	return known, err
}

// ForgetAddress implements control.Learner.
func (d *Daemon) ForgetAddress(ctx context.Context, name string, p netip.Prefix) (known bool, err error) {
	err = d.change(ctx, func() error {
		if err := d.known(name); err != nil {
			return err
		}
		for _, j := range d.named(name) {
			attempts, offences := d.clearCounted(j, p.Masked()), d.absolve(j, p.Masked())
			known = known || attempts || offences
		}
		if name == "" || d.plan.Recidive == d.plan.jail(name) {
			known = d.forgetRepeats(p.Masked()) || known
		}
		if known {
			d.ledger.memorizeSoon()
		}
		return nil
	})
	return known, err
}

// clearCounted forgets the attempts from addresses in p for good, and reports whether there were any. Attempts are counted by prefix, which
// may be wider than p or narrower.
func (d *Daemon) clearCounted(j *Jail, p netip.Prefix) bool {
	if whole := j.Unit(p.Addr()); whole.Bits() <= p.Bits() {
		any := j.failures(p.Addr()) > 0
		d.clearFailures(j.Info.Name, whole)
		return any
	}
	any := false
	for _, h := range j.Hosts(netip.Prefix{}, j.Failing()) {
		if h.Prefix.Overlaps(p) {
			d.clearFailures(j.Info.Name, h.Prefix)
			any = true
		}
	}
	d.clearFailures(j.Info.Name, p)
	return any
}

// absolve forgets the offences of all addresses in p, and reports whether there were any.
func (d *Daemon) absolve(j *Jail, p netip.Prefix) bool {
	var guilty []state.Who
	d.ledger.past.every(j.Info.Name, func(who state.Who, past state.Past) {
		if past.Offences > 0 && who.Prefix.Overlaps(p) {
			guilty = append(guilty, who)
		}
	})
	for _, who := range guilty {
		d.ledger.remember(who, state.Past{Cleared: d.ledger.past.get(who).Cleared})
	}
	return len(guilty) > 0
}
