package route

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"exile/firewall"
	"exile/firewall/firewalltest"
	"exile/firewall/internal/bulk"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

func opened(t testing.TB, ns firewalltest.NetNS) *Backend {
	t.Helper()
	b, err := New(Config{NetNS: ns.FD})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

func ban(prefix string, until time.Time) firewall.Ban {
	return firewall.Ban{Key: firewall.Key{Prefix: netip.MustParsePrefix(prefix)}, Until: until}
}

func apply(t testing.TB, b *Backend, c firewall.Change) {
	t.Helper()
	if err := b.Apply(t.Context(), c); err != nil {
		t.Fatal(err)
	}
}

func list(t testing.TB, b *Backend) []firewall.Ban {
	t.Helper()
	bans, err := b.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return bans
}

// wantBans compares what the kernel has, by the backend's word, with want.
func wantBans(t testing.TB, b *Backend, want []firewall.Ban) {
	t.Helper()
	byPrefix := func(a, b firewall.Ban) int { return cmp.Compare(a.Prefix.String(), b.Prefix.String()) }
	have := list(t, b)
	slices.SortFunc(have, byPrefix)
	want = slices.SortedFunc(slices.Values(want), byPrefix)
	equal := gocmp.Comparer(func(a, b firewall.Ban) bool { return a.Key == b.Key && a.Until.Equal(b.Until) })
	if diff := gocmp.Diff(want, have, equal); diff != "" {
		t.Errorf("bans (-want +got):\n%s", diff)
	}
}

var (
	soon  = time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	later = soon.Add(time.Hour)
)

func TestEndsOutliveARestart(t *testing.T) {
	t.Parallel()
	ns := firewalltest.New(t)
	want := []firewall.Ban{ban("192.0.2.1/32", soon), ban("2001:db8:1::/64", later), ban("198.51.100.0/24", time.Time{})}
	b := opened(t, ns)
	apply(t, b, firewall.Change{Add: append(want, ban("203.0.113.9/32", soon))})
	b.Close()

	b = opened(t, ns)
	heard := monitor(t, ns)
	c := firewall.Diff(want, list(t, b))
	if len(c.Add) != 3 || len(c.Del) != 1 {
		t.Fatalf("Diff after a restart = %v, want the three known ends added and the fourth ban deleted", c)
	}
	apply(t, b, c)
	wantBans(t, b, want)
	if diff := gocmp.Diff([]string{"RTM_DELROUTE 203.0.113.9/32"}, heard()); diff != "" {
		t.Errorf("changes in the kernel (-want +got):\n%s", diff)
	}
}

// monitor returns a function that returns what the kernel has told of our routes since.
func monitor(t *testing.T, ns firewalltest.NetNS) func() []string {
	t.Helper()
	conn, err := netlink.Dial(unix.NETLINK_ROUTE, &netlink.Config{
		NetNS:  ns.FD,
		Groups: unix.RTMGRP_IPV4_ROUTE | unix.RTMGRP_IPV6_ROUTE,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	c, _ := Config{}.withDefaults()
	names := map[netlink.HeaderType]string{unix.RTM_NEWROUTE: "RTM_NEWROUTE", unix.RTM_DELROUTE: "RTM_DELROUTE"}
	return func() (heard []string) {
		// The kernel queues what it tells before it returns from the change.
		_ = conn.SetReadDeadline(time.Now().Add(250 * time.Millisecond))
		for {
			messages, err := conn.Receive()
			if err != nil {
				return heard
			}
			for _, m := range messages {
				if p, ours, _ := c.parseRoute(m.Data); ours {
					heard = append(heard, fmt.Sprintf("%s %v", names[m.Header.Type], p))
				}
			}
		}
	}
}

// TestWiderBanLeavesNoGap: there is never a moment at which who was banned and is to stay so is not.
func TestWiderBanLeavesNoGap(t *testing.T) {
	t.Parallel()
	ns := firewalltest.New(t)
	b := opened(t, ns)
	narrow, wide := ban("2001:db8:1::/64", soon), ban("2001:db8::/32", soon)
	apply(t, b, firewall.Change{Add: []firewall.Ban{narrow}})
	heard := monitor(t, ns)
	apply(t, b, firewall.Change{Add: []firewall.Ban{wide}, Del: []firewall.Key{narrow.Key}})
	wantBans(t, b, []firewall.Ban{wide})
	want := []string{"RTM_NEWROUTE 2001:db8::/32", "RTM_DELROUTE 2001:db8:1::/64"}
	if diff := gocmp.Diff(want, heard()); diff != "" {
		t.Errorf("changes in the kernel (-want +got):\n%s", diff)
	}
}

func TestExtendingChangesNothingInTheKernel(t *testing.T) {
	t.Parallel()
	ns := firewalltest.New(t)
	b := opened(t, ns)
	apply(t, b, firewall.Change{Add: []firewall.Ban{ban("192.0.2.1/32", soon), ban("2001:db8::/64", soon)}})
	heard := monitor(t, ns)
	extended := []firewall.Ban{ban("192.0.2.1/32", later), ban("2001:db8::/64", time.Time{})}
	apply(t, b, firewall.Change{Add: extended})
	wantBans(t, b, extended)
	if got := heard(); got != nil {
		t.Errorf("extending made the kernel say %v, want nothing", got)
	}
}

func TestManyInBatches(t *testing.T) {
	t.Parallel()
	b := opened(t, firewalltest.New(t))
	var want []firewall.Ban
	for i := range 2*bulk.Max + 1 {
		a4 := netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)})
		a6 := netip.AddrFrom16([16]byte{0x20, 0x01, 0x0d, 0xb8, 0, 0, byte(i >> 8), byte(i)})
		want = append(want, ban(a4.String()+"/32", soon), ban(a6.String()+"/64", soon))
	}
	for range 2 { // the second time the kernel refuses each of them: they are there
		apply(t, b, firewall.Change{Add: want})
		wantBans(t, b, want)
	}
	var del []firewall.Key
	for _, b := range want[5:] {
		del = append(del, b.Key)
	}
	for range 2 {
		apply(t, b, firewall.Change{Del: del})
		wantBans(t, b, want[:5])
	}
}

func TestRouteOfAnotherStays(t *testing.T) {
	t.Parallel()
	ns := firewalltest.New(t)
	b := opened(t, ns)
	apply(t, b, firewall.Change{Add: []firewall.Ban{ban("192.0.2.1/32", soon)}})
	for _, r := range []string{"blackhole 203.0.113.1 proto 250", "unreachable 203.0.113.2 proto 166", "blackhole 203.0.113.3 proto 166 table 167"} {
		args := strings.Fields("route add table 166 " + r)
		if strings.Contains(r, "table 167") {
			args = strings.Fields("route add " + r)
		}
		ns.Exec(t, "ip", args...)
	}
	ns.Exec(t, "ip", "rule", "add", "pref", "101", "table", "166")
	wantBans(t, b, nil) // we left the table
	all := []firewall.Ban{ban("192.0.2.1/32", soon), ban("203.0.113.1/32", soon)}
	apply(t, b, firewall.Change{Add: all, Del: []firewall.Key{ban("203.0.113.2/32", soon).Key}})
	wantBans(t, b, all)
	if err := b.Destroy(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := "blackhole 203.0.113.1 proto 250 \nunreachable 203.0.113.2 proto 166 \n"
	if diff := gocmp.Diff(want, ns.Exec(t, "ip", "route", "show", "table", "166")); diff != "" {
		t.Errorf("table after Destroy (-want +got):\n%s", diff)
	}
	rules := ns.Exec(t, "ip", "rule") + ns.Exec(t, "ip", "-6", "rule")
	if strings.Contains(rules, "100:") || !strings.Contains(rules, "101:") {
		t.Errorf("rules after Destroy:\n%s", rules)
	}
}

func TestWithoutRuleNothingIsEnforced(t *testing.T) {
	t.Parallel()
	ns := firewalltest.New(t)
	b := opened(t, ns)
	want := []firewall.Ban{ban("192.0.2.1/32", soon), ban("2001:db8::/64", soon)}
	apply(t, b, firewall.Change{Add: want})
	ns.Exec(t, "ip", "-6", "rule", "del", "pref", "100")
	wantBans(t, b, want[:1])
	ns.Exec(t, "ip", "rule", "del", "pref", "100")
	wantBans(t, b, nil)
	apply(t, b, firewall.Diff(want, list(t, b)))
	wantBans(t, b, want)
}

func TestForeignFlushIsRepaired(t *testing.T) {
	t.Parallel()
	ns := firewalltest.New(t)
	b := opened(t, ns)
	want := []firewall.Ban{ban("192.0.2.1/32", soon), ban("192.0.2.2/32", soon), ban("2001:db8::/64", soon)}
	apply(t, b, firewall.Change{Add: want})

	touched := make(chan struct{}, 100)
	watched := make(chan error)
	go func() { watched <- b.Watch(t.Context(), func() { touched <- struct{}{} }) }()
	wait := func() {
		t.Helper()
		select {
		case <-touched:
		case err := <-watched:
			t.Fatalf("Watch ended: %v", err)
		}
	}
	wait() // it listens
	for _, flush := range []string{"route flush table 166", "-6 route flush table 166", "rule del pref 100", "-6 rule del pref 100"} {
		for len(touched) > 0 {
			<-touched
		}
		ns.Exec(t, "ip", strings.Fields(flush)...)
		wait()
		c := firewall.Diff(want, list(t, b))
		if len(c.Add) == 0 {
			t.Errorf("ip %s: nothing to repair", flush)
		}
		apply(t, b, c)
		wantBans(t, b, want)
	}
}

// TestOwnChangesWakeNobody makes more changes than a socket has room to be told of, and then has another make one.
func TestOwnChangesWakeNobody(t *testing.T) {
	t.Parallel()
	ns := firewalltest.New(t)
	b := opened(t, ns)
	touched := make(chan struct{}, 100_000)
	go func() {
		if err := b.Watch(t.Context(), func() { touched <- struct{}{} }); err != nil {
			t.Errorf("Watch: %v", err)
		}
	}()
	<-touched // it listens
	many := append(firewalltest.Many(20_000, false, soon), firewalltest.Many(20_000, true, soon)...)
	apply(t, b, firewall.Change{Add: many})
	var del []firewall.Key
	for _, ban := range many[1:] {
		del = append(del, ban.Key)
	}
	apply(t, b, firewall.Change{Del: del})
	if n := len(touched); n != 0 {
		t.Errorf("called %d times for our own changes", n)
	}
	ns.Exec(t, "ip", "route", "add", "blackhole", "203.0.113.1", "table", "166")
	ns.Exec(t, "ip", "route", "del", "blackhole", "11.0.0.0", "table", "166")
	<-touched
	if n := len(touched); n != 0 {
		t.Errorf("called %d times more than another changed what is ours", n)
	}
}

// TestOverrun has the kernel answer more than the socket has room for: it refuses each route, which is there already.
func TestOverrun(t *testing.T) {
	t.Parallel()
	b := opened(t, firewalltest.New(t))
	want := append(firewalltest.Many(2*bulk.Max, false, soon), firewalltest.Many(2*bulk.Max, true, soon)...)
	apply(t, b, firewall.Change{Add: want})
	more := append(want, ban("192.0.2.1/32", soon), ban("2001:db8::/64", soon))
	if err := b.conn.SetReadBuffer(1); err != nil {
		t.Fatal(err)
	}
	if err := b.Apply(t.Context(), firewall.Change{Add: more}); !errors.Is(err, unix.ENOBUFS) {
		t.Errorf("Apply = %v, want ENOBUFS", err)
	}
	if err := b.conn.SetReadBuffer(1 << 20); err != nil {
		t.Fatal(err)
	}
	c := firewall.Diff(more, list(t, b))
	if len(c.Add) == 0 {
		t.Error("List lacks nothing")
	}
	apply(t, b, c)
	wantBans(t, b, more)
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	ns := firewalltest.New(t)
	b := opened(t, ns)
	limited := ban("192.0.2.1/32", soon)
	limited.Port = firewall.Port{Proto: unix.IPPROTO_TCP, Number: 22}
	err := b.Apply(t.Context(), firewall.Change{Add: []firewall.Ban{ban("192.0.2.2/32", soon), limited}})
	if !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("Apply of a ban on a port = %v, want ErrUnsupported", err)
	}
	wantBans(t, b, nil)
	apply(t, b, firewall.Change{Del: []firewall.Key{limited.Key}}) // it is not there, so it is gone
	for _, c := range []Config{{Table: 253}, {Protocol: unix.RTPROT_STATIC}} {
		if _, err := New(c); err == nil {
			t.Errorf("New(%+v) succeeds", c)
		}
	}
}
