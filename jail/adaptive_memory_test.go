package jail

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"runtime"
	"testing"
	"time"
)

// A million attackers, each with a name of its own, leave the memory at its caps.
func TestMemoryIsBounded(t *testing.T) {
	if testing.Short() {
		t.Skip("SKIPPED: a million attackers take a second")
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	d := NewAdaptive(DefaultAdaptive())
	var out []Verdict
	for i := range 1_000_000 {
		a := Attempt{Time: adaptiveStart.Add(time.Duration(i) * time.Second), Addr: manyAddr(i), Guesses: 1 + i%9, Unknown: true}
		a.User = fmt.Sprintf("%0100d", i/3)
		out = d.Observe(a, out[:0])
		if i%1000 == 0 {
			a.Success = true
			d.Observe(a, nil)
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	used := int64(after.HeapAlloc) - int64(before.HeapAlloc)
	t.Logf("%.1f MB, a snapshot of %.1f MB", float64(used)/1e6, float64(len(snapshotOf(t, d)))/1e6)
	if used > 5e6 {
		t.Errorf("the memory takes %d bytes", used)
	}
	for what, n := range map[string]int{
		"names": d.names.len() - 4096, "addresses": d.scores.len() - 16384, "offenders": d.hosts.len() - 16384,
		"networks": d.known.nets.len() - 2048, "owners": d.known.names.len() - 2048, "wide": d.wides.banned.len() - 2048,
	} {
		if n > 0 {
			t.Errorf("%d %s more than the cap", n, what)
		}
	}
	runtime.KeepAlive(d)
}

// manyAddr is a different address for each number, each in a /24 of its own as long as there are any.
func manyAddr(i int) netip.Addr {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], uint32(i)*2654435761)
	return netip.AddrFrom4(b)
}

func TestObserveAllocatesLittle(t *testing.T) {
	d := NewAdaptive(DefaultAdaptive())
	d.SetAccounts([]string{"alice", "bob"}, nil)
	i := 0
	observe := func() {
		d.Observe(Attempt{Time: adaptiveStart.Add(time.Duration(i) * time.Second), Addr: manyAddr(i), User: "root", Guesses: 1}, nil)
		i++
	}
	for range 20_000 {
		observe()
	}
	if n := testing.AllocsPerRun(1000, observe); n > 1 {
		t.Errorf("an attempt of a new address allocates %v times, want once: its points", n)
	}
}
