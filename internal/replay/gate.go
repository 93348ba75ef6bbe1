package replay

import (
	"net/netip"
	"slices"
	"time"

	"exile/jail"
)

// gate stands before the service of a jail: the bans of this run stop what the kernel would have stopped. It implements jail.Gate.
type gate struct {
	replay *Replay
	jail   *Jail
}

// Stops implements jail.Gate.
func (g *gate) Stops(a netip.Addr, at time.Time) bool { return g.closed(a, at, false) }

// closed reports whether a ban closes the service to an address; those of jails that simulate count if asked for.
func (g *gate) closed(a netip.Addr, at time.Time, simulated bool) bool {
	for _, j := range g.replay.rules.Jails {
		if j.Simulate && !simulated || j != g.jail && !shares(j, g.jail) {
			continue
		}
		if g.replay.bench.stands(j.number, a, micro(at)) {
			return true
		}
	}
	return false
}

// shares reports whether a ban by one jail closes the service of the other: if it closes everything, or a port of the other.
func shares(one, other *Jail) bool {
	if len(one.Ports) == 0 {
		return true
	}
	for _, p := range one.Ports {
		if slices.Contains(other.Ports, p) {
			return true
		}
	}
	return false
}

// Saw implements jail.Gate.
func (g *gate) Saw(a *jail.Attempt, stopped bool) {
	r := g.replay
	if a.Success {
		r.login(a, stopped)
		return
	}
	if r.silent || a.Guesses == 0 {
		return
	}
	n := uint64(a.Guesses)
	r.count.Attempts += n
	prevented := stopped || g.jail.Simulate && g.closed(a.Addr, a.Time, true)
	if prevented {
		r.count.Prevented += n
	} else {
		r.count.Passed += n
	}
	r.seen.attempt(a)
	r.hours.attempts(a.Time, n, prevented)
}

// login counts a login. Those before the time that is asked for count, too: their owners may be banned later.
func (r *Replay) login(a *jail.Attempt, stopped bool) {
	r.seen.login(a)
	switch {
	case r.silent:
	case stopped:
		r.count.Denied++
	default:
		r.count.Logins++
	}
}
