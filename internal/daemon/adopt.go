package daemon

import (
	"time"

	"exile/firewall"
	"exile/internal/banning"
	"exile/internal/control"
	"exile/internal/state"
	"exile/jail"
)

// adopt takes over the bans that the kernel holds if the state file was lost. Which jails they belonged to is lost with it, and how often
// their addresses offended: from now on they belong to the first jail that bans on that port.
func (d *Daemon) adopt(have []firewall.Ban) {
	if !d.kernel.orphans {
		return
	}
	d.kernel.orphans = false
	now := time.Now()
	for _, k := range have {
		if j, origin := d.plan.guardian(k.Key); j != nil {
			d.adoptBan(j, control.Ban{
				Jail: j.Info.Name, Prefix: k.Prefix, Since: now, Until: k.Until, Origin: origin,
				Reason: "state lost: the ban was found in the kernel",
			})
		}
	}
	d.regroup()
}

func (d *Daemon) adoptBan(j *Jail, b control.Ban) {
	if old, ok := d.ledger.bans.get(j.Info.Name, b.Prefix); ok {
		b.Until = banning.Longer(b.Until, old.Until)
	}
	if banning.Over(&b, b.Since) { // a routing table does not store when a ban ends
		b.Until = time.Time{}
		if t := j.Length(1, b.Prefix); t != jail.Permanent {
			b.Until = b.Since.Add(t)
		}
	}
	d.ledger.put(b)
	// What was logged up to now has led to this ban.
	d.ledger.remember(whoOf(b), state.Past{Cleared: b.Since})
}

// guardian returns the first jail that could have made that ban, or nil, and the origin that the ban would have.
func (p *Plan) guardian(k firewall.Key) (*Jail, control.Origin) {
	for _, j := range p.Jails {
		if j.Simulate {
			continue
		}
		for _, origin := range []control.Origin{j.Source(k.Prefix, j.Origin), j.Origin} { // a prefix that is no group: perhaps by hand
			if j.has(origin, k.Port) {
				return j, origin
			}
		}
	}
	return nil, ""
}

// checkFriend lifts the ban of an address that is protected now: the configuration may have changed while no daemon ran, or a host name
// may have a new address. A ban by hand was made deliberately and stays.
func (d *Daemon) checkFriend(e *entry) {
	b := e.ban()
	j := d.plan.jail(b.Jail)
	if j == nil || b.Origin == control.OriginManual {
		return
	}
	if _, ok := d.rules().Protects(&j.Jail, b.Prefix, time.Now()); ok {
		d.lift(b, "protected")
	}
}
