package ipset

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"exile/firewall"
	"exile/firewall/firewalltest"
)

// TestConformanceUnprotected is the suite on a kernel older than 6.9, where other programs can flush our tables.
func TestConformanceUnprotected(t *testing.T) {
	t.Parallel()
	firewalltest.Run(t, func(t *testing.T, ns firewalltest.NetNS) firewall.Backend {
		b := open(t, Config{NetNS: ns.FD})
		unprotect(t, b)
		return b
	})
}

func unprotect(t testing.TB, b *Backend) {
	t.Helper()
	if err := b.rules.destroy(); err != nil {
		t.Fatal(err)
	}
	b.rules.flags = 0
	if err := b.build(); err != nil {
		t.Fatal(err)
	}
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

// TestFull fills a set up to the most that one may grow to: what is more is refused and said to be, and all else that is
// asked for at the same time is done, so that lifting a ban makes room.
func TestFull(t *testing.T) {
	t.Parallel()
	ns := firewalltest.New(t)
	b := open(t, Config{NetNS: ns.FD, MaxElem: 64})
	if b.most != 1<<24 {
		t.Errorf("a set grows up to %d bans, want 16777216", b.most)
	}
	b.most = 1000 // 1024, as the kernel's sets have powers of two
	until := time.Now().Add(time.Hour)
	bans, other := firewalltest.Many(1024+600, false, until), firewalltest.Many(1, true, until)
	held, kept, more := bans[:1024], bans[200:1024:1024], bans[1024:]
	if err := b.Apply(t.Context(), firewall.Change{Add: held}); err != nil {
		t.Fatal(err)
	}
	kept[0].Until = until.Add(time.Hour)
	refused := func(c firewall.Change) (in int) { // the kernel may take a few more than it says: it counts by regions
		t.Helper()
		err := b.Apply(t.Context(), c)
		if !errors.Is(err, errHashFull) || !strings.Contains(err.Error(), "1024 bans are the most that it holds: ban networks instead") {
			t.Errorf("too many bans: error %v, want that the set is full", err)
		}
		have, err := b.List(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		lacking := firewall.Diff(slices.Concat(kept, other, more), have)
		if slices.ContainsFunc(lacking.Add, func(ban firewall.Ban) bool { return !slices.Contains(more, ban) }) || len(lacking.Del) > 0 {
			t.Errorf("of what there is room for the kernel lacks some or has it too much: %v", lacking)
		}
		return len(more) - len(lacking.Add)
	}
	change := firewall.Change{Add: slices.Concat(more, kept[:1], other)}
	for _, ban := range held[:200] {
		change.Del = append(change.Del, ban.Key)
	}
	before := refused(change)
	if after := refused(change); before > 150 || after <= before {
		t.Errorf("of 600 bans too many %d are in, and %d when there was room for 200", before, after)
	}
	if got := strings.Count(ns.Exec(t, "ipset", "list", "-n"), "\n"); got != 4 {
		t.Errorf("%d sets, want 4", got)
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
		err    error
		remedy string
	}{
		{cmdAdd, unix.ENOBUFS, "short of memory"},
		{cmdAdd, unix.ENOMEM, "ban in ipset exile4"},
		{cmdAdd, unix.ENOENT, "ban in ipset exile4"},
		{cmdAdd, unix.EPERM, "CAP_NET_ADMIN"},
		{cmdAdd, os.ErrDeadlineExceeded, "in time"},
		{cmdCreate, errFindType, "load modules"},
		{cmdCreate, errMaxSets, "max_sets"},
		{cmdSwap, unix.ENOBUFS, "short of memory"},
		{cmdList, unix.ENOMEM, "ban in ipset exile4"},
	} {
		t.Run(fmt.Sprint(c.cmd, c.err), func(t *testing.T) {
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
					return c.err
				}
				return healthy(cmd, flags, payload, each)
			}
			err := b.Apply(t.Context(), firewall.Change{Add: want})
			if !errors.Is(err, c.err) || !strings.Contains(err.Error(), c.remedy) {
				t.Errorf("error %v, want one that is %v and says %q", err, c.err, c.remedy)
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

// TestPrivileges runs a backend in a process of user nobody, which has the one capability or has it not.
func TestPrivileges(t *testing.T) {
	t.Parallel()
	if os.Getenv("EXILE_TEST_PRIVILEGES") != "" {
		useAll(t)
		return
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		caps []uintptr
		says string
	}{
		{"with CAP_NET_ADMIN", []uintptr{unix.CAP_NET_ADMIN}, "all works"},
		{"without", nil, "exiled needs CAP_NET_ADMIN"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			ns := firewalltest.New(t)
			binary, err := os.Open(self) // by number, because nobody may not enter the test's folder
			if err != nil {
				t.Fatal(err)
			}
			defer binary.Close()
			cmd := exec.Command("/proc/self/fd/3", "-test.run=^TestPrivileges$")
			cmd.Env = []string{"EXILE_TEST_PRIVILEGES=1"}
			cmd.ExtraFiles = []*os.File{binary}
			nobody := &syscall.Credential{Uid: 65534, Gid: 65534}
			cmd.SysProcAttr = &syscall.SysProcAttr{Credential: nobody, AmbientCaps: c.caps}
			var out []byte
			ns.Do(t, func() error { out, err = cmd.CombinedOutput(); return nil })
			if !strings.Contains(string(out), c.says) {
				t.Errorf("says %q (%v), want %q", out, err, c.says)
			}
		})
	}
}

// useAll prints "all works", or the error.
func useAll(t *testing.T) {
	b, err := New(Config{MaxElem: 64})
	if err != nil {
		fmt.Println(err)
		return
	}
	all := firewalltest.Many(300, true, time.Time{})
	if err := b.Apply(t.Context(), firewall.Change{Add: all}); err != nil {
		t.Fatal(err)
	}
	holds(t, b, all)
	if err := errors.Join(b.Destroy(t.Context()), b.Close()); err != nil {
		t.Fatal(err)
	}
	if !t.Failed() {
		fmt.Println("all works")
	}
}

// TestForeignTable has another program hold the name of our tables: it keeps them.
func TestForeignTable(t *testing.T) {
	t.Parallel()
	for _, commands := range []string{
		"add table ip exile; add chain ip exile input { type filter hook input priority 0; }",
		"add table ip6 exile; add chain ip6 exile prerouting { type filter hook prerouting priority -310; }; " +
			"add rule ip6 exile prerouting tcp dport 22 accept",
	} {
		t.Run(commands, func(t *testing.T) {
			t.Parallel()
			ns := firewalltest.New(t)
			ns.Exec(t, "nft", commands)
			before := ns.Exec(t, "nft", "list", "ruleset")
			b, err := New(Config{NetNS: ns.FD})
			if err == nil {
				b.Close()
			}
			if !errors.Is(err, unix.EEXIST) || !strings.Contains(err.Error(), "nft delete table ip") {
				t.Errorf("error %v, want EEXIST with the remedy", err)
			}
			if after := ns.Exec(t, "nft", "list", "ruleset"); after != before {
				t.Errorf("their table was\n%s\nand is\n%s", before, after)
			}
		})
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
			before := ns.Exec(t, "ipset", "save")
			if err := Remove(t.Context(), Config{NetNS: ns.FD}); err != nil {
				t.Errorf("Remove: %v", err)
			}
			if after := ns.Exec(t, "ipset", "save"); after != before {
				t.Errorf("Remove took what is another's: %s, was %s", after, before)
			}
		})
	}
}

// TestEmptyInUse lifts all bans while a rule of another program uses a set, which therefore cannot be destroyed.
func TestEmptyInUse(t *testing.T) {
	t.Parallel()
	ns := firewalltest.New(t)
	b := open(t, Config{NetNS: ns.FD})
	bans := append(firewalltest.Many(100, false, time.Now().Add(time.Hour)), firewalltest.Many(100, true, time.Time{})...)
	if err := b.Apply(t.Context(), firewall.Change{Add: bans}); err != nil {
		t.Fatal(err)
	}
	ns.Exec(t, "ipset", "create", "theirs", "list:set")
	ns.Exec(t, "ipset", "add", "theirs", b.sets[0].name)
	if err := b.Destroy(t.Context()); !errors.Is(err, errBusy) || !strings.Contains(err.Error(), "another program") {
		t.Errorf("Destroy while another program uses a set: %v, want that it says so", err)
	}
	if err := b.Apply(t.Context(), firewall.Change{Add: bans}); err != nil {
		t.Fatal(err)
	}
	if err := b.Empty(t.Context()); err != nil {
		t.Fatal(err)
	}
	holds(t, b, nil)
	if err := b.Apply(t.Context(), firewall.Change{Add: bans[:1]}); err != nil {
		t.Fatal(err)
	}
	holds(t, b, bans[:1])
}

// TestStopsInTheMiddle ends the context after the first message.
func TestStopsInTheMiddle(t *testing.T) {
	t.Parallel()
	b := open(t, Config{NetNS: firewalltest.New(t).FD})
	ctx, cancel := context.WithCancel(t.Context())
	healthy := b.kernel.call
	b.kernel.call = func(cmd, flags int, payload []byte, each func([]byte)) error {
		if cmd == cmdAdd {
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
