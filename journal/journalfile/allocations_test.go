package journalfile

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"exile/journal"
	"exile/journal/internal/makejournal"
)

// TestNoAllocations: reading and matching entries allocates nothing.
func TestNoAllocations(t *testing.T) {
	path := filepath.Join(t.TempDir(), "system.journal")
	writeFile(t, path, small(2000, true, true, 0))
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	m, err := f.Match(everything)
	if err != nil {
		t.Fatal(err)
	}
	c := f.Cursor(m)
	var e journal.Entry
	buf := make([]byte, 0, 4096)
	step := func() {
		ok, err := c.Next()
		if !ok || err != nil {
			t.Fatal(ok, err)
		}
		if buf, _, err = c.Read(&e, buf[:0], 4096); err != nil {
			t.Fatal(err)
		}
	}
	for range 200 { // until every unit has been seen
		step()
	}
	if n := testing.AllocsPerRun(1000, step); n != 0 {
		t.Errorf("%v allocations per entry", n)
	}
}

// TestNoAllocationsLive: nor does reading entries that come one by one.
func TestNoAllocationsLive(t *testing.T) {
	const first, runs = 200, 50
	path := filepath.Join(t.TempDir(), "system.journal")
	writeFile(t, path, make([]byte, 1<<20)) // as long from the beginning on, as journald does it
	writer, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = writer.Close() }()
	w := makejournal.NewWriter(true, true, 0)
	var states [][]byte
	for i := range uint64(first + runs + 2) {
		w.Add(journal.ID{1}, i, i, "_UID=0", "_SYSTEMD_UNIT=ssh.service", fmt.Sprintf("MESSAGE=line %d", i))
		states = append(states, w.Bytes())
	}
	grow := func(n int) {
		if _, err := writer.WriteAt(states[n], 0); err != nil {
			t.Fatal(err)
		}
	}
	grow(first)
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	m, err := f.Match(journal.Selector{{{Field: "_SYSTEMD_UNIT", Values: []string{"ssh.service"}}}})
	if err != nil {
		t.Fatal(err)
	}
	c := f.Cursor(m)
	for seqnumAfter(t, c, c.Next) != 0 {
	}
	n := first
	var e journal.Entry
	buf := make([]byte, 0, 4096)
	allocs := testing.AllocsPerRun(runs, func() {
		n++
		grow(n)
		if grown, err := f.Refresh(); !grown || err != nil {
			t.Fatal(grown, err)
		}
		if ok, err := c.Next(); !ok || err != nil {
			t.Fatal(ok, err)
		}
		if buf, _, err = c.Read(&e, buf[:0], 4096); err != nil || c.Entry().Seqnum != uint64(n+1) {
			t.Fatal(c.Entry().Seqnum, err)
		}
	})
	if allocs != 0 {
		t.Errorf("%v allocations per entry", allocs)
	}
}
