package ipset

import (
	"testing"
	"time"

	"exile/firewall"
	"exile/firewall/firewalltest"
)

// TestVoid has another program take the rules away, and some bans be lifted before anybody notices: List says that nothing
// is enforced, so what the next change does not ask for must go, though the sets still had it.
func TestVoid(t *testing.T) {
	t.Parallel()
	for _, flush := range []string{"nft flush ruleset", "nft flush ruleset; ipset destroy"} {
		t.Run(flush, func(t *testing.T) {
			t.Parallel()
			ns := firewalltest.New(t)
			b := open(t, Config{NetNS: ns.FD})
			unprotect(t, b)
			all := append(firewalltest.Many(1200, false, time.Now().Add(time.Hour)), firewalltest.Many(1200, true, time.Time{})...)
			limited := all[0]
			limited.Port = firewall.Port{Proto: 6, Number: 22}
			all = append(all, limited)
			kept := all[1000:2000]
			apply := func(c firewall.Change) {
				t.Helper()
				if err := b.Apply(t.Context(), c); err != nil {
					t.Fatal(err)
				}
			}
			apply(firewall.Change{Add: all})
			ns.Exec(t, "sh", "-c", flush)
			holds(t, b, nil)
			apply(firewall.Change{Add: kept})
			holds(t, b, kept)
			apply(firewall.Change{Add: all}) // the sets are good for more
			holds(t, b, all)
		})
	}
}
