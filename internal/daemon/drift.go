package daemon

import "fmt"

// reasonDrift is a reason for being degraded: the lines of a jail's service have changed, so that its filter does not know them. The jail
// follows.
const reasonDrift = "drift:"

// checkDrift degrades the daemon while the lines of a jail's service are not those that its filter knows. Only those who may read the log see the
// example.
func (d *Daemon) checkDrift() {
	for _, j := range d.plan.Jails {
		name, drift := j.Info.Name, j.Drift()
		if !j.visibility.live {
			continue // what it reads is the past
		}
		remedy := func(example string) string {
			text := fmt.Sprintf("The lines of the service of jail %s have changed, and its filter %s no longer knows them%s. ", name, drift.Filter, example)
			if drift.Filter == "sshd" { // it is no file
				return text + "exilectl match shows what it still knows: install a newer exile."
			}
			return text + "exilectl match --filter=" + drift.Filter + " shows how far the patterns come: install a newer exile, or copy the filter to " +
				"/etc/exile/filters.d and correct it."
		}
		d.health.concern(drift.Filter != "", reasonDrift+name, remedy(fmt.Sprintf(", for example %q", drift.Line)))
		d.health.restrict(reasonDrift+name, reasonDrift+name, remedy(""))
	}
}
