package firewalltest

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"exile/firewall"
)

// strangers sets up what belongs to others on a host with firewalls of its own.
func (l lab) strangers(t *testing.T) {
	t.Helper()
	for _, args := range [][]string{
		{"nft", "add table inet theirs"},
		{"nft", "add chain inet theirs input { type filter hook input priority 0 ; }"},
		{"nft", "add rule inet theirs input ip saddr 192.0.2.1 drop"},
		{"nft", "add table ip theirs"},
		{"ipset", "create", "theirs", "hash:ip"},
		{"ipset", "add", "theirs", "192.0.2.1"},
		{"ip", "route", "add", "blackhole", "192.0.2.1"},
		{"ip", "route", "add", "blackhole", "192.0.2.2", "table", "77"},
		{"ip", "rule", "add", "pref", "200", "lookup", "77"},
	} {
		l.host.Exec(t, args[0], args[1:]...)
	}
}

// ruleset is all that the kernel holds for anybody, as the system's own tools print it, except link-local addresses, which
// come up when it pleases the kernel.
func (l lab) ruleset(t *testing.T) string {
	t.Helper()
	var all strings.Builder
	for _, args := range [][]string{
		{"nft", "list", "ruleset"},
		{"ipset", "save"},
		{"ip", "rule"},
		{"ip", "-6", "rule"},
		{"ip", "route", "show", "table", "all"},
		{"ip", "-6", "route", "show", "table", "all"},
	} {
		fmt.Fprintln(&all, args)
		for line := range strings.Lines(l.host.Exec(t, args[0], args[1:]...)) {
			if !strings.Contains(line, "fe80:") {
				all.WriteString(line)
			}
		}
	}
	return all.String()
}

// testDestroy compares the whole host before the backend existed with the host after Destroy.
func testDestroy(t *testing.T, b *bench) {
	if err := b.Destroy(t.Context()); err != nil {
		t.Fatalf("Destroy: %v", err)
	}
	b.strangers(t)
	before := b.ruleset(t)
	bans := []firewall.Ban{ban("10.9.0.2/32", until()), ban("10.9.1.0/24", time.Time{}), ban("fd09:0:1::/64", until())}
	if !b.lack(LacksPorts) {
		limited := ban("10.9.0.3/32", until())
		limited.Port = firewall.Port{Proto: 17, Number: 53}
		bans = append(bans, limited)
	}
	b.add(t, bans...)
	if s, ok := b.Backend.(firewall.Sparer); ok {
		if err := s.Spare(t.Context(), []firewall.Spared{whole("10.9.1.7"), whole("fd09:0:1::7")}); err != nil {
			t.Errorf("Spare: %v", err)
		}
	}
	if during := b.ruleset(t); during == before {
		t.Error("nothing to be seen of the bans while they hold")
	}
	if err := b.Destroy(t.Context()); err != nil {
		t.Fatalf("Destroy: %v", err)
	}
	if diff := cmp.Diff(before, b.ruleset(t)); diff != "" {
		t.Errorf("Destroy left something or took what is not ours (-before +after):\n%s", diff)
	}
	b.free(t, "10.9.0.2", "fd09:0:1::1")
}

// testEmpty empties a backend that can do that, and bans again. One that cannot has nothing to show.
func testEmpty(t *testing.T, b *bench) {
	quick, ok := b.Backend.(firewall.Emptier)
	if !ok {
		return
	}
	b.strangers(t)
	gone, stays := ban("10.9.0.2/32", until()), ban("fd09:0:1::/64", until())
	b.add(t, gone, stays)
	for range 2 { // the second time there is nothing
		if err := quick.Empty(t.Context()); err != nil {
			t.Fatalf("Empty: %v", err)
		}
		b.holds(t, nil)
	}
	b.free(t, "10.9.0.2", "fd09:0:1::1")
	clear(b.wanted)
	b.add(t, stays)
	b.banned(t, "fd09:0:1::1")
	b.free(t, "10.9.0.2")
}

// testForeignFlush has another program wipe what it can, in every way there is. Whatever is left, List tells the truth, so
// that one comparison repairs it.
func testForeignFlush(t *testing.T, b *bench) {
	for _, args := range [][]string{
		{"nft", "flush", "ruleset"},
		{"ipset", "flush"},
		{"sh", "-c", "nft flush ruleset; ipset destroy"},
		{"sh", "-c", "ip route flush table all proto 166; ip -6 route flush table all proto 166"},
		{"sh", "-c", "ip rule flush; ip rule add pref 32766 lookup main; ip -6 rule flush; ip -6 rule add pref 32766 lookup main"},
	} {
		bans := []firewall.Ban{ban("10.9.0.2/32", until()), ban("10.9.1.0/24", until()), ban("fd09:0:1::/64", time.Time{})}
		b.add(t, bans...)
		touched := b.watch(t)
		tried := b.host.tryExec(t, args...)
		if c := b.missing(t, bans); !c.Empty() {
			t.Logf("%q: %d bans to repair", args, len(c.Add))
			if touched != nil && args[0] != "ipset" { // ipset tells nobody
				b.told(t, touched, fmt.Sprint(args))
			}
			if err := b.Apply(t.Context(), c); err != nil {
				t.Errorf("%q (%s): repair: %v", args, tried, err)
			}
		}
		b.holds(t, bans)
		b.banned(t, "10.9.0.2", "10.9.1.1", "fd09:0:1::1")
		b.free(t, "10.9.0.3")
		// The next ban after a flush that nobody noticed must be enforced as well.
		b.host.tryExec(t, args...)
		b.add(t, ban("10.9.3.3/32", until()))
		b.banned(t, "10.9.3.3")
		if err := b.Destroy(t.Context()); err != nil {
			t.Errorf("%q: Destroy: %v", args, err)
		}
	}
}

// tryExec runs a tool that may fail, for instance because our table is protected. It returns what was printed.
func (ns NetNS) tryExec(t *testing.T, args ...string) string {
	t.Helper()
	return ns.Exec(t, "sh", append([]string{"-c", `"$0" "$@" 2>&1 || echo "exit status $?"`}, args...)...)
}

// watch returns a channel that hears of touches, or nil if the backend does not watch.
func (b *bench) watch(t *testing.T) <-chan struct{} {
	t.Helper()
	w, ok := b.Backend.(firewall.Watcher)
	if !ok {
		return nil
	}
	ctx, cancel := context.WithCancel(t.Context())
	touched, ended := make(chan struct{}, 1), make(chan struct{})
	go func() {
		defer close(ended)
		err := w.Watch(ctx, func() {
			select {
			case touched <- struct{}{}:
			default:
			}
		})
		if err != nil {
			t.Errorf("Watch: %v", err)
		}
	}()
	t.Cleanup(func() { cancel(); <-ended })
	b.told(t, touched, "start") // it listens now
	return touched
}

func (b *bench) told(t *testing.T, touched <-chan struct{}, what string) {
	t.Helper()
	select {
	case <-touched:
	case <-time.After(patience):
		t.Errorf("%q: the watcher did not call", what)
	}
}
