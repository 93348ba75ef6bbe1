package journalfile

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"exile/journal"
)

// Match is a selector in terms of one file: which data objects an entry must have. It looks again for missing values
// when the file has grown.
type Match struct {
	f      *File
	fields []string // that Read delivers besides those that entries have a place for
	groups []group
	seen   uint64 // entries of the file when we last looked, plus one
}

type group struct{ terms []term }

// term holds for entries that have one of the data objects in offs, which is sorted.
type term struct {
	field    string
	wanted   [][]byte // "FIELD=value", not in the file yet
	patterns []string
	newest   uint64 // the newest value of the field that the patterns were compared with
	offs     []uint64
	place    uint64 // where among an entry's items the last one was: the next is often there too
}

// Match compiles a selector. It fails if a pattern or the file's hash tables are malformed.
func (f *File) Match(s journal.Selector) (m *Match, err error) {
	m = &Match{f: f}
	for _, g := range s {
		var terms []term
		for _, t := range g {
			compiled, err := newTerm(t)
			if err != nil {
				return nil, err
			}
			terms = append(terms, compiled)
		}
		m.groups = append(m.groups, group{terms})
	}
	return m, nil
}

// Deliver asks for fields, by their names, that entries have no place of their own for: Read puts those that an entry has into its Fields.
func (m *Match) Deliver(names []string) { m.fields = names }

func newTerm(t journal.Term) (term, error) {
	c := term{field: t.Field}
	for _, v := range t.Values {
		if !strings.ContainsAny(v, "*?[") {
			c.wanted = append(c.wanted, []byte(t.Field+"="+v))
			continue
		}
		if _, err := path.Match(v, ""); err != nil {
			return c, fmt.Errorf("match %s=%q: %w", t.Field, v, err)
		}
		c.patterns = append(c.patterns, v)
	}
	return c, nil
}

// refresh looks for the values that were missing. If the tables are damaged it says so once, and goes on with what it found; it
// tries again when the file has grown.
func (m *Match) refresh() error {
	if m.seen == m.f.main.n+1 || m.f.main.n == 0 {
		return nil
	}
	m.seen = m.f.main.n + 1
	var err error
	for i := range m.groups {
		for j := range m.groups[i].terms {
			err = errors.Join(err, m.groups[i].terms[j].resolve(m.f))
		}
	}
	return err
}

func (t *term) resolve(f *File) (err error) {
	t.wanted = slices.DeleteFunc(t.wanted, func(data []byte) bool {
		off, e := f.findData(data)
		if e != nil {
			err = e
		}
		if off == 0 || e != nil {
			return false
		}
		t.add(off)
		return true
	})
	if err != nil || len(t.patterns) == 0 {
		return err
	}
	t.newest, err = f.values([]byte(t.field), t.newest, func(off uint64) error { return t.offer(f, off) })
	return err
}

// offer adds the data object at off if a pattern matches its value.
func (t *term) offer(f *File, off uint64) error {
	const longest = 4096 // longer ones are not names
	buf, whole, err := f.payload(f.words.scratch[:0], off, longest)
	f.words.scratch = buf
	if err != nil || !whole {
		return err
	}
	_, value, _ := strings.Cut(string(buf), "=")
	for _, p := range t.patterns {
		if ok, err := path.Match(p, value); ok && err == nil {
			t.add(off)
		}
	}
	return nil
}

func (t *term) add(off uint64) {
	if i, found := slices.BinarySearch(t.offs, off); !found {
		t.offs = slices.Insert(t.offs, i, off)
	}
}

// group returns the index of the first group that matches an entry with these items; -1: none.
func (m *Match) group(items []byte) int {
	if len(m.groups) == 0 {
		return 0
	}
	for i := range m.groups {
		if m.groups[i].holds(m.f, items) {
			return i
		}
	}
	return -1
}

func (g *group) holds(f *File, items []byte) bool {
	for i := range g.terms {
		if !g.terms[i].holds(f, items) {
			return false
		}
	}
	return true
}

func (t *term) holds(f *File, items []byte) bool {
	if len(t.offs) == 0 {
		return false
	}
	size := f.entryItemSize()
	if t.place+size <= uint64(len(items)) && t.has(f.offsetAt(items, t.place)) {
		return true
	}
	for at := uint64(0); at+size <= uint64(len(items)); at += size {
		if t.has(f.offsetAt(items, at)) {
			t.place = at
			return true
		}
	}
	return false
}

// has reports whether the data object at off is one of the term's, of which there is at least one.
func (t *term) has(off uint64) bool {
	lo, hi := t.offs[0], t.offs[len(t.offs)-1]
	if off <= lo || off >= hi {
		return off == lo || off == hi
	}
	_, found := slices.BinarySearch(t.offs, off)
	return found
}

// maxDrivers bounds how many lists of entries a cursor merges: beyond that, looking at every entry is cheaper.
const maxDrivers = 32

// drivers returns the lists that all matching entries are in: for each group, those of its rarest term. ok is false if
// every entry must be read.
func (m *Match) drivers() (lists []list, ok bool, err error) {
	for i := range m.groups {
		l, ok, err := m.groups[i].rarest(m.f)
		if err != nil || !ok {
			return nil, false, err
		}
		lists = append(lists, l...)
	}
	return lists, len(m.groups) > 0 && len(lists) <= maxDrivers, nil
}

func (g *group) rarest(f *File) (best []list, ok bool, err error) {
	fewest := f.main.n + 1
	for i := range g.terms {
		t := &g.terms[i]
		if len(t.offs) > maxDrivers {
			continue
		}
		lists, n, err := t.lists(f)
		if err != nil {
			return nil, false, err
		}
		if n < fewest {
			best, fewest, ok = lists, n, true
		}
	}
	return best, ok, nil
}

func (t *term) lists(f *File) (lists []list, n uint64, err error) {
	for _, off := range t.offs {
		l, err := f.postings(off)
		if err != nil {
			return nil, 0, err
		}
		lists = append(lists, l)
		n += l.n
	}
	return lists, n, nil
}
