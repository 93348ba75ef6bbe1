package state

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The file cut at every sector, as a power cut may leave it, opens or is set aside; what opens is one of the states
// that were committed.
func TestPowerCut(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	var states []Contents
	states = append(states, NewContents())
	for i := range 4 {
		b := sample(i)
		commit(t, s, b)
		c := NewContents()
		apply(&c, *states[i].batch())
		apply(&c, b)
		states = append(states, c)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(dir, "state.db"))
	if err != nil {
		t.Fatal(err)
	}
	opened := 0
	for size := 0; size <= len(data); size += 512 {
		cut := t.TempDir()
		if err := os.WriteFile(filepath.Join(cut, "state.db"), data[:size], 0o600); err != nil {
			t.Fatal(err)
		}
		s := open(t, cut)
		c := load(t, s)
		if s.Err() != nil || !isOneOf(c, states) {
			t.Errorf("cut at %d of %d: error %v, or no state that was committed", size, len(data), s.Err())
		}
		if s.SetAside() == nil {
			opened++
		}
		commit(t, s, sample(8))
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if opened < 2 || opened > len(data)/512 {
		t.Errorf("%d cuts opened: the test shows nothing", opened)
	}
}

// A commit writes its pages, waits for the disk, and writes the page that makes them count. The power cut after each sector of
// the last two commits, whichever way the disk orders those of one step, leaves what was committed before or after.
func TestPowerCutInCommit(t *testing.T) {
	t.Parallel()
	states, images := commits(t)
	for last := len(images) - 2; last < len(images); last++ {
		before, after := images[last-1], images[last]
		var written []int // sectors, those of the two meta pages last
		for i := 0; i < len(after); i += 512 {
			if i >= len(before) || !bytes.Equal(after[i:i+512], before[i:i+512]) {
				written = append(written, i)
			}
		}
		isMeta := func(i int) bool { return i < 2*os.Getpagesize() }
		for _, up := range []int{1, -1} {
			slices.SortFunc(written, func(a, b int) int {
				if isMeta(a) != isMeta(b) {
					return cmpBool(isMeta(a), isMeta(b))
				}
				return up * (a - b)
			})
			torn := append(bytes.Clone(before), make([]byte, max(0, len(after)-len(before)))...)
			want := states[last-1]
			for n, i := range written {
				copy(torn[i:i+512], after[i:])
				if isMeta(i) && !bytes.Equal(torn[i:i+512], before[i:i+512]) {
					want = states[last]
				}
				if c, aside := openTorn(t, torn); aside || !cmp.Equal(want, c, compare) {
					t.Errorf("commit %d, %d of %d sectors written: set aside %t, or not what was committed", last, n+1, len(written), aside)
				}
			}
		}
	}
}

func cmpBool(a, b bool) int {
	if a == b {
		return 0
	}
	if b {
		return -1
	}
	return 1
}

// commits makes some, and returns what was stored after each and the file.
func commits(t *testing.T) (states []Contents, images [][]byte) {
	t.Helper()
	dir := t.TempDir()
	s := open(t, dir)
	states, images = []Contents{NewContents()}, [][]byte{nil}
	for i := range 5 {
		b := sample(i)
		commit(t, s, b)
		c := NewContents()
		apply(&c, *states[i].batch())
		apply(&c, b)
		image, err := os.ReadFile(filepath.Join(dir, "state.db"))
		if err != nil {
			t.Fatal(err)
		}
		states, images = append(states, c), append(images, image)
	}
	return states, images
}

// A disk that does not keep its promise leaves pages of two commits in one file, which may lead in circles. Such a file is
// set aside or opened, in no time, and then works.
func TestMixedFile(t *testing.T) {
	t.Parallel()
	_, images := commits(t)
	before, after := images[len(images)-2], images[len(images)-1]
	set := 0
	for cut := 0; cut <= len(after); cut += 512 {
		if _, aside := openTorn(t, append(bytes.Clone(after[:cut]), before[min(cut, len(before)):]...)); aside {
			set++
		}
	}
	if set == 0 {
		t.Error("no file was set aside: the test shows nothing")
	}
}

// openTorn opens a torn file, and finds that the store works whatever is in it.
func openTorn(t *testing.T, torn []byte) (c Contents, aside bool) {
	t.Helper()
	dir, err := os.MkdirTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "state.db"), torn, 0o600); err != nil {
		t.Fatal(err)
	}
	s := open(t, dir)
	c, aside = load(t, s), s.SetAside() != nil
	if s.Err() != nil {
		t.Errorf("a torn file of %d bytes: %v", len(torn), s.Err())
	}
	commit(t, s, sample(8))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return c, aside
}

// FuzzPages: whatever bytes a file has, looking at it ends, and reads each page once.
func FuzzPages(f *testing.F) {
	dir := f.TempDir()
	s, err := Open(dir)
	if err == nil {
		err = errors.Join(s.Commit(sample(1)), s.Commit(sample(2)), s.Close())
	}
	if err != nil {
		f.Fatal(err)
	}
	image, err := os.ReadFile(filepath.Join(dir, "state.db"))
	if err != nil {
		f.Fatal(err)
	}
	if err := checkPages(bytes.NewReader(image), int64(len(image))); err != nil {
		f.Fatalf("a good file: %v", err)
	}
	f.Add(uint16(0), []byte{}, uint16(3), uint16(4))
	f.Add(uint16(2*4096), []byte{1}, uint16(5), uint16(5))
	f.Fuzz(func(t *testing.T, at uint16, put []byte, from, to uint16) {
		torn := bytes.Clone(image)
		copy(torn[int(at)%len(torn):], put)
		size := os.Getpagesize()
		page := func(n uint16) []byte { i := int(n) * size % len(torn); return torn[i : i+size] }
		copy(page(to), page(from))
		copy(torn[:2*size], image) // the meta pages have checksums: anything else would end there
		counted := &reads{file: bytes.NewReader(torn)}
		if err := checkPages(counted, int64(len(torn))); err != nil && !errors.Is(err, ErrCorrupt) {
			t.Error(err)
		}
		if counted.bytes > 2*len(torn) {
			t.Errorf("read %d bytes of %d", counted.bytes, len(torn))
		}
	})
}

// reads counts what is read of a file.
type reads struct {
	file  *bytes.Reader
	bytes int
}

func (r *reads) ReadAt(p []byte, off int64) (int, error) {
	n, err := r.file.ReadAt(p, off)
	r.bytes += n
	return n, err
}

// Sectors that did not reach the disk are zeros: none may be taken for data.
func TestLostSectors(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	commit(t, s, sample(1))
	commit(t, s, sample(2))
	want := load(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(dir, "state.db"))
	if err != nil {
		t.Fatal(err)
	}
	for off := 0; off < len(data); off += 512 {
		torn := bytes.Clone(data)
		clear(torn[off : off+512])
		cut := t.TempDir()
		if err := os.WriteFile(filepath.Join(cut, "state.db"), torn, 0o600); err != nil {
			t.Fatal(err)
		}
		s := open(t, cut)
		c := load(t, s)
		for w, b := range c.Bans {
			if b.Prefix != w.Prefix || b.Since.IsZero() {
				t.Errorf("sector %d lost: invented ban %v", off/512, b)
			}
		}
		if s.SetAside() == nil && len(c.Bans) == len(want.Bans) {
			delete(c.Snapshots, "sshd") // may be dropped
			full := want
			full.Snapshots = map[string]Snapshot{}
			if diff := cmp.Diff(full, c, compare); diff != "" {
				t.Errorf("sector %d lost (-want +got):\n%s", off/512, diff)
			}
		}
		commit(t, s, sample(3))
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func isOneOf(c Contents, states []Contents) bool {
	for _, s := range states {
		if cmp.Equal(c, s, compare) {
			return true
		}
	}
	return false
}
