package e2e

import (
	"strings"
	"testing"
)

// TestFull: with as many bans as max_bans allows, a new attacker is still banned, the oldest bans make room, and the status
// says so. A flush lifts them all and is one journal entry.
func TestFull(t *testing.T) {
	t.Parallel()
	g := boot(t, "backend: nftables\nmax_bans: 1000\njails: {sshd: {detection: threshold, maxretry: 2}}\n")
	many := `for i in $(seq 0 1199); do echo "{\"address\":\"10.1.$((i/250)).$((i%250))\",\"jail\":\"sshd\",\"until_usec\":null}"; done | exilectl import -q`
	inside(t, g, "sh", "-c", many)
	a := attacker(t, g, "203.0.113.81")
	for range 2 {
		try(t, g, a, "root")
	}
	if _, err := g.WaitBan(limit(t, patience), a.Addr, 1); err != nil {
		t.Fatal(err)
	}
	silent(t, a)
	for _, want := range []string{"bans-full: There are as many bans as max_bans allows", "1000 wanted, 1000 in the kernel", "201 bans lifted early"} {
		eventually(t, "the status says "+want, func() bool { return strings.Contains(waitStatus(t, g, 3), want) })
	}
	inside(t, g, "exilectl", "flush")
	if out := inside(t, g, "sh", "-c", "nft list table inet exile | grep -c 10.1. || true"); strings.TrimSpace(out) != "0" {
		t.Errorf("%s bans are in the kernel after the flush", out)
	}
	journal := []string{"journalctl", "-b", "-u", "exiled", "-o", "cat", "EXILE_REASON=flush"}
	eventually(t, "the journal hears of a sum", func() bool { return strings.Contains(inside(t, g, journal...), "bans in jail sshd: flush") })
	if said := inside(t, g, journal...); strings.Count(said, "\n") > 110 {
		t.Errorf("a flush of 1000 bans is %d entries:\n%s", strings.Count(said, "\n"), said[:500])
	}
}
