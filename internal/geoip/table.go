package geoip

import (
	"errors"
	"fmt"
	"io"
	"math"
	"net/netip"
	"slices"
	"time"
)

// Table is what databases say of countries and systems, in memory, checked as a whole and made smaller: an answer reads no file, cannot fail
// and allocates nothing. It never changes, so any goroutine may ask.
type Table struct {
	trees []tree
	wrong error
}

// maxTree is the size of the largest tree that is put into memory, in bytes. That of GeoLite2 City has about 40 million.
const maxTree = 96 << 20

// maxTotal is how many values of one database are looked at: 256 for each of the quarter of a million places of a database of cities.
const maxTotal = 64 << 20

// leastOfPlace is what a place counts of maxTotal at least, because it is remembered while the tree is made: so there are two million at most.
const leastOfPlace = 32

// Load reads databases into memory, those that can be used.
func Load(paths []string, now time.Time) *Table {
	d := Open(paths, now)
	defer d.Close()
	t := &Table{wrong: d.wrong}
	for _, f := range d.files {
		one, err := f.load()
		if err != nil {
			t.wrong = errors.Join(t.wrong, fmt.Errorf("%s: %w; get it again", f.name, err))
			continue
		}
		t.trees = append(t.trees, one)
	}
	return t
}

// Wrong returns what is wrong with databases, a line for each, and the remedy. Those that are only outdated are used.
func (t *Table) Wrong() error { return t.wrong }

// At says where an address is; false if no database knows.
func (t *Table) At(a netip.Addr) (Place, bool) {
	a, ok := somewhere(a)
	if !ok {
		return Place{}, false
	}
	var p Place
	for i := range t.trees {
		q := t.trees[i].at(a)
		p.complete(Place{Country: q.country, ASN: q.asn})
	}
	return p, p.known()
}

// spot is a Place in few bytes.
type spot struct {
	asn     uint32
	country Country
}

// ref is the number of a node or, with isLeaf, of a spot.
type ref uint32

const (
	isLeaf ref = 1 << 31
	// nowhere is the spot of those that the database does not know.
	nowhere = isLeaf
	// unread is a node that was not looked at yet.
	unread ref = math.MaxUint32
)

// tree is one database: nodes whose both sides say the same are left out.
type tree struct {
	nodes    [][2]ref
	spots    []spot
	root, v4 ref // where an IPv6 and an IPv4 address begin
}

// at follows the bits of an address. The tree is no deeper than addresses are long.
func (t *tree) at(a netip.Addr) spot {
	bits, i := a.As16(), 0
	at := t.root
	if a.Is4() {
		at, i = t.v4, v4Bits
	}
	for ; at&isLeaf == 0; i++ {
		at = t.nodes[at][bits[i/8]>>(7-i%8)&1]
	}
	return t.spots[at&^isLeaf]
}

// loader makes a tree of a file.
type loader struct {
	*file
	made    tree
	raw     []byte         // the tree of the file
	known   []ref          // what each of its nodes has become
	leaves  map[uint32]ref // what each of its leaves has become
	spots   map[spot]ref   // all spots
	heights []uint8        // of the nodes made: bits below them
	left    int            // values that may still be looked at
}

// load reads all of a database.
func (f *file) load() (tree, error) {
	size := int64(f.nodes) * int64(f.width)
	if size > maxTree {
		return tree{}, fmt.Errorf("its tree has %d MB and may have %d: take a database of countries, not of cities", size>>20, maxTree>>20)
	}
	l := &loader{
		file: f, raw: make([]byte, size), known: make([]ref, f.nodes), leaves: make(map[uint32]ref), spots: map[spot]ref{{}: nowhere}, left: maxTotal,
	}
	l.made.spots = []spot{{}}
	if _, err := f.r.ReadAt(l.raw, 0); err != nil && !errors.Is(err, io.EOF) {
		return tree{}, err
	}
	for i := range l.known {
		l.known[i] = unread
	}
	depth := 0
	if !f.v6 {
		depth = v4Bits
	}
	root, err := l.ref(0, depth)
	if err != nil {
		return tree{}, err
	}
	l.made.begin(root, f.v6)
	l.made.nodes = slices.Clip(l.made.nodes)
	return l.made, nil
}

// begin notes where addresses begin.
func (t *tree) begin(root ref, v6 bool) {
	t.root, t.v4 = root, root
	if !v6 {
		t.root = nowhere
		return
	}
	for range v4Bits {
		if t.v4&isLeaf == 0 {
			t.v4 = t.nodes[t.v4][0]
		}
	}
}

// ref returns what a record becomes that was reached by so many bits. Many may lead to the same node, which is read once.
func (l *loader) ref(record uint32, depth int) (ref, error) {
	if record >= l.nodes {
		return l.leafRef(record)
	}
	if depth >= maxBits {
		return 0, errDeep
	}
	if l.known[record] == unread {
		left, right := children(l.raw[int(record)*l.width:][:l.width])
		a, err := l.ref(left, depth+1)
		if err != nil {
			return 0, err
		}
		b, err := l.ref(right, depth+1)
		if err != nil {
			return 0, err
		}
		l.known[record] = l.join(a, b)
	}
	made := l.known[record]
	if depth+l.height(made) > maxBits {
		return 0, errDeep
	}
	return made, nil
}

// join returns the node with these sides, or the leaf that both are.
func (l *loader) join(a, b ref) ref {
	if a == b && a&isLeaf != 0 {
		return a
	}
	l.made.nodes = append(l.made.nodes, [2]ref{a, b})
	l.heights = append(l.heights, uint8(1+max(l.height(a), l.height(b))))
	return ref(len(l.made.nodes) - 1)
}

func (l *loader) height(of ref) int {
	if of&isLeaf != 0 {
		return 0
	}
	return int(l.heights[of])
}

// leafRef returns what a leaf becomes.
func (l *loader) leafRef(record uint32) (ref, error) {
	if known, ok := l.leaves[record]; ok {
		return known, nil
	}
	l.data.values = maxValues
	p, err := l.leaf(record)
	if l.left -= max(maxValues-max(l.data.values, 0), leastOfPlace); err == nil && l.left < 0 {
		err = errors.New("its values have too many parts")
	}
	if err != nil {
		return 0, err
	}
	s := spot{p.ASN, p.Country}
	made, ok := l.spots[s]
	if !ok {
		made = isLeaf | ref(len(l.made.spots))
		l.made.spots, l.spots[s] = append(l.made.spots, s), made
	}
	l.leaves[record] = made
	return made, nil
}
