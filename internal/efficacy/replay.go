package efficacy

import (
	"container/heap"
	"net/netip"
	"time"

	"exile/internal/replay"
	"exile/jail"
)

// Result is what a detector would have done to a host.
type Result struct {
	Prevented float64 `json:"prevented"`  // share of the attack attempts
	Bans      int     `json:"bans"`       // of addresses and networks
	Worst     int     `json:"worst"`      // attempts that one attacker got in
	FalseBans int     `json:"false_bans"` // legitimate addresses, or networks with one, that were banned
	Denied    int     `json:"denied"`     // logins of legitimate users that met a ban
	Attempts  int     `json:"-"`          // attack attempts
	Legit     int     `json:"-"`          // legitimate addresses
	Logins    int     `json:"-"`          // of legitimate users
}

// Ban is one entry of the log of a replay.
type Ban struct {
	At       time.Time
	Prefix   netip.Prefix
	Duration time.Duration
}

// trial is a host under a detector: a connection that starts while its address is banned is prevented, and unseen.
type trial struct {
	detector jail.Detector
	weight   func(Row) int // guesses that the detector is told of; 0 hides the row
	until    map[netip.Prefix]time.Time
	pending  pending
	log      []Ban
	verdicts []jail.Verdict
}

// Replay runs a host's attempts through a detector.
func Replay(h Host, d jail.Detector, weight func(Row) int) (Result, []Ban) {
	r := trial{detector: d, weight: weight, until: make(map[netip.Prefix]time.Time)}
	legit := h.judged().legit
	var res Result
	prevented := 0
	reached := make(map[netip.Addr]int)
	for i, row := range h.Rows {
		r.catchUp(row.Start)
		if row.local() {
			continue
		}
		banned := r.banned(row.Addr, row.Start)
		switch {
		case legit[row.Addr] && row.Success:
			res.Logins++
			res.Denied += count(banned)
		case !legit[row.Addr]:
			res.Attempts++
			prevented += count(banned)
			reached[row.Addr] += count(!banned)
		}
		if !banned {
			heap.Push(&r.pending, seen{row.known().Add(replay.Lag), i, row})
		}
	}
	res.Prevented = float64(prevented) / float64(max(res.Attempts, 1))
	res.Bans, res.Legit = len(r.log), len(legit)
	for _, n := range reached {
		res.Worst = max(res.Worst, n)
	}
	res.FalseBans = falseBans(r.log, legit)
	return res, r.log
}

func count(b bool) int {
	if b {
		return 1
	}
	return 0
}

// local reports whether the host talked to itself. No other address of 127.0.0.0/8 is: anonymized addresses may fall there.
func (r Row) local() bool {
	return r.Addr == netip.IPv6Loopback() || r.Addr == netip.AddrFrom4([4]byte{127, 0, 0, 1})
}

// known is when the log has told all about the attempt.
func (r Row) known() time.Time {
	if r.Success && r.Start.After(r.Last) {
		return r.Start
	}
	return r.Last
}

// catchUp shows the detector what was known at that time.
func (r *trial) catchUp(now time.Time) {
	for len(r.pending) > 0 && !r.pending[0].at.After(now) {
		row := heap.Pop(&r.pending).(seen).row
		if row.Success {
			r.tell(jail.Attempt{Time: row.Start, Addr: row.Addr, User: row.User, Method: row.Method, Success: true})
		}
		if n := r.weight(row); n > 0 && !r.banned(row.Addr, row.Last) {
			r.tell(jail.Attempt{
				Time: row.Last, Addr: row.Addr, User: row.User, Unknown: row.Unknown, Method: row.Method, Guesses: n,
				Passwordless: row.Guesses == 0,
			})
		}
	}
}

func (r *trial) tell(a jail.Attempt) {
	r.verdicts = r.detector.Observe(a, r.verdicts[:0])
	for _, v := range r.verdicts {
		r.until[v.Prefix] = a.Time.Add(v.Duration)
		r.log = append(r.log, Ban{a.Time, v.Prefix, v.Duration})
	}
}

// banned reports whether the address, or a network around it, is.
func (r *trial) banned(a netip.Addr, now time.Time) bool {
	for bits := a.BitLen(); bits >= 24; bits-- {
		if bits != a.BitLen() && bits != 24 && bits != 48 && bits != 56 && bits != 64 {
			continue
		}
		p, _ := a.Prefix(bits)
		if until, ok := r.until[p]; ok && now.Before(until) {
			return true
		}
	}
	return false
}

// legitimate are the addresses that ever logged in, but for those that guessed their way in: 30 failures on 5 names
// before.
func legitimate(rows []Row) map[netip.Addr]bool {
	type past struct {
		failures int
		names    map[string]bool
	}
	legit, before := make(map[netip.Addr]bool), make(map[netip.Addr]*past)
	broke := make(map[netip.Addr]bool)
	for _, r := range rows {
		p := before[r.Addr]
		if p == nil {
			p = &past{names: make(map[string]bool)}
			before[r.Addr] = p
		}
		switch {
		case legit[r.Addr] || broke[r.Addr]:
		case !r.Success:
			p.failures += max(1, r.Guesses)
			p.names[r.User] = true
		case p.failures >= 30 && len(p.names) >= 5:
			broke[r.Addr] = true
		default:
			legit[r.Addr] = true
		}
	}
	return legit
}

// falseBans counts the legitimate addresses, and the networks of such, that were banned.
func falseBans(log []Ban, legit map[netip.Addr]bool) int {
	hit := make(map[netip.Prefix]bool)
	for _, b := range log {
		for a := range legit {
			if b.Prefix.Contains(a) {
				hit[b.Prefix] = true
			}
		}
	}
	return len(hit)
}

// seen is an attempt that the detector will know of.
type seen struct {
	at  time.Time
	nth int
	row Row
}

// pending is a heap of what will be known, the next first.
type pending []seen

func (p pending) Len() int { return len(p) }
func (p pending) Less(i, j int) bool {
	if !p[i].at.Equal(p[j].at) {
		return p[i].at.Before(p[j].at)
	}
	return p[i].nth < p[j].nth
}
func (p pending) Swap(i, j int) { p[i], p[j] = p[j], p[i] }
func (p *pending) Push(x any)   { *p = append(*p, x.(seen)) }

func (p *pending) Pop() any {
	old := *p
	last := old[len(old)-1]
	*p = old[:len(old)-1]
	return last
}
