package replay

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"time"

	"exile/internal/tally"
	"exile/jail"
)

// gate stands before the service of a jail: the bans of this run stop what the kernel would have stopped. It implements jail.Gate.
type gate struct {
	replay *Replay
	jail   *Jail
	recent [recents]shut
}

// shut is an address that is banned, and for how long.
type shut struct {
	addr        netip.Addr
	early       uint32 // bench.early when that was found
	from, until int64  // µs
}

// recents is how many of those are looked for before all bans: most attempts come from few addresses.
const recents = 1 << 9

// recentOf is the place of an address among them.
func recentOf(a netip.Addr) uint64 {
	b := a.As16()
	return (binary.BigEndian.Uint64(b[:8]) ^ binary.BigEndian.Uint64(b[8:])) * 0x9e3779b97f4a7c15 >> (64 - 9) // Fibonacci hashing
}

// Stops implements jail.Gate.
func (g *gate) Stops(a netip.Addr, at time.Time) bool {
	last, now := &g.recent[recentOf(a)], micro(at)
	if last.addr == a && last.early == g.replay.bench.early && now >= last.from && now < last.until {
		return true
	}
	b := g.replay.closed(g.jail, a, now, false)
	if b != nil {
		*last = shut{a, g.replay.bench.early, b.from + Lag.Microseconds(), b.until}
	}
	return b != nil
}

// closed returns the ban that closes the service of a jail to an address, or nil; those of jails that simulate count if asked for.
func (r *Replay) closed(to *Jail, a netip.Addr, at int64, simulated bool) *record {
	for _, j := range r.rules.Jails {
		if j.Simulate && !simulated || j != to && !shares(j, to) {
			continue
		}
		if b := r.bench.stands(j.number, a, at); b != nil {
			return b
		}
	}
	return nil
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
	prevented := stopped || g.jail.Simulate && r.closed(g.jail, a.Addr, micro(a.Time), true) != nil
	if prevented {
		r.count.Prevented += n
	} else {
		r.count.Passed += n
	}
	if r.seen != nil {
		r.seen.attempt(a)
		r.hours.attempts(a.Time, n, prevented)
	}
	if r.days != nil {
		r.days.Day(g.jail.Name, a.Time).Attempt(&tally.Attempt{
			Time: a.Time, Addr: a.Addr, User: a.User, Rule: a.Rule, Guesses: a.Guesses, Prevented: prevented,
		})
	}
}

// login counts a login. Those before the time that is asked for count, too: their owners may be banned later.
func (r *Replay) login(a *jail.Attempt, stopped bool) {
	if r.seen != nil {
		r.seen.login(a)
	}
	switch {
	case r.silent:
	case stopped:
		r.count.Denied++
	default:
		r.count.Logins++
	}
}
