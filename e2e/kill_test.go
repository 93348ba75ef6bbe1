package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"exile/e2e/host"
	"exile/e2e/target"
)

const (
	kills      = 300
	fewerKills = 60 // on a root file system other than this machine's, where only journald and sshd differ
	nGuessers  = 50 // half of them of each family
	inParallel = 6  // so many guess at the same time
	enough     = 4  // guesses that ban
	killsLimit = 10 * time.Minute
)

// TestKills: while fifty addresses guess, each a fixed number of times, exiled is killed three hundred times at random
// moments. In the end each guess counts once, each address has the one ban that it deserves or none, the journal tells of
// each ban, and no banned address got in for a moment.
func TestKills(t *testing.T) {
	t.Parallel()
	g := off(t, "backend: ipset\njails:\n  sshd:\n    maxretry: "+strconv.Itoa(enough)+"\n    findtime: 1h\n    bantime: 1d\n")
	inside(t, g, "sh", "-c", `mkdir -p /etc/systemd/system/exiled.service.d &&
		printf '[Service]\nRestartSec=50ms\n' >/etc/systemd/system/exiled.service.d/soon.conf && systemctl daemon-reload`)
	if err := g.Activate(limit(t, patience)); err != nil {
		t.Fatal(err)
	}
	ctx := limit(t, killsLimit)
	times := kills
	if *root != "/" {
		times = fewerKills
	}
	killed := make(chan error, 1)
	go func() { killed <- massacre(ctx, t, g, times) }()
	guesses, attackers := guessers(t, g)
	over, stop := context.WithCancel(ctx)
	var knocking sync.WaitGroup
	siege(ctx, t, g, attackers, guesses, func(a *host.Attacker) { knocking.Go(func() { neverAgain(over, t, g, a) }) })
	err := <-killed
	stop()
	knocking.Wait()
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "exiled was started again after every kill", func() bool {
		return inside(t, g, "systemctl", "show", "-P", "NRestarts", "exiled") == strconv.Itoa(times)
	})
	settle(ctx, t, g, guesses)
}

// killer has shell functions: one waits for the next exiled, the other also kills it when it is that many seconds old.
const killer = `
	next() {
		until read -r pid </sys/fs/cgroup/system.slice/exiled.service/cgroup.procs && [ "$pid" != "$last" ]; do sleep 0.01; done 2>/dev/null
	}
	end() {
		next
		sleep $1
		kill -9 "$pid"
		last=$pid
	}
	restarts() { systemctl show -P NRestarts exiled; }
`

// massacre kills exiled at random moments, a new process each time, until systemd has restarted it that many times: in the
// first milliseconds a kill may hit a process that is not yet the main one.
func massacre(ctx context.Context, t *testing.T, g *target.Target, times int) error {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed of the moments: %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	var script strings.Builder
	script.WriteString(killer)
	for range times {
		fmt.Fprintf(&script, "end 0.%03d\n", random.IntN(300))
	}
	fmt.Fprintf(&script, "while next; [ $(restarts) -lt %d ]; do end 0.1; done\n", times)
	_, err := g.Feed(ctx, script.String(), "sh")
	return err
}

// guessers returns the attackers and how often each guesses, from 1 up to enough.
func guessers(t *testing.T, g *target.Target) (guesses map[netip.Addr]int, attackers []*host.Attacker) {
	t.Helper()
	guesses = make(map[netip.Addr]int)
	for i := range nGuessers {
		addr := fmt.Sprintf("198.51.100.%d", i+1)
		if i%2 == 1 {
			addr = fmt.Sprintf("2001:db8:%x::1", 0x100+i) // one /48 each, so that they do not form a network
		}
		a := attacker(t, g, addr)
		attackers = append(attackers, a)
		guesses[a.Addr] = []int{enough, 1, enough, 2, 3}[i%5]
	}
	return guesses, attackers
}

// siege lets the attackers guess, a few at a time, and calls done for each one that has guessed often enough for a ban.
func siege(ctx context.Context, t *testing.T, g *target.Target, attackers []*host.Attacker, guesses map[netip.Addr]int, done func(*host.Attacker)) {
	t.Helper()
	var guessing sync.WaitGroup
	places := make(chan struct{}, inParallel)
	for _, a := range attackers {
		guessing.Go(func() {
			places <- struct{}{}
			guessAll(ctx, t, g, a, guesses[a.Addr])
			<-places
			if guesses[a.Addr] == enough {
				done(a)
			}
		})
	}
	guessing.Wait()
}

// guessAll makes n guesses, one per connection.
func guessAll(ctx context.Context, t *testing.T, g *target.Target, a *host.Attacker, n int) {
	for i := range n {
		err := until(ctx, func(ctx context.Context) error { return a.Guess(ctx, "root", 1) }, func(ctx context.Context) bool { return exiledBy(ctx, g, a) })
		last := i+1 == enough && errors.Is(err, host.ErrCut) // the ban may be faster than the answer
		if !errors.Is(err, host.ErrDenied) && !last {
			t.Errorf("guess %d of %s: got %v, want %v", i+1, a.Addr, err, host.ErrDenied)
		}
	}
}

// exiledBy reports whether the kernel has the ban of the address. exiled cannot be asked while it is killed.
func exiledBy(ctx context.Context, g *target.Target, a *host.Attacker) bool {
	set := "exile4"
	if a.Addr.Is6() {
		set = "exile6"
	}
	_, err := g.Run(ctx, "ipset", "test", set, a.Addr.String())
	return err == nil
}

// neverAgain waits until the ban is in force, and knocks until ctx ends: no knock may ever be answered again.
func neverAgain(ctx context.Context, t *testing.T, g *target.Target, a *host.Attacker) {
	for ctx.Err() == nil && !exiledBy(ctx, g, a) {
		time.Sleep(100 * time.Millisecond)
	}
	knocks := 0
	for ctx.Err() == nil {
		knocks++
		if answered(ctx, a) {
			t.Errorf("%s was banned and got an answer to knock %d", a.Addr, knocks)
		}
	}
	t.Logf("%s knocked %d times", a.Addr, knocks)
}

// answered reports whether the host answers a packet to a port that nobody listens on. At sshd's port it would count as a
// connection.
func answered(ctx context.Context, a *host.Attacker) bool {
	moment, done := context.WithTimeout(ctx, 300*time.Millisecond)
	defer done()
	conn, err := a.Dial(moment, 9)
	if err == nil {
		_ = conn.Close() // an open port is all we want to know
	}
	return err == nil || errors.Is(err, syscall.ECONNREFUSED)
}

// settle waits until all guesses are counted, and checks that each was counted once.
func settle(ctx context.Context, t *testing.T, g *target.Target, guesses map[netip.Addr]int) {
	t.Helper()
	late := attacker(t, g, "203.0.113.9") // after all of them in the journal
	guess(t, late, 1)
	counted(t, g, late, 1)
	guesses[late.Addr] = 1
	bans, failures := make(map[string]string), make(map[string]string)
	for addr, n := range guesses {
		p := netip.PrefixFrom(addr, 32)
		if addr.Is6() {
			p = netip.PrefixFrom(addr, 64).Masked()
		}
		if n < enough {
			failures[p.String()] = fmt.Sprint(n, " guesses")
		} else {
			bans[p.String()] = fmt.Sprint(n, " guesses, ban 1")
		}
	}
	told := announced(t, g)
	for p := range bans {
		if n := len(told[strings.TrimSuffix(p, "/32")]); n != 1 {
			t.Errorf("the journal tells of %d bans of %s", n, p)
		}
	}
	for verb, want := range map[string]map[string]string{"list-bans": bans, "list-failures": failures} {
		rows, err := g.List(ctx, verb)
		if err != nil {
			t.Fatal(err)
		}
		got := make(map[string]string)
		for p, row := range rows {
			got[p.String()] = fmt.Sprint(row.Failures, " guesses")
			if row.Offence > 0 {
				got[p.String()] += fmt.Sprint(", ban ", row.Offence)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", verb, diff)
		}
	}
}

// announced returns the start times of the bans in the journal, by address. Where exiled was killed the journal may tell of
// one twice.
func announced(t *testing.T, g *target.Target) map[string]map[string]bool {
	t.Helper()
	told := make(map[string]map[string]bool)
	for line := range strings.Lines(inside(t, g, "journalctl", "-b", "-q", "-o", "json", "EXILE_EVENT=ban")) {
		var e struct {
			Address string `json:"EXILE_ADDRESS"`
			Since   string `json:"EXILE_SINCE"`
		}
		if err := json.Unmarshal([]byte(line), &e); err != nil || e.Since == "" {
			t.Errorf("%v: %q", err, line)
		}
		if told[e.Address] == nil {
			told[e.Address] = make(map[string]bool)
		}
		told[e.Address][e.Since] = true
	}
	return told
}
