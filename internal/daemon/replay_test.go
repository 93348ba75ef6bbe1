package daemon_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"exile/firewall/firewalltest"
	"exile/internal/control"
	"exile/internal/daemon"
	"exile/internal/replay"
	"exile/jail"
	"exile/jail/adaptive"
	"exile/journal"
)

// past makes a log for a daemon, and keeps what became of it.
type past struct {
	*world
	random *rand.Rand
	log    []journal.Entry
	lost   int // attempts that the kernel stopped
	since  map[string]time.Time
}

// next has somebody try something, unless the kernel stops them: an address that it has had for replay.Lag cannot reach the service. A replay sees
// all of it.
func (p *past) next() {
	addr := fmt.Sprintf("192.0.2.%d", 1+p.random.IntN(6))
	if p.random.IntN(3) == 0 {
		addr = fmt.Sprintf("2001:db8:0:%x::%x", p.random.IntN(5), 1+p.random.IntN(3))
	}
	text := "Failed password for root from %s port 4000 ssh2"
	switch p.random.IntN(60) {
	case 0:
		text = "Accepted password for alice from %s port 4000 ssh2"
	case 1, 2, 3, 4, 5:
		text = "Failed password for invalid user admin from %s port 4000 ssh2"
	}
	e := p.guess(addr)
	e.Message = fmt.Appendf(nil, text, addr)
	p.log = append(p.log, e)
	if p.stopped(netip.MustParseAddr(addr), e.Time) {
		p.lost++
		return
	}
	p.source.live <- []journal.Entry{e}
	synctest.Wait()
	p.note(e.Time)
}

// note notes since when the kernel has had what it has.
func (p *past) note(now time.Time) {
	held := make(map[string]time.Time)
	p.hand()
	banned := p.banned()
	p.hand()
	for _, k := range banned {
		held[k] = now
		if at, ok := p.since[k]; ok {
			held[k] = at
		}
	}
	p.since = held
}

func (p *past) stopped(a netip.Addr, now time.Time) bool {
	p.note(now)
	for k, at := range p.since {
		if netip.MustParsePrefix(k).Contains(a) && now.Sub(at) >= replay.Lag {
			return true
		}
	}
	return false
}

// arrangement is a way of setting up jails, the same for the daemon and for a replay.
type arrangement struct {
	name   string
	change func(*daemon.Plan)
	jails  func(w *world) []*daemon.Jail
}

func arrangements() []arrangement {
	return []arrangement{
		{"threshold", nil, func(w *world) []*daemon.Jail { return []*daemon.Jail{w.jail("sshd", nil)} }},
		{"allow list", nil, func(w *world) []*daemon.Jail {
			return []*daemon.Jail{w.jail("sshd", allowList{netip.MustParsePrefix("192.0.2.2/31"), netip.MustParsePrefix("2001:db8:0:1::1/128")})}
		}},
		{"groups", nil, func(w *world) []*daemon.Jail {
			j := w.jail("sshd", nil)
			j.Aggregator = jail.NewAggregator(jail.Aggregate{IPv4: 3, IPv6: 2}, nil, func(p netip.Prefix) bool {
				_, ok := j.Touches(p, time.Now())
				return ok
			})
			return []*daemon.Jail{j}
		}},
		{"adaptive", nil, func(w *world) []*daemon.Jail {
			j := w.jail("sshd", nil)
			j.Jail.Jail = w.detection("sshd", nil, 3, adaptive.New(adaptive.Default()))
			return []*daemon.Jail{j}
		}},
		{"several jails, offences in all count, repeat offenders", func(p *daemon.Plan) {
			p.Recidive = p.Jails[2]
			p.Recidivists = jail.NewRecidivists(jail.Recidive{Enabled: true, MaxRetry: 3, FindTime: 24 * time.Hour, BanTime: 6 * time.Hour}, nil)
		}, func(w *world) []*daemon.Jail {
			lax := w.jailOf("lax", nil, 5)
			lax.Length = func(n int, _ netip.Prefix) time.Duration { return 10 * time.Minute << (n - 1) }
			lax.Overall = true
			again := w.jail("recidive", nil)
			again.Accepts = func(*journal.Entry) bool { return false }
			return []*daemon.Jail{w.jail("sshd", nil), lax, again}
		}},
		{"a jail that simulates", nil, func(w *world) []*daemon.Jail {
			j := w.jail("sshd", nil)
			j.Simulate = true
			return []*daemon.Jail{j}
		}},
	}
}

// rulesOf are the rules of a plan for a replay.
func rulesOf(plan *daemon.Plan) replay.Rules {
	rules := replay.Rules{Recidivists: plan.Recidivists}
	for _, j := range plan.Jails {
		r := &replay.Jail{
			Jail: j.Jail, Accepts: j.Accepts, Ports: j.Ports, Simulate: j.Simulate,
		}
		rules.Jails = append(rules.Jails, r)
		if j == plan.Recidive {
			rules.Recidive = r
		}
	}
	return rules
}

// TestAsTheDaemon: a replay bans whom the daemon banned, at the same times and for the same reasons, and what it calls prevented is what the
// kernel stopped.
func TestAsTheDaemon(t *testing.T) {
	t.Parallel()
	for _, a := range arrangements() {
		t.Run(a.name, func(t *testing.T) {
			t.Parallel()
			bans := 0
			for seed := range uint64(5) {
				synctest.Test(t, func(t *testing.T) { bans += compareWithDaemon(t, a, seed) })
			}
			if bans < 15 {
				t.Errorf("%d bans: that is too little to compare", bans)
			}
		})
	}
}

// compareWithDaemon returns how many bans there were.
func compareWithDaemon(t *testing.T, a arrangement, seed uint64) int {
	w := newWorld(t)
	w.kernel = firewalltest.NewFake()
	w.jails = func() []*daemon.Jail { return a.jails(w) }
	if a.change != nil {
		w.change = a.change
	}
	w.start()
	p := &past{world: w, random: rand.New(rand.NewPCG(seed, 1)), since: make(map[string]time.Time)}
	for range 150 {
		p.pass([]time.Duration{400 * time.Millisecond, 2 * time.Second, 20 * time.Second, time.Minute, 30 * time.Minute}[p.random.IntN(20)%5])
		p.next()
	}
	w.hand()
	var want []string
	for _, e := range w.journal {
		if e.Kind == control.BanNew {
			until := ""
			if !e.Ban.Until.IsZero() {
				until = e.Ban.Until.UTC().Format(time.RFC3339Nano)
			}
			want = append(want, fmt.Sprint(e.Ban.Jail, " ", control.FormatPrefix(e.Ban.Prefix), " ", e.Ban.Since.UTC().Format(time.RFC3339Nano), " ", until,
				" ", e.Ban.Failures, " ", e.Ban.Offence, " ", e.Ban.Reason))
		}
	}
	w.end(w.d)
	plan := &daemon.Plan{Jails: a.jails(w)}
	w.change(plan)
	got, count := replayed(rulesOf(plan), p.log)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("seed %d: bans (-daemon +replay):\n%s", seed, diff)
	}
	if count.Prevented+count.Passed != count.Attempts {
		t.Errorf("seed %d: %d prevented and %d passed are not %d attempts", seed, count.Prevented, count.Passed, count.Attempts)
	}
	if stopped := int(count.Prevented + count.Denied); !slices.ContainsFunc(plan.Jails, func(j *daemon.Jail) bool { return j.Simulate }) &&
		len(plan.Jails) == 1 && stopped != p.lost {
		t.Errorf("seed %d: %d were stopped, and the kernel stopped %d", seed, stopped, p.lost)
	}
	return len(want)
}

// replayed returns the bans of a replay.
func replayed(rules replay.Rules, log []journal.Entry) (bans []string, count replay.Count) {
	r := replay.New(rules)
	r.Explain()
	for i := range log {
		r.Observe(rules.Jails, &log[i])
	}
	r.Finish()
	for b := range r.Bans {
		until := ""
		if b.Until != nil {
			until = b.Until.UTC().Format(time.RFC3339Nano)
		}
		bans = append(bans, fmt.Sprint(b.Jail, " ", b.Prefix, " ", b.At.UTC().Format(time.RFC3339Nano), " ", until, " ", b.Attempts, " ", b.Offence, " ", b.Reason))
	}
	return bans, r.Count()
}
