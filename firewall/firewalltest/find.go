package firewalltest

import (
	"testing"
	"time"

	"exile/firewall"
)

// testFind: of some keys, those that are banned are found, with their ends and what each has dropped; a lifted ban is not.
func testFind(t *testing.T, b *bench) {
	finder, ok := b.Backend.(firewall.Finder)
	if !ok {
		t.Fatal("the backend finds no single bans")
	}
	bans := []firewall.Ban{ban("10.9.0.2/32", until()), ban("10.9.0.9/32", until()), ban("fd09:0:1::/64", until()), ban("10.9.9.0/24", time.Time{})}
	if !b.lack(LacksPorts) {
		port := ban("10.9.0.2/32", until())
		port.Port = firewall.Port{Proto: 6, Number: 22}
		bans = append(bans, port)
	}
	b.add(t, bans...)
	keys := []firewall.Key{ban("10.9.0.3/32", until()).Key} // which is not banned
	for _, ban := range bans {
		keys = append(keys, ban.Key)
	}
	find := func() []firewall.Found {
		t.Helper()
		var found []firewall.Found
		b.host.Do(t, func() (err error) {
			found, err = finder.Find(t.Context(), keys)
			return err
		})
		return found
	}
	found := find()
	if len(found) != len(bans) {
		t.Fatalf("%d bans are found, want %d: %v", len(found), len(bans), found)
	}
	for i, f := range found {
		if f.Key != bans[i].Key || !b.lack(LacksExpiry) && f.Until.Sub(bans[i].Until).Abs() > 3*time.Second || f.Counts == b.lack(LacksTally) || f.Packets != 0 {
			t.Errorf("found %v, want %v", f, bans[i])
		}
	}
	b.free(t, "10.9.0.3", "fd09:0:2::1")
	b.shut(t, "10.9.0.2", single)
	b.shut(t, "fd09:0:1::1", single)
	for i, f := range find() {
		hit := i == 0 || i == 2
		if counted := f.Packets > 0 && f.Bytes >= 40*f.Packets; counted != (hit && !b.lack(LacksTally)) {
			t.Errorf("%v: %d packets, %d bytes", f.Key, f.Packets, f.Bytes)
		}
	}
	b.del(t, bans[0])
	if left := find(); len(left) != len(bans)-1 {
		t.Errorf("%d bans are found when one is lifted, want %d: %v", len(left), len(bans)-1, left)
	}
}
