package main

import (
	"net/netip"
	"testing"

	"exile/internal/control"
)

// An address banned because of others in its network is told so.
func TestBannedAsGroup(t *testing.T) {
	t.Parallel()
	own := control.Ban{Prefix: netip.MustParsePrefix("192.0.2.7/32"), Origin: control.OriginJournal}
	group := control.Ban{Prefix: netip.MustParsePrefix("192.0.2.0/24"), Origin: control.OriginGroup}
	byHand := control.Ban{Prefix: netip.MustParsePrefix("192.0.2.0/24"), Origin: control.OriginManual}
	for want, bans := range map[string][][]control.Ban{
		"not banned":                      {nil},
		"banned":                          {{own}, {byHand}, {own, group}, {group, byHand}},
		"banned with all of 192.0.2.0/24": {{group}},
	} {
		for _, of := range bans {
			if got := banned(of); got != want {
				t.Errorf("%v: %q, want %q", of, got, want)
			}
		}
	}
}
