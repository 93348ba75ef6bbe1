package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"

	"exile/internal/control"
	"exile/internal/fail2ban"
	"exile/jail/filter/services"
)

// rival is another program that bans.
type rival struct {
	unit    string
	guards  func() ([]string, error) // the jails here that guard what it guards
	without string                   // what to do before it is turned off
}

func rivals() []rival {
	onlySSH := func() ([]string, error) { return []string{"sshd"}, nil }
	return []rival{
		{"fail2ban.service", guardedByFail2ban, "see exilectl import-fail2ban, then "},
		{"sshguard.service", onlySSH, ""},
		{"crowdsec-firewall-bouncer.service", onlySSH, ""},
	}
}

// guardedByFail2ban returns the jails here that guard what an enabled jail of fail2ban guards.
func guardedByFail2ban() ([]string, error) {
	setup, err := fail2ban.Read(os.DirFS("/"), "etc/fail2ban")
	if err != nil {
		return nil, err
	}
	r, err := fail2ban.Move(setup, fail2ban.Options{Filters: services.Names()})
	if err != nil {
		return nil, err
	}
	return r.On(), nil
}

// warnRivals names the programs that ban for the same services: whoever is unbanned here stays banned there.
func warnRivals(ctx context.Context, d settings, c *console, jails []control.JailStatus) {
	all := rivals()
	units := make([]string, len(all))
	for i, r := range all {
		units[i] = r.unit
	}
	running, err := d.Running(ctx, units)
	if err != nil {
		return // no systemd: nothing to tell
	}
	for _, r := range all {
		if !slices.Contains(running, r.unit) {
			continue
		}
		if text := r.warning(jails); text != "" {
			field(c, "Warning", c.paint(yellow, text))
		}
	}
}

// warning says what a rival that runs guards, too; empty: nothing.
func (r rival) warning(jails []control.JailStatus) string {
	guarded, err := r.guards()
	if err != nil {
		return fmt.Sprintf("%s is active, and may guard the same services: %s", r.unit, clean(err.Error()))
	}
	var both []string
	for _, j := range jails {
		if j.State != control.Simulating && slices.Contains(guarded, j.Name) {
			both = append(both, clean(j.Name))
		}
	}
	if len(both) == 0 {
		return ""
	}
	return fmt.Sprintf("%s is active and guards what jail %s guards, and its bans are not lifted here: %ssystemctl disable --now %s",
		r.unit, strings.Join(both, ", "), r.without, strings.TrimSuffix(r.unit, ".service"))
}
