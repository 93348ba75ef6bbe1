package dbusapi

import (
	"sync/atomic"
	"time"

	"exile/internal/control"
)

// Limits on what peers may have running. Who is over a limit is told so at once and costs nothing more.
const (
	maxCalls        = 1024 // of all peers
	maxFirst        = 1024 // beyond that, of peers with none under way: more than a user has connections to the bus
	maxCallsPerPeer = 64
	maxQuestions    = 256  // to polkit: people type slowly, and root, who is not asked about, must still get through
	maxPeers        = 4096 // whose reports are remembered
	reportRate      = 100  // Report calls per second and peer
	reportBurst     = 1000
	maxLent         = 8 // memory files that peers other than root hold
)

// gate admits calls. It belongs to the goroutine that reads from the bus; only leave is for others. That goroutine reads of a
// peer's calls before it reads that the peer has left.
type gate struct {
	total int
	peers map[string]*peer
	done  chan ended
}

// ended is a call that has ended, and what was found out about its peer if that was asked.
type ended struct {
	peer        *peer
	asked, deaf bool
}

// admission is what becomes of a call.
type admission int

// The admissions. Of every so many calls of a peer it is asked whether the peer reads what it is answered; one that does not
// is asked about once a second, and not answered meanwhile.
const (
	serve admission = iota
	ask             // whether the peer reads; then serve
	drop
)

// peer is what is remembered of one connection to the bus.
type peer struct {
	calls  int
	since  int       // calls since it was last asked about
	deaf   bool      // it did not read when it was last asked about
	asked  time.Time // about a deaf one
	tokens float64   // reports that it may make now
	at     time.Time

	// What follows is for its calls, too.
	left chan struct{}                // closed when it has left the bus
	busy chan struct{}                // held by the call of it that is worked on, or is the next
	user atomic.Pointer[control.Peer] // who it is, once the bus has said so: that does not change
}

func (p *peer) hasLeft() bool {
	select {
	case <-p.left:
		return true
	default:
		return false
	}
}

// newGate makes the channel as long as there can be calls, so that leave never waits.
func newGate() *gate {
	return &gate{peers: map[string]*peer{}, done: make(chan ended, maxCalls+maxFirst)}
}

// enter says whose a call is and what becomes of it, or why it is refused.
func (g *gate) enter(sender, member string, now time.Time) (*peer, admission, error) {
	g.collect()
	p := g.peers[sender]
	if p == nil {
		p = &peer{tokens: reportBurst, at: now, left: make(chan struct{}), busy: make(chan struct{}, 1)}
	}
	p.since++
	if p.deaf && now.Sub(p.asked) < askEvery {
		return p, drop, nil
	}
	if member == "Report" && !p.spend(now) {
		g.peers[sender] = p
		return p, drop, fail(errLimitsExceeded, "More than %d reports per second.", reportRate)
	}
	limit := maxCalls
	if p.calls == 0 {
		limit += maxFirst
	}
	if p.calls >= maxCallsPerPeer || g.total >= limit {
		return p, drop, fail(errLimitsExceeded, "Too many calls at once: %d of yours and %d in all are running.", p.calls, g.total)
	}
	g.forget(now)
	g.peers[sender] = p
	p.calls++
	g.total++
	if p.deaf || p.since >= askCalls {
		p.since, p.asked = 0, now
		return p, ask, nil
	}
	return p, serve, nil
}

// leave ends a call that entered.
func (g *gate) leave(e ended) { g.done <- e }

func (g *gate) collect() {
	for {
		select {
		case e := <-g.done:
			g.total--
			e.peer.calls--
			if e.asked {
				e.peer.deaf = e.deaf
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

// forget makes room for many at once: peers that run nothing and have not reported lately, and where that is not enough
// some that have.
func (g *gate) forget(now time.Time) {
	if len(g.peers) < maxPeers {
		return
	}
	const lately = reportBurst / reportRate * time.Second // until the bucket is full
	for name, p := range g.peers {
		if p.calls == 0 && now.Sub(p.at) > lately {
			delete(g.peers, name)
		}
	}
	for name, p := range g.peers {
		if p.calls == 0 && len(g.peers) > maxPeers/2 {
			delete(g.peers, name)
		}
	}
}

// spend takes one report out of a bucket that fills with time.
func (p *peer) spend(now time.Time) bool {
	p.tokens = min(reportBurst, p.tokens+now.Sub(p.at).Seconds()*reportRate)
	p.at = now
	if p.tokens < 1 {
		return false
	}
	p.tokens--
	return true
}
