package adaptive

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"exile/jail"
)

// A million attackers, each with a name of its own, leave the memory at its caps, and so do those who stay one guess short
// of a ban for a month, which is what takes most.
func TestMemoryIsBounded(t *testing.T) {
	if testing.Short() {
		t.Skip("SKIPPED: a million attackers take a second")
	}
	for _, c := range []struct {
		name   string
		attack func(d *Detector)
		most   int64 // bytes
	}{
		{"a million", million, 5_300_000},
		{"patient", patient, 5_300_000},
	} {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		d := New(Default())
		c.attack(d)
		runtime.GC()
		runtime.ReadMemStats(&after)
		used := int64(after.HeapAlloc) - int64(before.HeapAlloc)
		t.Logf("%s: %.1f MB, a snapshot of %.1f MB", c.name, float64(used)/1e6, float64(len(snapshotOf(t, d)))/1e6)
		if used > c.most {
			t.Errorf("%s: the memory takes %d bytes, want at most %d", c.name, used, c.most)
		}
		for what, n := range map[string]int{
			"names": d.names.Len() - 4096, "offenders": d.hosts.Len() - 16384,
			"networks": d.known.nets.Len() - 2048, "regions": d.known.regions.Len() - 2048, "owners": d.known.names.Len() - 2048,
			"wide": d.wides.banned.Len() - 4096, "tallies": d.tallies.Len() - 4096,
		} {
			if n != 0 {
				t.Errorf("%s: %d %s more than the cap: nothing was tested", c.name, n, what)
			}
		}
		if d.scores.Evicted() == 0 {
			t.Errorf("%s: no address was forgotten: nothing was tested", c.name)
		}
		runtime.KeepAlive(d)
	}
}

// longName is a different name of more bytes than are kept for each number.
func longName(i int) string { return fmt.Sprintf("%d-%0100d", i, i) }

// million guesses from an address of its own each, a third of it by names that are evidence, and logins.
func million(d *Detector) {
	var out []jail.Verdict
	for i := range 1_000_000 {
		a := jail.Attempt{Time: adaptiveStart.Add(time.Duration(i) * time.Second), Addr: manyAddr(i), Guesses: 1 + i%9, Unknown: true}
		a.User = longName(i / 3)
		out = d.Observe(a, out[:0])
	}
	owners(d, adaptiveStart.Add(30*day))
}

// owners log in, more than are remembered.
func owners(d *Detector, at time.Time) {
	for i := range 5000 {
		d.Observe(jail.Attempt{Time: at, Addr: manyAddr(-i), User: longName(-i), Success: true}, nil)
	}
}

// patient fills the memory of offenders, and then lets as many as are counted guess nine times in a month, each time for
// another name.
func patient(d *Detector) {
	at := adaptiveStart
	for i := range 40_000 {
		at = at.Add(time.Second)
		d.Observe(jail.Attempt{Time: at, Addr: manyAddr(-i), User: "root", Guesses: 5}, nil)
	}
	for round := range 9 {
		for i := range 16384 {
			a := jail.Attempt{Time: at.Add(time.Duration(i) * time.Second), Addr: manyAddr(i), User: longName(round<<14 + i), Unknown: true, Guesses: 1}
			d.Observe(a, nil)
		}
		at = at.Add(3 * day)
	}
	owners(d, at)
}

// manyAddr is a different address for each number, each in a /24 of its own as long as there are any.
func manyAddr(i int) netip.Addr {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], uint32(i)*2654435761)
	return netip.AddrFrom4(b)
}

func TestObserveAllocatesNothing(t *testing.T) {
	d := New(Default())
	d.SetAccounts([]string{"alice", "bob"}, nil)
	i := 0
	observe := func() {
		d.Observe(jail.Attempt{Time: adaptiveStart.Add(time.Duration(i) * time.Second), Addr: manyAddr(i), User: "root", Guesses: 1}, nil)
		i++
	}
	for range 20_000 {
		observe()
	}
	if n := testing.AllocsPerRun(1000, observe); n > 0 {
		t.Errorf("an attempt of a new address allocates %v times", n)
	}
}
