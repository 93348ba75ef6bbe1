package ipset

import (
	"testing"

	"exile/firewall"
	"exile/firewall/firewalltest"
)

// TestSetsWithoutCounters takes over sets of an earlier version, which counted nothing, while rules look into them: no ban is lost, and from
// now on each counts.
func TestSetsWithoutCounters(t *testing.T) {
	t.Parallel()
	ns := firewalltest.New(t)
	ns.Exec(t, "sh", "-c", "ipset create exile4 hash:net timeout 0 maxelem 131072; ipset add exile4 192.0.2.1 timeout 3600; ipset add exile4 192.0.2.128/25 timeout 0")
	b := open(t, Config{NetNS: ns.FD})
	bans, err := b.List(t.Context())
	if err != nil || len(bans) != 2 {
		t.Fatalf("%v, %v: want the two bans that were there", bans, err)
	}
	var keys []firewall.Key
	for _, ban := range bans {
		keys = append(keys, ban.Key)
	}
	found, err := b.Find(t.Context(), keys)
	if err != nil || len(found) != 2 || !found[0].Counts || !found[1].Counts {
		t.Errorf("%v, %v: want both, with counters", found, err)
	}
	if sets := ns.Exec(t, "ipset", "list", "-n"); sets != "exile4\nexile6\nexile4-port\nexile6-port\n" {
		t.Errorf("the sets are\n%s", sets)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	again := open(t, Config{NetNS: ns.FD})
	if n, err := again.Count(t.Context()); err != nil || n != 2 {
		t.Errorf("the next run counts %d bans, %v", n, err)
	}
}

// TestSetThatStaysWithoutCounters: what stands in the way of a set that counts keeps nobody from banning.
func TestSetThatStaysWithoutCounters(t *testing.T) {
	t.Parallel()
	ns := firewalltest.New(t)
	ns.Exec(t, "sh", "-c", `ipset create exile4 hash:net timeout 0 maxelem 131072; ipset add exile4 192.0.2.1 timeout 3600
		ipset create exile4-grow hash:net; iptables -A INPUT -m set --match-set exile4-grow src -j DROP`)
	b := open(t, Config{NetNS: ns.FD})
	bans, err := b.List(t.Context())
	if err != nil || len(bans) != 1 {
		t.Fatalf("%v, %v: want the ban that was there", bans, err)
	}
	found, err := b.Find(t.Context(), []firewall.Key{bans[0].Key})
	if err != nil || len(found) != 1 || found[0].Counts {
		t.Errorf("%v, %v: want one, without counters", found, err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
}
