package daemon

import (
	"fmt"
	"time"

	"exile/internal/control"
	"exile/jail"
)

// reasonProxied is a reason for being degraded that concerns one jail: its name follows.
const reasonProxied = "clients-hidden:"

// noteProxied says that a service in a container logs an address of the host, a gateway or the engine's own network where its clients'
// should be. Nobody else may be told apart from the attacker then, and none of these is banned.
func (d *Daemon) noteProxied(j *Jail, b *control.Ban, why string) {
	if !j.Contained || why != jail.OwnAddress && why != jail.Gateway && why != jail.EngineNetwork {
		return
	}
	name := j.Info.Name
	remedy := func(which string) string {
		return fmt.Sprintf("The service of jail %s logs %s in place of its clients' addresses, so that none of them can be banned: a proxy of the "+
			"container engine connects for them. Publish its ports without one: for rootless Podman with --network pasta, for Docker with "+
			`"userland-proxy": false in daemon.json.`, name, which)
	}
	d.health.degradeWith(reasonProxied+name, remedy(b.Prefix.Addr().String()+" ("+why+")"), time.Now().Add(transient), nil)
	d.health.restrict(reasonProxied+name, reasonProxied+name, remedy("an address of this host"))
}
