// Package geoiptest makes small databases in the MaxMind DB format, https://maxmind.github.io/MaxMind-DB/, for tests.
package geoiptest

import (
	"encoding/binary"
	"net/netip"
	"os"
	"testing"
	"time"
)

// Pair is a key of a map and its value: a string, a uint32, a uint64, a bool, a float64, a Map or a List.
type Pair struct {
	Key   string
	Value any
}

// Map is a map, in the order in which it is written.
type Map []Pair

// List is a list of values.
type List []any

// Entry is what a database says of a prefix. An earlier entry wins over a later one that is inside of it.
type Entry struct {
	Prefix string
	Value  any
}

// Database is what a file is made of.
type Database struct {
	Record  int // bits: 24, 28 or 32; 0: 24
	Version int // of IP: 4 or 6; 0: 6
	Built   time.Time
	Entries []Entry
	Alias   bool // 2002::/16 leads to where IPv4 begins, as in MaxMind's
}

// Country is a leaf of MaxMind's and DB-IP's databases of countries and cities.
func Country(code string) Map {
	return Map{
		{"continent", Map{{"code", "EU"}, {"names", Map{{"de", "Europa"}, {"en", "Europe"}}}}},
		{"country", Map{{"geoname_id", uint32(1)}, {"iso_code", code}, {"names", Map{{"en", "Somewhere"}}}}},
		{"location", Map{{"latitude", 48.5}, {"time_zone", "Europe/Berlin"}}},
		{"registered_country", Map{{"is_in_european_union", true}, {"iso_code", "FR"}}},
	}
}

// ASN is a leaf of MaxMind's and DB-IP's databases of systems.
func ASN(n uint32, org string) Map {
	return Map{{"autonomous_system_number", n}, {"autonomous_system_organization", org}}
}

// Write writes a database and returns its path.
func Write(t testing.TB, path string, db Database) string {
	t.Helper()
	if err := os.WriteFile(path, db.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// node has two sides: each a node, a value, or nothing.
type node struct {
	side   [2]any
	number int
}

// Bytes is the file.
func (db Database) Bytes() []byte {
	root := new(node)
	for _, e := range db.Entries {
		p := netip.MustParsePrefix(e.Prefix)
		bits, from, to := p.Addr().As16(), 0, p.Bits()
		if p.Addr().Is4() {
			bits, to = [16]byte{12: bits[12], bits[13], bits[14], bits[15]}, to+96
		}
		if db.Version == 4 {
			from = 96
		}
		root.put(bits, from, to, e.Value)
	}
	if db.Alias {
		root.put([16]byte{0x20, 0x02}, 0, 16, root.down(96))
	}
	var all []*node
	root.count(&all)
	w := &writer{keys: map[string]int{}}
	record := max(db.Record, 24)
	var tree []byte
	for _, n := range all {
		tree = appendNode(tree, record, w.record(n.side[0], len(all)), w.record(n.side[1], len(all)))
	}
	version := 6
	if db.Version != 0 {
		version = db.Version
	}
	meta := &writer{keys: map[string]int{}}
	meta.value(Map{
		{"binary_format_major_version", uint32(2)},
		{"binary_format_minor_version", uint32(0)},
		{"build_epoch", uint64(db.Built.Unix())},
		{"database_type", "Test"},
		{"description", Map{{"en", "Test"}}},
		{"ip_version", uint32(version)},
		{"languages", List{"en"}},
		{"node_count", uint32(len(all))},
		{"record_size", uint32(record)},
	})
	out := append(append(tree, make([]byte, 16)...), w.out...)
	return append(append(out, "\xab\xcd\xefMaxMind.com"...), meta.out...)
}

func (n *node) put(bits [16]byte, from, to int, value any) {
	for i := from; ; i++ {
		side := &n.side[bits[i/8]>>(7-i%8)&1]
		if i == to-1 {
			*side = value
			return
		}
		inner, ok := (*side).(*node)
		if !ok {
			inner = &node{side: [2]any{*side, *side}}
			*side = inner
		}
		n = inner
	}
}

// down goes to the left so many times.
func (n *node) down(times int) any {
	var at any = n
	for range times {
		inner, ok := at.(*node)
		if !ok {
			return at
		}
		at = inner.side[0]
	}
	return at
}

func (n *node) count(all *[]*node) {
	if n.number > 0 {
		return // an alias
	}
	*all = append(*all, n)
	n.number = len(*all)
	for _, s := range n.side {
		if inner, ok := s.(*node); ok {
			inner.count(all)
		}
	}
}

func appendNode(b []byte, record int, left, right uint32) []byte {
	switch record {
	case 24:
		return append(b, byte(left>>16), byte(left>>8), byte(left), byte(right>>16), byte(right>>8), byte(right))
	case 28:
		return append(b, byte(left>>16), byte(left>>8), byte(left), byte(left>>24)<<4|byte(right>>24), byte(right>>16), byte(right>>8), byte(right))
	}
	return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(b, left), right)
}

// writer writes the data. Keys are written once, and then as pointers.
type writer struct {
	out  []byte
	keys map[string]int
}

// record is what a side of a node becomes. Each value is written as often as it is named.
func (w *writer) record(side any, nodes int) uint32 {
	switch s := side.(type) {
	case nil:
		return uint32(nodes)
	case *node:
		return uint32(s.number - 1)
	}
	at := len(w.out)
	w.value(side)
	return uint32(nodes + 16 + at)
}

func (w *writer) value(v any) {
	switch v := v.(type) {
	case string:
		w.head(2, len(v))
		w.out = append(w.out, v...)
	case float64:
		w.head(3, 8)
		w.out = append(w.out, make([]byte, 8)...)
	case uint32:
		w.number(6, uint64(v))
	case uint64:
		w.number(9, v)
	case bool:
		w.head(14, 1)
	case List:
		w.head(11, len(v))
		for _, item := range v {
			w.value(item)
		}
	case Map:
		w.head(7, len(v))
		for _, p := range v {
			w.key(p.Key)
			w.value(p.Value)
		}
	}
}

func (w *writer) key(k string) {
	if at, ok := w.keys[k]; ok {
		w.pointer(at)
		return
	}
	w.keys[k] = len(w.out)
	w.value(k)
}

func (w *writer) number(kind byte, n uint64) {
	b := binary.BigEndian.AppendUint64(nil, n)
	for len(b) > 0 && b[0] == 0 {
		b = b[1:]
	}
	w.head(kind, len(b))
	w.out = append(w.out, b...)
}

// pointer writes a pointer, in the fewest bytes.
func (w *writer) pointer(to int) {
	switch {
	case to < 2048:
		w.out = append(w.out, 1<<5|byte(to>>8), byte(to))
	case to < 2048+1<<19:
		to -= 2048
		w.out = append(w.out, 1<<5|1<<3|byte(to>>16), byte(to>>8), byte(to))
	case to < 526336+1<<27:
		to -= 526336
		w.out = append(w.out, 1<<5|2<<3|byte(to>>24), byte(to>>16), byte(to>>8), byte(to))
	default:
		w.out = binary.BigEndian.AppendUint32(append(w.out, 1<<5|3<<3), uint32(to))
	}
}

// head writes the type and the size of a value.
func (w *writer) head(kind byte, size int) {
	first, more := kind<<5, []byte(nil)
	if kind > 7 {
		first, more = 0, []byte{kind - 7}
	}
	switch {
	case size < 29:
		w.out = append(append(w.out, first|byte(size)), more...)
	case size < 285:
		w.out = append(append(append(w.out, first|29), more...), byte(size-29))
	case size < 65821:
		w.out = append(append(append(w.out, first|30), more...), byte((size-285)>>8), byte(size-285))
	default:
		size -= 65821
		w.out = append(append(append(w.out, first|31), more...), byte(size>>16), byte(size>>8), byte(size))
	}
}
