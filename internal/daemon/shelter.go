package daemon

import (
	"fmt"
	"net/netip"
	"time"

	"exile/internal/banning"
	"exile/internal/control"
	"exile/internal/state"
	"exile/jail"
)

// The fallback for bad files may lack some of their jails. The bans of these stay under their own names, in jails that read nothing, so that
// they still exist when the files are good again.

// shelter adds to the plan a jail for each name that has bans and no jail.
func (d *Daemon) shelter(bans map[state.Who]control.Ban) error {
	if !d.plan.Shelter {
		return nil
	}
	first := d.plan.Jails[0]
	for who := range bans {
		if d.plan.jail(who.Jail) != nil {
			continue
		}
		j, err := first.sheltering(who.Jail)
		if err != nil {
			return fmt.Errorf("keep the bans of jail %q: %w", who.Jail, err)
		}
		d.plan.Jails = append(d.plan.Jails, j)
	}
	return nil
}

// sheltering returns a jail of that name that closes the same ports and protects the same addresses as j, and reads nothing.
func (j *Jail) sheltering(name string) (*Jail, error) {
	counts, err := jail.New(jail.Config{
		Name: name, Detection: jail.Threshold, MaxRetry: max(j.Info.MaxRetry, 1), FindTime: max(j.Info.FindTime, time.Minute),
		BanTime: time.Hour, IPv4Prefix: 32, IPv6Prefix: 64, MaxTracked: maxSheltered,
	}, nil, friends{j}, nil)
	if err != nil {
		return nil, err
	}
	return &Jail{
		Jail: banning.Jail{Jail: counts, Name: name, Length: j.Length, Overall: j.Overall, Remember: j.Remember},
		Info: control.JailStatus{
			Name: name, State: j.Info.State, Detection: string(jail.Threshold), Rule: "keeps its bans until the configuration can be used",
			MaxRetry: j.Info.MaxRetry, FindTime: j.Info.FindTime, BanTime: j.Info.BanTime,
		},
		Ignored: j.Ignored, Ports: j.Ports, GroupPorts: j.GroupPorts, Whole: j.Whole, Simulate: j.Simulate, Origin: j.Origin,
	}, nil
}

// maxSheltered is how many addresses such a jail counts: it only sees what is reported to it.
const maxSheltered = 1000

// friends are the addresses that another jail never bans.
type friends struct{ of *Jail }

// Allowed implements jail.Allow.
func (f friends) Allowed(a netip.Addr, at time.Time) (string, bool) { return f.of.Allowed(a, at) }

// Touches implements jail.Toucher.
func (f friends) Touches(p netip.Prefix) (string, bool) { return f.of.Touches(p, time.Now()) }
