package replay_test

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"exile/internal/banning"
	"exile/internal/replay"
	"exile/jail"
	"exile/jail/filter"
	"exile/journal"
)

// TestCompareNetworks: a network of IPv6 that one side bans for an address, and the other that address alone, is no difference; another address
// of it is none either, but a network of which the other side has banned nobody is one.
func TestCompareNetworks(t *testing.T) {
	t.Parallel()
	c, here := newComparison(t, false)
	at := time.Unix(1_700_000_000, 0)
	for range 3 {
		guess(c, &at, "2001:db8::1")
	}
	for n := range 3 {
		guess(c, &at, fmt.Sprint("2001:db8:1::", 1+n))
	}
	for range 3 {
		guess(c, &at, "192.0.2.1")
	}
	list, total := c.Differences()
	if total != 1 || list[0].Prefix != "2001:db8:1::/64" || !list[0].Here {
		t.Errorf("differences: %+v", list)
	}
	if n := here.Report().Bans; n != 3 {
		t.Errorf("%d bans", n)
	}
}

// TestOnlyRecidive: whom the rule about repeat offenders bans was banned before, and that counts.
func TestOnlyRecidive(t *testing.T) {
	t.Parallel()
	c, here := newComparison(t, true)
	at := time.Unix(1_700_000_000, 0)
	for range 3 {
		guess(c, &at, "192.0.2.1")
	}
	if n := here.Report().Bans; n != 2 {
		t.Errorf("%d bans, want one of the jail and one of the rule", n)
	}
	if one, other := c.Only(); one != 0 || other != 0 {
		t.Errorf("%d and %d addresses were banned by one side alone", one, other)
	}
}

// guess is a wrong password of a new connection, a second after the last.
func guess(c *replay.Comparison, at *time.Time, addr string) {
	*at = at.Add(time.Second)
	c.ObserveBoth(&journal.Entry{
		Time: *at, Identifier: "sshd", PID: int32(at.Unix() % 1000), Message: fmt.Appendf(nil, "Failed password for root from %s port 4000 ssh2", addr),
	})
}

// nobody is an allow list without anybody.
type nobody struct{}

func (nobody) Allowed(netip.Addr, time.Time) (why string, ok bool) { return "", false }

// newJail returns a jail with that detector; nil: its own.
func newJail(t *testing.T, d jail.Detector) *jail.Jail {
	t.Helper()
	f, err := filter.New("sshd", filter.Options{})
	if err != nil {
		t.Fatal(err)
	}
	j, err := jail.New(jail.Config{
		Name: "sshd", Detection: jail.Threshold, MaxRetry: 3, FindTime: time.Hour, BanTime: time.Hour, IPv4Prefix: 32, IPv6Prefix: 64, MaxTracked: 100,
	}, f, nobody{}, d)
	if err != nil {
		t.Fatal(err)
	}
	return j
}

// newComparison compares a jail, and perhaps the rule about repeat offenders, with a jail that counts lines.
func newComparison(t *testing.T, recidive bool) (*replay.Comparison, *replay.Replay) {
	t.Helper()
	here, jails := newReplay(t, 1000)
	if rule := (jail.Recidive{Enabled: true, MaxRetry: 1, FindTime: time.Hour, BanTime: 24 * time.Hour}); recidive {
		again := &replay.Jail{
			Accepts: func(*journal.Entry) bool { return false },
			Jail: banning.Jail{
				Jail: newJail(t, nil), Name: "recidive", Length: func(int, netip.Prefix) time.Duration { return rule.BanTime }, Remember: time.Hour,
			},
		}
		here = replay.New(replay.Rules{Jails: append(jails, again), Recidive: again, Recidivists: jail.NewRecidivists(rule, nil)})
	}
	f, err := filter.New("sshd", filter.Options{})
	if err != nil {
		t.Fatal(err)
	}
	there := replay.New(replay.Rules{Jails: []*replay.Jail{{
		Jail: banning.Jail{Jail: newJail(t, replay.Silent{}), Name: "sshd"}, Accepts: func(*journal.Entry) bool { return true }, Friends: nobody{},
		Lines: &replay.Lines{Filter: f, SSHD: true, MaxRetry: 3, FindTime: 10 * time.Minute, BanTime: time.Hour},
	}}})
	return replay.Compare(here, there), here
}
