package e2e

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"exile/e2e/host"
	"exile/e2e/target"
)

// TestJustUnderTheLine: many addresses of a network guess four times each at root, one guess short of a ban. Together their
// points ban the network: ten addresses of a /24, five /64 of a /56.
func TestJustUnderTheLine(t *testing.T) {
	t.Parallel()
	g := boot(t, "backend: nftables\njails: {sshd: {detection: adaptive}}\n")
	for _, c := range []struct {
		network, addr string // %d is the number of an address
		addresses     int
		why           string
	}{
		{"203.0.113.0/24", "203.0.113.%d", 10, "network: 40 of 40 points in 1d by all its addresses, offence 1, step 1"},
		{"2001:db8:72::/56", "2001:db8:72:%d::1", 5, "network: 20 of 20 points in 1d by all its addresses, offence 1, step 1"},
	} {
		fresh := attacker(t, g, fmt.Sprintf(c.addr, 99))
		greeted(t, fresh)
		allGuess(t, g, c.addr, c.addresses)
		eventually(t, c.network+" is banned because of its addresses together", func() bool {
			return strings.Contains(inside(t, g, "exilectl", "list-bans", "--no-legend"), c.network)
		})
		silent(t, fresh)
		if out := inside(t, g, "exilectl", "status", fresh.Addr.String()); !strings.Contains(out, c.why) {
			t.Errorf("status of an address of %s does not say %q:\n%s", c.network, c.why, out)
		}
	}
	greeted(t, attacker(t, g, "198.51.100.72"))
	greeted(t, attacker(t, g, "2001:db8:73::1"))
}

// allGuess makes that many addresses guess four times each, all at once.
func allGuess(t *testing.T, g *target.Target, addr string, addresses int) {
	t.Helper()
	var all sync.WaitGroup
	for i := range addresses {
		a := attacker(t, g, fmt.Sprintf(addr, 1+i))
		all.Go(func() {
			err := untilBanned(t, g, a, func(ctx context.Context) error { return a.Guess(ctx, "root", 4) })
			if !errors.Is(err, host.ErrDenied) && !errors.Is(err, host.ErrCut) {
				t.Errorf("guesses of %s: %v", a.Addr, err)
			}
		})
	}
	all.Wait()
}
