package daemon

import (
	"net/netip"
	"testing"

	"exile/firewall"
)

// A comparison in the turn that made a ban, or lifted one, repairs only what others did.
func TestUnasked(t *testing.T) {
	t.Parallel()
	key := func(addr string) firewall.Key { return firewall.Key{Prefix: netip.MustParsePrefix(addr + "/32")} }
	var k keeper
	k.touch(key("192.0.2.1"), key("192.0.2.3"))
	repair := k.unasked(firewall.Change{
		Add: []firewall.Ban{{Key: key("192.0.2.1")}, {Key: key("192.0.2.2")}},
		Del: []firewall.Key{key("192.0.2.3"), key("192.0.2.4")},
	})
	if len(repair.Add) != 1 || repair.Add[0].Key != key("192.0.2.2") || len(repair.Del) != 1 || repair.Del[0] != key("192.0.2.4") {
		t.Errorf("repaired: %+v; want what nobody here touched", repair)
	}
}
