package replay_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"exile/internal/banning"
	"exile/internal/replay"
	"exile/jail"
	"exile/jail/adaptive"
	"exile/jail/filter"
	"exile/journal"
)

// TestGrid: each column of a grid is what a replay of its rule alone says, on random logs in which clocks are set back, connections overlap, addresses
// share networks, and guessers log in.
func TestGrid(t *testing.T) {
	t.Parallel()
	for seed := range uint64(20) {
		log := twoServices(rand.New(rand.NewPCG(seed, 19)), 3000)
		var sets []replay.Rules
		for side := range sides {
			sets = append(sets, gridRules(t, side))
		}
		g := replay.NewGrid(sets)
		mute := int(seed%3) * 400
		g.Mute(mute > 0)
		for i := range log {
			if i == mute {
				g.Mute(false)
			}
			g.Observe(&log[i])
		}
		g.Finish()
		if g.More() {
			t.Error("something was forgotten")
		}
		all := g.Tried()
		for side := range sides {
			alone, want, count := replayAlone(t, side, log, mute)
			if all[side] != want {
				t.Errorf("seed %d, rule %d: %+v in the grid, %+v alone", seed, side, all[side], want)
			}
			got, sources := g.Count()
			if got != count || sources != alone.Sources {
				t.Errorf("seed %d, rule %d: %+v of %d in the grid, %+v of %d alone", seed, side, got, sources, count, alone.Sources)
			}
			if owners := g.Owners(side, 1000); len(owners) != len(alone.False) {
				t.Errorf("seed %d, rule %d: %d owners, %d false alarms", seed, side, len(owners), len(alone.False))
			}
		}
	}
}

func replayAlone(t *testing.T, side int, log []journal.Entry, mute int) (replay.Report, replay.Tried, replay.Count) {
	t.Helper()
	rules := gridRules(t, side)
	r := replay.New(rules)
	r.Mute(mute > 0)
	for i := range log {
		if i == mute {
			r.Mute(false)
		}
		r.Observe(rules.Jails, &log[i])
	}
	r.Finish()
	rep := r.Report()
	c := rep.Count
	return rep, replay.Tried{Bans: rep.Bans, Prevented: c.Prevented, Passed: c.Passed, Denied: c.Denied, FalseBans: len(rep.False)},
		replay.Count{Entries: c.Entries, Matched: c.Matched, Attempts: c.Attempts, Logins: c.Logins + c.Denied}
}

const sides = 10

// gridRules are two jails, the second with ports of its own, with rules that differ: four by threshold with a rule about repeat offenders, whose bans
// become longer or are grouped, and two adaptive.
func gridRules(t *testing.T, side int) (rules replay.Rules) {
	t.Helper()
	for i, name := range []string{"sshd", "other"} {
		f, err := filter.New("sshd", filter.Options{})
		if err != nil {
			t.Fatal(err)
		}
		cfg := jail.Config{
			Name: name, Detection: jail.Threshold, MaxRetry: 2 + side%4, FindTime: []time.Duration{time.Minute, time.Hour}[side%2],
			BanTime: []time.Duration{5 * time.Minute, 2 * time.Hour, jail.Permanent}[side%3], IPv4Prefix: 32, IPv6Prefix: 64, MaxTracked: 1000, TrustLogins: time.Hour,
			Aggregate: jail.Aggregate{IPv4: 3 * (side % 2)},
		}
		var decides jail.Detector
		if side >= sides-2 {
			cfg.Detection = jail.Adaptive
			settings := adaptive.Default()
			settings.MaxRetry = float64(3 + side%2)
			decides = adaptive.New(settings)
		}
		one, err := jail.New(cfg, f, nil, decides)
		if err != nil {
			t.Fatal(err)
		}
		one.SpareSessions(true)
		j := &replay.Jail{
			Jail: banning.Jail{
				Jail: one, Name: name, Remember: 24 * time.Hour, Overall: side%3 == 1,
				Length: func(n int, _ netip.Prefix) time.Duration { return cfg.BanTime * time.Duration(1+(n-1)*(side%2)) },
			},
			Simulate: side == 4, Accepts: func(e *journal.Entry) bool { return int(e.UID) == i },
		}
		if cfg.BanTime == jail.Permanent {
			j.Length = func(int, netip.Prefix) time.Duration { return jail.Permanent }
		}
		j.Aggregator = jail.NewAggregator(cfg.Aggregate, nil, func(p netip.Prefix) bool {
			_, ok := one.Touches(p, j.Now())
			return ok
		})
		rules.Jails = append(rules.Jails, j)
	}
	return rules
}

// twoServices is what two services log.
func twoServices(random *rand.Rand, n int) (log []journal.Entry) {
	at := time.Unix(1_700_000_000, 0).UTC()
	for i := range n {
		at = at.Add(time.Duration(random.IntN(20_000)) * time.Millisecond)
		switch random.IntN(200) {
		case 0:
			at = at.Add(-time.Duration(random.IntN(7200)) * time.Second)
		case 1:
			at = at.Add(time.Duration(random.IntN(20)) * time.Hour)
		}
		addr := fmt.Sprintf("192.0.2.%d", random.IntN(30))
		if random.IntN(4) == 0 {
			addr = fmt.Sprintf("2001:db8:0:%x::%x", random.IntN(5), random.IntN(3))
		}
		user := []string{"root", "admin", "alice", "bob"}[random.IntN(4)]
		pid := int32(random.IntN(40) + 10)
		line := fmt.Sprintf([]string{
			"Failed password for %s from %s port %d ssh2", "Failed password for invalid user %s from %s port %d ssh2",
			"Invalid user %s from %s port %d", "Connection closed by authenticating user %s %s port %d [preauth]",
			"Accepted password for %s from %s port %d ssh2", "Accepted publickey for %s from %s port %d ssh2", "Disconnected from user %s %s port %d",
			"pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser= user=%s rhost=%s port=%d",
		}[pick(random)], user, addr, 4000+pid)
		log = append(log, journal.Entry{Time: at, PID: pid, UID: int64(random.IntN(3)), Message: []byte(line), Boot: journal.ID{byte(i / 2000)}})
	}
	return log
}

// pick chooses a line: logins are seldom.
func pick(random *rand.Rand) int {
	if n := random.IntN(40); n < 4 {
		return 4 + n
	}
	return random.IntN(4)
}
