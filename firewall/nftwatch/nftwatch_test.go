package nftwatch_test

import (
	"context"
	"testing"
	"time"

	"exile/firewall/firewalltest"
	"exile/firewall/nftwatch"
)

// TestWatch counts calls: one at the start, one for each change of our table, none for those of others.
func TestWatch(t *testing.T) {
	t.Parallel()
	ns := firewalltest.New(t)
	ctx, cancel := context.WithCancel(t.Context())
	calls, ended := make(chan struct{}, 100), make(chan error, 1)
	go func() { ended <- nftwatch.Watch(ctx, ns.FD, "ours", 0, func() { calls <- struct{}{} }) }()
	called := func(why string) {
		t.Helper()
		select {
		case <-calls:
		case <-time.After(2 * time.Minute):
			t.Fatalf("no call: %s", why)
		}
	}
	called("start")
	ns.Exec(t, "nft", "add table inet theirs")
	ns.Exec(t, "nft", "add table inet ours2; add chain inet ours2 ours")
	for _, command := range []string{
		"add table inet ours",
		"add chain inet ours c",
		"add rule inet ours c drop",
		"add set inet ours s { type ipv4_addr; }",
		"add element inet ours s { 192.0.2.1 }",
		"flush ruleset",
	} {
		ns.Exec(t, "nft", command)
		called(command)
		if len(calls) != 0 && command != "flush ruleset" { // which is several changes
			t.Fatalf("%d calls too many by the time of %q", len(calls), command)
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("Watch: %v", err)
	}
}
