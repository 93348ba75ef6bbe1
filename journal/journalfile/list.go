package journalfile

import (
	"fmt"
	"sort"
)

// list is a list of entries in the order in which they were written, which is that of their offsets: all entries of the file,
// or those of one data object. On disk it is a chain of arrays that double in size and, for data objects, a first entry apart
// from them. The chain is learned as it is walked.
type list struct {
	first  uint64 // offset of the entry that comes before the arrays; 0: there is none
	head   uint64 // offset of the first array
	n      uint64 // entries
	chunks []chunk
	hint   int     // where the last item was found
	items  stretch // and what is around it
}

// chunk is an array of a list.
type chunk struct {
	base uint64 // how many entries of the list come before it
	off  uint64
	n    uint64
	next uint64 // offset of the next array; 0: there was none yet
}

// at returns the offset of the i-th entry. i < l.n.
func (f *File) at(l *list, i uint64) (uint64, error) {
	if l.first != 0 {
		if i == 0 {
			return l.first, nil
		}
		i--
	}
	c, err := f.chunk(l, i)
	if err != nil {
		return 0, err
	}
	// The chunk was checked when it was learned, and a file in use only grows.
	size := f.itemSize()
	at := c.off + arrayItems + (i-c.base)*size
	if at+size > f.used {
		return 0, fmt.Errorf("%w: entry array at offset %d ends behind the file", ErrCorrupt, c.off)
	}
	b := l.items.at(at, int(size))
	if b == nil {
		f.fill(&l.items, at&^(windowItems-1), windowItems)
		b = l.items.at(at, int(size))
	}
	if b == nil {
		b = f.data[at:]
	}
	return f.offsetAt(b, 0), nil
}

// chunk returns the array that has the i-th item of the chain.
func (f *File) chunk(l *list, i uint64) (chunk, error) {
	if l.hint < len(l.chunks) {
		if c := l.chunks[l.hint]; i-c.base < c.n {
			return c, nil
		}
	}
	for len(l.chunks) == 0 || i >= l.chunks[len(l.chunks)-1].end() {
		if err := f.learn(l); err != nil {
			return chunk{}, err
		}
	}
	l.hint = sort.Search(len(l.chunks), func(k int) bool { return i < l.chunks[k].end() })
	return l.chunks[l.hint], nil
}

func (c chunk) end() uint64 { return c.base + c.n }

// learn adds the next array of the chain. Writers append, so each array follows the previous one in the file: a chain that
// does not might have no end.
func (f *File) learn(l *list) error {
	next := chunk{off: l.head}
	if len(l.chunks) > 0 {
		last := &l.chunks[len(l.chunks)-1]
		if last.next == 0 {
			b, _, err := f.fixed(last.off, typeEntryArray, arrayItems)
			if err != nil {
				return err
			}
			last.next = le64(b, arrayNext)
		}
		next = chunk{off: last.next, base: last.end()}
		if next.off <= last.off {
			return fmt.Errorf("%w: entry array at offset %d is followed by %d", ErrCorrupt, last.off, next.off)
		}
	}
	b, size, err := f.fixed(next.off, typeEntryArray, arrayItems)
	if err != nil {
		return err
	}
	next.n, next.next = (size-arrayItems)/f.itemSize(), le64(b, arrayNext)
	if next.n == 0 {
		return fmt.Errorf("%w: entry array at offset %d is empty", ErrCorrupt, next.off)
	}
	l.chunks = append(l.chunks, next)
	return nil
}

// search returns the index of the first entry of l from lo on for which ok holds, or l.n. If ok holds for an entry,
// it must hold for all later ones. Entries that cannot be read count as the ones before them.
func (f *File) search(l *list, lo uint64, ok func(off uint64) bool) uint64 {
	hi := l.n
	for lo < hi {
		mid := lo + (hi-lo)/2
		if off, err := f.at(l, mid); err == nil && ok(off) {
			hi = mid
		} else {
			lo = mid + 1
		}
	}
	return lo
}
