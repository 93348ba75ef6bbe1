package firewall_test

import (
	"strings"
	"testing"

	"exile/firewall"
)

func TestValidBlocklistName(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]bool{
		"spamhaus": true, "fire-hol_1.v4": true, "9": true, "": false, "-a": false, ".": false, "A": false, "a/b": false, "ä": false,
		strings.Repeat("a", firewall.MaxBlocklistName): true, strings.Repeat("a", firewall.MaxBlocklistName+1): false,
	} {
		if got := firewall.ValidBlocklistName(name); got != want {
			t.Errorf("ValidBlocklistName(%q) = %t", name, got)
		}
	}
}
