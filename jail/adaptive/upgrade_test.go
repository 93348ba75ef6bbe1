package adaptive

import (
	"net/netip"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The first edition's snapshot: six networks failed on "oracle" and on root a minute apart, one over IPv6 and IPv4 on "pi", three addresses of
// 203.0.113.0/24 were banned and so it was, 198.51.100.1 is one guess short of a ban, alice and bob logged in.
func TestUpgradePardonsNobody(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("testdata/snapshot-4")
	if err != nil {
		t.Fatal(err)
	}
	s := newScene()
	if err := s.Restore(4, data); err != nil {
		t.Fatal(err)
	}
	s.now = adaptiveStart.Add(minutes(10))
	for _, banned := range []string{"20.5.0.1", "22.0.0.1", "203.0.113.2", "203.0.113.99"} {
		s.fail(netip.MustParseAddr(banned), "oracle", true)
	}
	s.wants(t) // they are banned, and count no more
	s.now = adaptiveStart.Add(day)
	for _, c := range []struct {
		addr, user string
		unknown    bool
		want       string
	}{
		{"198.51.100.1", "root", false, "198.51.100.1/32 1h"}, // its fifth
		{"198.18.0.1", "oracle", true, "198.18.0.1/32 30d"},   // in six networks
		{"198.19.0.1", "pi", true, ""},                        // the two that tried it at once are one
		{"198.20.0.1", "pi", true, "198.20.0.1/32 1h"},        // a third
		{"203.0.113.1", "oracle", true, "203.0.113.1/32 30d"}, // a second offence
		{"192.0.2.1", "oracle", true, ""},                     // next to alice it is a fifth of five points
	} {
		before := len(s.banned())
		s.fail(netip.MustParseAddr(c.addr), c.user, c.unknown)
		got := ""
		if bans := s.banned()[before:]; len(bans) > 0 {
			got = bans[0]
		}
		if got != c.want {
			t.Errorf("%s on %q: banned %q, want %q", c.addr, c.user, got, c.want)
		}
	}
	if lines := s.Explain(addr4(203, 0, 113, 1), s.now); !contains(lines, "offences: 2, ") {
		t.Errorf("explained as %q", lines)
	}
	// Root was under siege, and 203.0.0.0/16 had bans: two guesses are enough.
	for range 2 {
		s.fail(addr4(8, 8, 8, 8), "root", false)
		s.fail(addr4(203, 0, 5, 5), "", false)
	}
	var got []string
	for _, v := range s.bans[len(s.bans)-2:] {
		got = append(got, v.Reason.String())
	}
	want := []string{
		"count: 5 of 5 points in 1d, weighed as a siege by 7 networks of an account that nobody uses, offence 1, step 1",
		"count: 2 of 2 points in 1d, in a network where somebody was banned, offence 1, step 1",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("reasons (-want +got):\n%s", diff)
	}
}
