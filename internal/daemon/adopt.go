package daemon

import (
	"net/netip"
	"time"

	"exile/firewall"
	"exile/internal/control"
	"exile/internal/state"
	"exile/jail"
)

// adopt takes over the bans that the kernel holds, when the state file that told of them is lost. Whose they were is lost
// with it, and how often they offended: the first jail that bans on that port answers for them from now on.
func (d *Daemon) adopt(have []firewall.Ban) {
	if !d.orphans {
		return
	}
	d.orphans = false
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
	if old, ok := d.bans.get(j.Info.Name, b.Prefix); ok {
		b.Until = longer(b.Until, old.Until)
	}
	if over(b, b.Since) { // a routing table does not know when a ban ends
		b.Until = time.Time{}
		if t := j.Sentence(1, b.Prefix); t != jail.Permanent {
			b.Until = b.Since.Add(t)
		}
	}
	d.bans.put(b)
	d.pending.put(b)
	// What was logged up to now had this for its consequence.
	d.remember(whoOf(b), state.Past{Cleared: b.Since})
}

// guardian is the first jail that could have made that ban, or nil, and where the ban would come from.
func (p *Plan) guardian(k firewall.Key) (*Jail, control.Origin) {
	for _, j := range p.Jails {
		if j.Simulate {
			continue
		}
		for _, origin := range []control.Origin{j.origin(k.Prefix, j.Origin), j.Origin} { // not as a group: by hand, perhaps
			if j.has(origin, k.Port) {
				return j, origin
			}
		}
	}
	return nil, ""
}

// checkFriend lifts the ban of somebody who is protected by now: the configuration may have changed while nobody ran, and a
// name its address. A ban by hand was made knowingly, and stays.
func (d *Daemon) checkFriend(e *entry) {
	b := e.ban()
	j := d.plan.jail(b.Jail)
	if j == nil || b.Origin == control.OriginManual {
		return
	}
	if _, ok := d.plan.protects(j, b.Prefix, time.Now()); ok {
		d.lift(b, "protected")
	}
}

// protects says who is never banned and would be hit by a ban of p in that jail. The recidive rule bans from everywhere, so
// it spares the friends of all jails.
func (p *Plan) protects(j *Jail, prefix netip.Prefix, now time.Time) (why string, ok bool) {
	jails := []*Jail{j}
	if j == p.Recidive {
		jails = p.Jails
	}
	for _, j := range jails {
		if why, ok = j.Allowed(prefix.Addr(), now); !ok {
			why, ok = j.Touches(prefix, now)
		}
		if ok {
			return why, true
		}
	}
	return "", false
}
