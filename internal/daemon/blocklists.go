package daemon

import (
	"fmt"
	"net/netip"
	"strings"

	"exile/internal/control"
)

// Block lists keep to themselves: the loop only says when there is a pause, and tells others how they are.

// reasonBlocklist is that a list cannot be read, or is not in force.
const reasonBlocklist = "blocklist:"

// blocklists returns the lists of the plan.
func (d *Daemon) blocklists() []control.Blocklist {
	if d.plan.Blocklists == nil {
		return nil
	}
	return d.plan.Blocklists.Lists()
}

// suspendBlocklists takes the lists out of the kernel during a pause.
func (d *Daemon) suspendBlocklists() {
	if d.plan.Blocklists != nil {
		d.plan.Blocklists.Suspend(d.kernel.pausing())
	}
}

// checkBlocklists degrades the daemon while a list does not do what the configuration says.
func (d *Daemon) checkBlocklists() {
	wrong := make(map[string]bool)
	for _, l := range d.blocklists() {
		if l.Trouble != "" {
			wrong[reasonBlocklist+l.Name] = true
			d.health.concern(true, reasonBlocklist+l.Name, fmt.Sprintf("%s. What was read before stays in force; it is tried again.", l.Trouble))
		}
	}
	d.health.recoverIf(func(reason string, _ trouble) bool {
		return strings.HasPrefix(reason, reasonBlocklist) && !wrong[reason]
	})
}

// explainBlocklists says which lists stop an address.
func (d *Daemon) explainBlocklists(a netip.Addr) (lines []string) {
	if d.plan.Blocklists == nil {
		return nil
	}
	for _, name := range d.plan.Blocklists.Naming(a) {
		lines = append(lines, fmt.Sprintf("block list %s has it: it can open no connection to this host", name))
	}
	return lines
}
