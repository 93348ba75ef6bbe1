package ipset

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"exile/firewall"
	"exile/firewall/firewalltest"
)

// TestConformanceUnprotected is the suite on a kernel older than 6.9, where other programs can flush our tables.
func TestConformanceUnprotected(t *testing.T) {
	t.Parallel()
	firewalltest.Run(t, func(t *testing.T, ns firewalltest.NetNS) firewall.Backend {
		b := open(t, Config{NetNS: ns.FD})
		bans, err := b.List(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := b.Destroy(t.Context()); err != nil {
			t.Fatal(err)
		}
		b.rules.flags = 0
		if err := b.Apply(t.Context(), firewall.Change{Add: bans}); err != nil {
			t.Fatal(err)
		}
		return b
	})
}

// TestFallsBack has the kernel refuse the flags of the table.
func TestFallsBack(t *testing.T) {
	t.Parallel()
	b := open(t, Config{NetNS: firewalltest.New(t).FD})
	if b.rules.flags != protected {
		t.Skip("SKIPPED: this kernel has no owned and persistent tables")
	}
	if err := b.Destroy(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.rules.flags = 1 << 10 // none that a kernel knows
	if err := b.Apply(t.Context(), firewall.Change{Add: firewalltest.Many(1, false, time.Time{})}); err != nil {
		t.Fatal(err)
	}
	if b.rules.flags != 0 {
		t.Errorf("flags %v after the refusal, want none", b.rules.flags)
	}
	if whole, err := b.intact(); err != nil || !whole {
		t.Errorf("rules whole: %t, %v", whole, err)
	}
}

// TestGrows fills sets beyond their size, in small and in large steps, through to a restart.
func TestGrows(t *testing.T) {
	t.Parallel()
	ns, until := firewalltest.New(t), time.Now().Add(time.Hour)
	all := append(firewalltest.Many(3000, false, until), firewalltest.Many(3000, true, until)...)
	for i := range 1000 { // the sets for ports as well
		ban := all[i*6]
		ban.Port = firewall.Port{Proto: unix.IPPROTO_TCP, Number: 22}
		all = append(all, ban)
	}
	all[0].Until = time.Time{}
	for _, step := range []int{7, 100, len(all)} {
		t.Run(fmt.Sprint(step), func(t *testing.T) {
			b := open(t, Config{NetNS: ns.FD, MaxElem: 64})
			for i := 0; i < len(all); i += step {
				c := firewall.Change{Add: all[i:min(i+step, len(all))]}
				if err := b.Apply(t.Context(), c); err != nil {
					t.Fatal(err)
				}
			}
			holdsRoughly(t, b, all)
			if err := b.Apply(t.Context(), firewall.Change{Add: all}); err != nil { // as after a comparison
				t.Fatal(err)
			}
			holds(t, b, all)
			b.Close()
			b = open(t, Config{NetNS: ns.FD, MaxElem: 64})
			holds(t, b, all)
			if got := strings.Count(ns.Exec(t, "ipset", "list", "-n"), "\n"); got != 4 {
				t.Errorf("%d sets, want 4", got)
			}
			if err := b.Destroy(t.Context()); err != nil {
				t.Fatal(err)
			}
			b.Close()
		})
	}
}

// holdsRoughly allows each ban to end late by a second for each time that its set grew.
func holdsRoughly(t *testing.T, b *Backend, want []firewall.Ban) {
	t.Helper()
	have, err := b.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ends := make(map[firewall.Key]time.Time)
	for _, ban := range want {
		ends[ban.Key] = ban.Until
	}
	for i, ban := range have {
		late := ban.Until.Sub(ends[ban.Key])
		if _, ok := ends[ban.Key]; !ok || late < -time.Second || late > 10*time.Second {
			t.Errorf("%v ends %v late", ban.Key, late)
		}
		have[i].Until = ends[ban.Key]
	}
	if c := firewall.Diff(want, have); !c.Empty() {
		t.Errorf("kernel lacks %d bans and has %d too many", len(c.Add), len(c.Del))
	}
}

func holds(t *testing.T, b *Backend, want []firewall.Ban) {
	t.Helper()
	have, err := b.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if c := firewall.Diff(want, have); !c.Empty() {
		t.Errorf("kernel lacks %d bans and has %d too many", len(c.Add), len(c.Del))
	}
}

// TestFaults has the kernel refuse one command in the middle of work, and then heals it: no ban may stay lost, the
// errno must be found, and the error must say what to do.
func TestFaults(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		cmd    int
		errno  syscall.Errno
		remedy string
	}{
		{nl.IPSET_CMD_ADD, unix.ENOBUFS, "short of memory"},
		{nl.IPSET_CMD_ADD, unix.ENOMEM, "ban in ipset exile4"},
		{nl.IPSET_CMD_ADD, unix.ENOENT, "ban in ipset exile4"},
		{nl.IPSET_CMD_ADD, unix.EPERM, "CAP_NET_ADMIN"},
		{nl.IPSET_CMD_ADD, unix.EAGAIN, "in time"},
		{nl.IPSET_CMD_CREATE, nl.IPSET_ERR_FIND_TYPE, "load modules"},
		{nl.IPSET_CMD_CREATE, nl.IPSET_ERR_MAX_SETS, "max_sets"},
		{nl.IPSET_CMD_SWAP, unix.ENOBUFS, "short of memory"},
		{nl.IPSET_CMD_LIST, unix.ENOMEM, "ban in ipset exile4"},
	} {
		t.Run(fmt.Sprint(c.cmd, c.errno), func(t *testing.T) {
			t.Parallel()
			ns := firewalltest.New(t)
			b := open(t, Config{NetNS: ns.FD, MaxElem: 64})
			want := firewalltest.Many(1000, false, time.Now().Add(time.Hour)) // has to grow as well
			few := firewall.Change{Add: want[:10]}
			if err := b.Apply(t.Context(), few); err != nil {
				t.Fatal(err)
			}
			healthy := b.kernel.call
			b.kernel.call = func(cmd, flags int, payload []byte, each func([]byte)) error {
				if cmd == c.cmd {
					return c.errno
				}
				return healthy(cmd, flags, payload, each)
			}
			err := b.Apply(t.Context(), firewall.Change{Add: want})
			if !errors.Is(err, c.errno) || !strings.Contains(err.Error(), c.remedy) {
				t.Errorf("error %v, want one that is %v and says %q", err, c.errno, c.remedy)
			}
			b.kernel.call = healthy
			have, err := b.List(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if lost := firewall.Diff(want[:10], have); len(lost.Add) != 0 {
				t.Errorf("%d bans that held are lost", len(lost.Add))
			}
			if err := b.Apply(t.Context(), firewall.Diff(want, have)); err != nil {
				t.Fatalf("repair: %v", err)
			}
			holds(t, b, want)
			if got := strings.Count(ns.Exec(t, "ipset", "list", "-n"), "\n"); got != 4 {
				t.Errorf("%d sets after the repair, want 4", got)
			}
		})
	}
}

// TestNotPermitted opens the backend without the capability.
func TestNotPermitted(t *testing.T) {
	t.Parallel()
	ns := firewalltest.New(t)
	b := &Backend{cfg: Config{NetNS: ns.FD, Name: "exile"}}
	k, err := dial(ns.FD)
	if err != nil {
		t.Fatal(err)
	}
	b.kernel = k
	t.Cleanup(k.close)
	k.call = func(int, int, []byte, func([]byte)) error { return unix.EPERM }
	err = b.adopt(&set{name: "exile4", kind: hashNet, family: unix.AF_INET})
	if err = explain(err); !errors.Is(err, unix.EPERM) || !strings.Contains(err.Error(), "CAP_NET_ADMIN") {
		t.Errorf("error %v, want EPERM that names CAP_NET_ADMIN", err)
	}
}

// TestForeignSet has another program hold one of our names.
func TestForeignSet(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		{"exile4", "hash:ip", "timeout", "0"},
		{"exile4", "hash:net"},
		{"exile4", "hash:net", "family", "inet6", "timeout", "0"},
		{"exile6-port", "bitmap:port", "range", "0-100"},
	} {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			t.Parallel()
			ns := firewalltest.New(t)
			ns.Exec(t, "ipset", append([]string{"create"}, args...)...)
			b, err := New(Config{NetNS: ns.FD})
			if err == nil {
				b.Close()
			}
			if !errors.Is(err, unix.EEXIST) || !strings.Contains(err.Error(), "ipset destroy "+args[0]) {
				t.Errorf("error %v, want EEXIST with the remedy", err)
			}
			if l, err := firewall.Acquire(ns.FD); err != nil {
				t.Errorf("the lock is still held: %v", err)
			} else {
				l.Close()
			}
		})
	}
}

// TestStopsInTheMiddle ends the context after the first message.
func TestStopsInTheMiddle(t *testing.T) {
	t.Parallel()
	b := open(t, Config{NetNS: firewalltest.New(t).FD})
	ctx, cancel := context.WithCancel(t.Context())
	healthy, messages := b.kernel.call, 0
	b.kernel.call = func(cmd, flags int, payload []byte, each func([]byte)) error {
		if messages++; cmd == nl.IPSET_CMD_ADD {
			cancel()
		}
		return healthy(cmd, flags, payload, each)
	}
	all := firewalltest.Many(10*perMessage, false, time.Time{})
	if err := b.Apply(ctx, firewall.Change{Add: all}); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want context.Canceled", err)
	}
	have, err := b.List(t.Context())
	if err != nil || len(have) != perMessage {
		t.Errorf("%d bans, %v; want the first message's %d", len(have), err, perMessage)
	}
}
