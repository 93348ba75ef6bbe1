package server

import (
	"sync/atomic"
	"time"

	"exile/dbusapi/internal/bus"
)

// Limits on what peers may have running. A peer over its limit is refused at once, at no further cost.
const (
	maxCalls        = 1024 // of all peers
	maxFirst        = 1024 // beyond that, for peers with no other call under way: more than a user may have connections to the bus
	maxCallsPerPeer = 64
	maxPeers        = 4096        // that are remembered
	rationRate      = 100         // calls of the rationed method per second and peer
	rationBurst     = 1000        // such calls at once
	askCalls        = 1000        // calls of a peer between two checks that it reads its replies, which may be 10 KiB each
	askEvery        = time.Second // between two checks of a peer that did not
)

// gate admits calls. It belongs to the goroutine that reads from the bus; only leave may be called by others. That goroutine
// sees all calls of a peer before it sees that the peer has left.
type gate struct {
	rationed string // the method that peers may call only so often
	total    int
	peers    map[string]*peer
	done     chan ended
}

// ended is a call that has ended. If its peer was checked, stalled is what was found.
type ended struct {
	peer             *peer
	checked, stalled bool
}

// admission is what becomes of a call.
type admission int

// The admissions. Once in a while it is checked whether a peer reads its replies. One that does not is checked again about
// once a second, and gets no replies meanwhile.
const (
	serve admission = iota
	check           // whether the peer reads; then serve
	drop
)

// peer is what is remembered of one connection to the bus.
type peer struct {
	calls   int
	since   int       // calls since the last check
	stalled bool      // it did not read when it was last checked
	checked time.Time // when that was
	tokens  float64   // rationed calls that it may make now
	at      time.Time // when tokens was computed

	// The fields below are used by its calls, too.
	left chan struct{}               // closed when the peer has left the bus
	busy chan struct{}               // held by its call that is worked on, or is the next
	user atomic.Pointer[Credentials] // who it is, once the bus has said so: that never changes
}

func (p *peer) hasLeft() bool {
	select {
	case <-p.left:
		return true
	default:
		return false
	}
}

// newGate makes a channel as long as there can be calls, so that leave never waits.
func newGate(rationed string) *gate {
	return &gate{rationed: rationed, peers: map[string]*peer{}, done: make(chan ended, maxCalls+maxFirst)}
}

// enter returns the peer that calls and what becomes of the call, or why it is refused.
func (g *gate) enter(sender, member string, now time.Time) (*peer, admission, error) {
	g.collect()
	p := g.peers[sender]
	if p == nil {
		p = &peer{tokens: rationBurst, at: now, left: make(chan struct{}), busy: make(chan struct{}, 1)}
	}
	p.since++
	if p.stalled && now.Sub(p.checked) < askEvery {
		return p, drop, nil
	}
	if member == g.rationed && !p.spend(now) {
		g.peers[sender] = p
		return p, drop, bus.Errorf(bus.LimitsExceeded, "More than %d calls of %s per second.", rationRate, member)
	}
	limit := maxCalls
	if p.calls == 0 {
		limit += maxFirst
	}
	if p.calls >= maxCallsPerPeer || g.total >= limit {
		return p, drop, bus.Errorf(bus.LimitsExceeded, "Too many calls at once: %d of yours and %d in all are running.", p.calls, g.total)
	}
	g.forget(now)
	g.peers[sender] = p
	p.calls++
	g.total++
	if p.stalled || p.since >= askCalls {
		p.since, p.checked = 0, now
		return p, check, nil
	}
	return p, serve, nil
}

// leave ends a call that was admitted.
func (g *gate) leave(e ended) { g.done <- e }

// collect notes which calls have ended.
func (g *gate) collect() {
	for {
		select {
		case e := <-g.done:
			g.total--
			e.peer.calls--
			if e.checked {
				e.peer.stalled = e.stalled
			}
		default:
			return
		}
	}
}

// gone notes that a peer has left the bus.
func (g *gate) gone(name string) {
	if p := g.peers[name]; p != nil {
		close(p.left)
		delete(g.peers, name)
	}
}

// forget makes room for many at once: first it drops peers that run nothing and have a full bucket, then, if these were too
// few, others that run nothing.
func (g *gate) forget(now time.Time) {
	if len(g.peers) < maxPeers {
		return
	}
	const refill = rationBurst / rationRate * time.Second
	for name, p := range g.peers {
		if p.calls == 0 && now.Sub(p.at) > refill {
			delete(g.peers, name)
		}
	}
	for name, p := range g.peers {
		if p.calls == 0 && len(g.peers) > maxPeers/2 {
			delete(g.peers, name)
		}
	}
}

// spend takes one token from a bucket that fills with time.
func (p *peer) spend(now time.Time) bool {
	p.tokens = min(rationBurst, p.tokens+now.Sub(p.at).Seconds()*rationRate)
	p.at = now
	if p.tokens < 1 {
		return false
	}
	p.tokens--
	return true
}
