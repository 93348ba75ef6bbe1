package replay

import (
	"net/netip"
	"testing"
	"time"

	"exile/internal/banning"
	"exile/jail"
	"exile/jail/filter"
)

// TestReasons: reasons of decisions that make no ban are not kept. A jail that simulates decides again at each attempt.
func TestReasons(t *testing.T) {
	t.Parallel()
	f, err := filter.New("sshd", filter.Options{})
	if err != nil {
		t.Fatal(err)
	}
	one, err := jail.New(jail.Config{
		Name: "sshd", Detection: jail.Threshold, MaxRetry: 3, FindTime: time.Hour, BanTime: time.Hour, IPv4Prefix: 32, IPv6Prefix: 64, MaxTracked: 100,
	}, f, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	j := &Jail{
		Simulate: true,
		Jail: banning.Jail{
			Jail: one, Name: "sshd", Remember: time.Hour, Length: func(int, netip.Prefix) time.Duration { return time.Hour },
		},
	}
	r := New(Rules{Jails: []*Jail{j}})
	r.Explain()
	begun := time.Unix(1_700_000_000, 0)
	for n := range 100 {
		r.now = begun.Add(time.Duration(n) * time.Second)
		r.decide(j, &jail.Decision{
			Prefix: netip.MustParsePrefix("192.0.2.1/32"), At: r.now, Until: r.now.Add(time.Hour), Failures: n,
			Reason: jail.Reason{Kind: jail.ByFailures, Count: n, Span: time.Hour},
		})
	}
	if bans, reasons := r.bench.len(), len(r.bench.reasons)-1; bans != 1 || reasons != 1 {
		t.Errorf("%d bans and %d reasons, want one of each", bans, reasons)
	}
}
