package journalfile_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"exile/journal"
	"exile/journal/internal/makejournal"
	"exile/journal/journalfile"
)

const (
	boot1 = "11111111111111111111111111111111"
	boot2 = "22222222222222222222222222222222"
)

// sample makes entries of every sort: several boots, one with an earlier clock; large, binary, empty and repeated fields;
// values that share a hash bucket.
func sample(n int) (export []byte) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for i := range n {
		e := makejournal.Entry{Realtime: 1700000000000000 + uint64(i)*1000, Monotonic: uint64(i+1) * 1000, Boot: boot1}
		if i >= n/2 {
			e.Boot, e.Monotonic, e.Realtime = boot2, uint64(i-n/2+1)*1000, 1600000000000000+uint64(i)*1000
		}
		e.Fields = []makejournal.Field{
			{Name: "_TRANSPORT", Value: "syslog"},
			{Name: "_UID", Value: "0"},
			{Name: "_PID", Value: fmt.Sprint(1000 + i/3)},
			{Name: "PRIORITY", Value: fmt.Sprint(i % 8)},
		}
		if i%3 == 0 {
			e.Fields = append(e.Fields, makejournal.Field{Name: "_SYSTEMD_UNIT", Value: fmt.Sprintf("ssh@%d.service", i%30)})
		} else {
			e.Fields = append(e.Fields, makejournal.Field{Name: "_SYSTEMD_UNIT", Value: "cron.service"})
		}
		switch i % 50 {
		case 1:
			e.Fields = append(e.Fields, makejournal.Field{Name: "MESSAGE", Value: "a\x00b\nc\xff" + strings.Repeat("z", i)})
		case 2:
			e.Fields = append(e.Fields, makejournal.Field{Name: "MESSAGE", Value: strings.Repeat("large ", 2000+rnd.IntN(3000))})
		case 3:
			e.Fields = append(e.Fields, makejournal.Field{Name: "TAG", Value: "one"}, makejournal.Field{Name: "TAG", Value: "two"},
				makejournal.Field{Name: "MESSAGE", Value: ""})
		case 4: // no message at all
		default:
			e.Fields = append(e.Fields, makejournal.Field{Name: "MESSAGE", Value: fmt.Sprintf("Failed password for root from 192.0.2.%d port %d", rnd.IntN(250), i)})
		}
		export = e.Export(export)
	}
	return export
}

// record is an entry as both sides print it: the cursor and all fields, sorted.
type record struct {
	Cursor string
	Fields []string
}

// reference is what journalctl says.
func reference(t *testing.T, path string, args ...string) (all []record) {
	t.Helper()
	args = append([]string{"--file", path, "-o", "export", "--all", "--no-pager"}, args...)
	cmd := exec.Command("journalctl", args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil && stderr.Len() > 0 {
		t.Fatalf("journalctl %q: %v: %s", args, err, stderr.String())
	}
	var r record
	for len(out) > 0 {
		line, rest, _ := bytes.Cut(out, []byte("\n"))
		name, value, text := strings.Cut(string(line), "=")
		switch {
		case len(line) == 0:
			slices.Sort(r.Fields)
			all, r, out = append(all, r), record{}, rest
			continue
		case !text:
			n := binary.LittleEndian.Uint64(rest)
			value, rest = string(rest[8:8+n]), rest[8+n+1:]
		}
		out = rest
		switch {
		case name == "__CURSOR":
			r.Cursor = value
		case !strings.HasPrefix(name, "__"):
			r.Fields = append(r.Fields, name+"="+value)
		}
	}
	return all
}

// ours is what the cursor says of its current entry.
func ours(t *testing.T, f *journalfile.File, c *journalfile.Cursor) record {
	t.Helper()
	h, err := f.Header()
	if err != nil {
		t.Fatal(err)
	}
	e := c.Entry()
	r := record{Cursor: e.Position(h.SeqnumID).String()}
	for i := range c.Fields() {
		data, whole, err := c.Data(i, 1<<30)
		if err != nil || !whole {
			t.Fatalf("field %d of %s: whole %v, %v", i, r.Cursor, whole, err)
		}
		r.Fields = append(r.Fields, string(data))
	}
	slices.Sort(r.Fields)
	return r
}

// walk collects what step reaches.
func walk(t *testing.T, f *journalfile.File, c *journalfile.Cursor, step func() (bool, error)) (all []record) {
	t.Helper()
	for {
		ok, err := step()
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			return all
		}
		all = append(all, ours(t, f, c))
	}
}

func open(t *testing.T, path string) *journalfile.File {
	t.Helper()
	f, err := journalfile.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	return f
}

func TestSameAsJournalctl(t *testing.T) {
	t.Parallel()
	makejournal.Tool(t)
	export := sample(2000)
	for _, format := range makejournal.Formats() {
		t.Run(format.String(), func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "system.journal")
			makejournal.Write(t, path, format, export)
			f := open(t, path)
			want := reference(t, path)
			if len(want) != 2000 {
				t.Fatalf("journalctl shows %d entries", len(want))
			}
			c := f.Cursor(nil)
			got := walk(t, f, c, c.Next)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("forward (-journalctl +ours):\n%.3000s", diff)
			}
			if err := c.SeekTail(); err != nil {
				t.Fatal(err)
			}
			got = walk(t, f, c, c.Previous)
			slices.Reverse(got)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("backward (-journalctl +ours):\n%.3000s", diff)
			}
		})
	}
}

// TestCursors gives positions to journalctl as cursors, in every format: from there it must say what a cursor of ours says,
// forward and backward.
func TestCursors(t *testing.T) {
	t.Parallel()
	makejournal.Tool(t)
	const n, random = 300, 100
	export := sample(n)
	for i, format := range makejournal.Formats() {
		t.Run(format.String(), func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "system.journal")
			makejournal.Write(t, path, format, export)
			f := open(t, path)
			rnd := rand.New(rand.NewPCG(5, uint64(i)))
			places := []int{0, n/2 - 1, n / 2, n - 1} // the ends, and the change of the boot
			for range random / len(makejournal.Formats()) {
				places = append(places, rnd.IntN(n))
			}
			all := reference(t, path)
			for _, i := range places {
				compareFrom(t, f, path, all[i].Cursor)
			}
		})
	}
}

// compareFrom reads both ways from a cursor, with journalctl and without.
func compareFrom(t *testing.T, f *journalfile.File, path, cursor string) {
	t.Helper()
	p, err := journal.ParsePosition(cursor)
	if err != nil {
		t.Fatal(err)
	}
	c := f.Cursor(nil)
	if err := c.SeekSeqnum(p.Seqnum); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(reference(t, path, "--cursor", cursor), walk(t, f, c, c.Next)); diff != "" {
		t.Errorf("forward from %s (-journalctl +ours):\n%.1000s", cursor, diff)
	}
	if err := c.SeekSeqnum(p.Seqnum + 1); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(reference(t, path, "--reverse", "--cursor", cursor), walk(t, f, c, c.Previous)); diff != "" {
		t.Errorf("backward from %s (-journalctl +ours):\n%.1000s", cursor, diff)
	}
}
