package jail

import (
	"net/netip"
	"time"
)

// Gate is what stands before a service in a replay, where no kernel stops anybody.
type Gate interface {
	// Stops reports whether a ban keeps what addr does at that time from the service.
	Stops(addr netip.Addr, at time.Time) bool
	// Saw is told of each attempt and each login before it is judged, and whether the gate stopped it. It keeps nothing of a.
	Saw(a *Attempt, stopped bool)
}

// Guard puts a gate before the service: what it stops is as if it had never been logged. Without one the log is what came through.
func (j *Jail) Guard(g Gate) { j.gate = g }

// stops reports whether the gate stops a login before it begins a session.
func (j *Jail) stops(ev *Event, at time.Time) bool {
	return j.gate != nil && ev.Kind == Success && ev.Addr.IsValid() && j.gate.Stops(ev.Addr, at)
}

// passes shows an attempt to the gate, and reports whether it passes.
func (j *Jail) passes(a *Attempt) bool {
	if j.gate == nil {
		return true
	}
	stopped := j.gate.Stops(a.Addr, a.Time)
	j.gate.Saw(a, stopped)
	return !stopped
}

// Tell has each attempt that counts told to a function, which keeps nothing of it: those of which Counters.Attempts is the sum.
func (j *Jail) Tell(counted func(a *Attempt)) { j.counted = counted }
