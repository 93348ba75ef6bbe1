package geoip

import (
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"exile/internal/geoip/geoiptest"
)

var now = time.Date(2026, 11, 30, 0, 0, 0, 0, time.UTC)

// layouts are databases as those have them who make some.
var layouts = []geoiptest.Entry{
	{Prefix: "192.0.2.0/24", Value: geoiptest.Country("DE")},
	{Prefix: "198.51.100.0/25", Value: geoiptest.ASN(64496, "Example Net")},
	{Prefix: "198.51.100.128/25", Value: geoiptest.Map{{Key: "asn", Value: "AS64497"}, {Key: "as_name", Value: "Other"}, {Key: "country", Value: "at"}}},
	{Prefix: "203.0.113.0/24", Value: geoiptest.Map{{Key: "asn", Value: "AS4294967295"}, {Key: "country", Value: "Germany"}, {Key: "country_code", Value: "DE"}}},
	{Prefix: "2001:db8:1::/48", Value: geoiptest.Country("CH")},
	{Prefix: "2001:db8:2::/48", Value: geoiptest.Map{{Key: "asn", Value: uint32(64498)}, {Key: "name", Value: strings.Repeat("ü", 200)}}},
	{Prefix: "2001:db8:3::1/128", Value: geoiptest.Map{{Key: "padding", Value: strings.Repeat("x", 70_000)}, {Key: "country_code", Value: "FR"}}},
	{Prefix: "10.0.0.0/8", Value: geoiptest.Country("ZZ")},
}

var questions = map[string]string{
	"192.0.2.7":        "DE",
	"::ffff:192.0.2.7": "DE",
	"192.0.3.1":        "",
	"198.51.100.1":     "AS64496",
	"198.51.100.200":   "AT, AS64497",
	"203.0.113.255":    "DE, AS4294967295",
	"2001:db8:1:2::3":  "CH",
	"2001:db8:2::1":    "AS64498",
	"2001:db8:3::1":    "FR",
	"2001:db8:3::2":    "",
	"10.1.2.3":         "", // private addresses are nowhere
	"fe80::1%eth0":     "",
	"127.0.0.1":        "",
}

func TestLookUp(t *testing.T) {
	t.Parallel()
	for _, record := range []int{24, 28, 32} {
		path := geoiptest.Write(t, filepath.Join(t.TempDir(), "test.mmdb"), geoiptest.Database{Record: record, Built: now, Entries: layouts, Alias: true})
		d := Open([]string{path}, now)
		if d.Wrong() != nil {
			t.Fatal(d.Wrong())
		}
		defer d.Close()
		table := Load([]string{path}, now)
		if table.Wrong() != nil {
			t.Fatal(table.Wrong())
		}
		for addr, want := range questions {
			for which, at := range map[string]func(netip.Addr) (Place, bool){"file": d.At, "table": table.At} {
				if got, ok := at(netip.MustParseAddr(addr)); got.String() != want || ok != (want != "") {
					t.Errorf("%d bits: %s says of %s: %q, %v; want %q", record, which, addr, got, ok, want)
				}
			}
		}
		if p, _ := d.At(netip.MustParseAddr("2002:c000:0207::1")); p.Country.String() != "DE" {
			t.Errorf("6to4 leads to %v", p)
		}
		if p, _ := d.At(netip.MustParseAddr("2001:db8:2::1")); p.Org != strings.Repeat("ü", 64) {
			t.Errorf("organisation %q", p.Org)
		}
	}
}

func TestIPv4Only(t *testing.T) {
	t.Parallel()
	path := geoiptest.Write(t, filepath.Join(t.TempDir(), "four.mmdb"), geoiptest.Database{Version: 4, Built: now, Entries: layouts[:2]})
	d := Open([]string{path}, now)
	if d.Wrong() != nil {
		t.Fatal(d.Wrong())
	}
	defer d.Close()
	table := Load([]string{path}, now)
	if table.Wrong() != nil {
		t.Fatal(table.Wrong())
	}
	for addr, want := range map[string]string{"192.0.2.1": "DE", "198.51.100.127": "AS64496", "198.51.100.128": "", "2001:db8:1::1": ""} {
		a := netip.MustParseAddr(addr)
		p, _ := d.At(a)
		q, _ := table.At(a)
		if p.String() != want || q.String() != want {
			t.Errorf("%s: file %q, table %q; want %q", addr, p, q, want)
		}
	}
}

// TestSeveral asks a database of countries and one of systems.
func TestSeveral(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	paths := []string{
		geoiptest.Write(t, filepath.Join(dir, "country.mmdb"), geoiptest.Database{Built: now, Entries: []geoiptest.Entry{{Prefix: "192.0.2.0/24", Value: geoiptest.Country("DE")}}}),
		geoiptest.Write(t, filepath.Join(dir, "asn.mmdb"), geoiptest.Database{Built: now, Record: 32, Entries: []geoiptest.Entry{{Prefix: "192.0.0.0/16", Value: geoiptest.ASN(64496, "Example")}}}),
		filepath.Join(dir, "none.mmdb"),
	}
	d := Open(paths, now)
	if err := d.Wrong(); err == nil || !strings.Contains(err.Error(), "none.mmdb") || !strings.Contains(err.Error(), "geoipupdate") {
		t.Errorf("error %v does not name the file that is missing, and the remedy", err)
	}
	defer d.Close()
	p, _ := d.At(netip.MustParseAddr("192.0.2.1"))
	if p.String() != "DE, AS64496" || p.Org != "Example" {
		t.Errorf("%v of %q", p, p.Org)
	}
}

func TestOutdated(t *testing.T) {
	t.Parallel()
	path := geoiptest.Write(t, filepath.Join(t.TempDir(), "old.mmdb"), geoiptest.Database{Built: now.Add(-MaxAge - 24*time.Hour), Entries: layouts})
	table := Load([]string{path}, now)
	if err := table.Wrong(); err == nil || !strings.Contains(err.Error(), "made 61 days ago") {
		t.Errorf("error %v", err)
	}
	if p, _ := table.At(netip.MustParseAddr("192.0.2.1")); p.String() != "DE" {
		t.Errorf("an old database says %v", p)
	}
}

// TestDamaged cuts a database at each byte and changes each byte: all that is allowed is a wrong answer or an error.
func TestDamaged(t *testing.T) {
	t.Parallel()
	entries := append(layouts[:6:6], layouts[7])
	whole := geoiptest.Database{Record: 28, Built: now, Entries: entries}.Bytes()
	for n := range whole {
		if _, err := read(bytes.NewReader(whole[:n]), int64(n)); err == nil {
			t.Errorf("the first %d of %d bytes are a database", n, len(whole))
		}
		damaged := bytes.Clone(whole)
		damaged[n] ^= 0xff
		ask(damaged)
	}
}

// ask asks a database for an address, both ways, and reports what both say, if they do.
func ask(raw []byte) (a, b Place, ok bool) {
	f, err := read(bytes.NewReader(raw), int64(len(raw)))
	if err != nil {
		return a, b, false
	}
	addr := netip.MustParseAddr("192.0.2.1")
	a, errA := f.at(addr)
	f.data.window = nil
	tree, errB := f.load()
	if errA != nil || errB != nil {
		return a, b, false
	}
	s := tree.at(addr)
	tree.at(netip.MustParseAddr("2001:db8::1"))
	return a, Place{Country: s.country, ASN: s.asn}, true
}

func FuzzDatabase(f *testing.F) {
	for _, record := range []int{24, 28, 32} {
		f.Add(geoiptest.Database{Record: record, Built: now, Entries: layouts[:3], Alias: true}.Bytes())
		f.Add(geoiptest.Database{Record: record, Version: 4, Built: now, Entries: layouts[1:2]}.Bytes())
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		if a, b, ok := ask(raw); ok && (a.Country != b.Country || a.ASN != b.ASN) {
			t.Errorf("the file says %v, the table %v", a, b)
		}
	})
}

// TestHostile gives trees that would take for ever: each node leads twice to the next, the last one to the first, or to values in values.
func TestHostile(t *testing.T) {
	t.Parallel()
	nested := any("x")
	for range 100 {
		nested = geoiptest.List{nested}
	}
	wide := make(geoiptest.List, 10_000)
	for i := range wide {
		wide[i] = true
	}
	for name, value := range map[string]any{"nested": nested, "wide": wide} {
		raw := geoiptest.Database{Built: now, Entries: []geoiptest.Entry{{Prefix: "192.0.2.0/24", Value: geoiptest.Map{{Key: "x", Value: value}}}}}.Bytes()
		if _, _, ok := ask(raw); ok {
			t.Errorf("%s: no error", name)
		}
	}
	ladder := geoiptest.Database{Built: now, Entries: []geoiptest.Entry{{Prefix: "::/127", Value: geoiptest.Country("DE")}}}.Bytes()
	for n := range 126 {
		copy(ladder[n*6+3:n*6+6], ladder[n*6:n*6+3]) // the right side is the left one
	}
	if _, b, ok := ask(ladder); !ok || b.Country.String() != "DE" {
		t.Errorf("a ladder says %v, %v", b, ok)
	}
	copy(ladder[125*6:], []byte{0, 0, 0})
	if _, _, ok := ask(ladder); ok {
		t.Error("a circle is no error")
	}
}

// TestManyPlaces: a tree with more places than any database has is refused before they fill the memory. Each place is an empty map.
func TestManyPlaces(t *testing.T) {
	t.Parallel()
	for nodes, refused := range map[int]bool{maxTotal/leastOfPlace - 1: false, maxTotal / leastOfPlace: true} { // a tree has a leaf more than nodes
		raw := make([]byte, nodes*6, nodes*7+separator+1)
		for side := range 2 * nodes {
			record := side + 1 // as in a heap
			if record >= nodes {
				record += separator
			}
			raw[side*3], raw[side*3+1], raw[side*3+2] = byte(record>>16), byte(record>>8), byte(record)
		}
		raw = append(raw, make([]byte, separator)...)
		raw = append(raw, bytes.Repeat([]byte{7 << 5}, nodes+1)...)
		r := bytes.NewReader(raw)
		f := &file{r: r, nodes: uint32(nodes), width: 6, v6: true, data: newData(r, int64(nodes*6+separator), int64(len(raw)))}
		if _, err := f.load(); (err != nil) != refused {
			t.Errorf("%d places: %v", nodes+1, err)
		}
	}
}

func TestNotRegular(t *testing.T) {
	t.Parallel()
	if err := Open([]string{t.TempDir()}, now).Wrong(); err == nil || !strings.Contains(err.Error(), "not a file") {
		t.Errorf("a folder: %v", err)
	}
	empty := filepath.Join(t.TempDir(), "empty.mmdb")
	if err := os.WriteFile(empty, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := Open([]string{empty}, now).Wrong(); err == nil || !strings.Contains(err.Error(), "no metadata") {
		t.Errorf("an empty file: %v", err)
	}
}

func TestASN(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]uint32{"AS64496": 64496, "as1": 1, "4294967295": 4294967295, "AS0": 0, "AS": 0, "AS4294967296": 0, "AS-1": 0, "": 0} {
		if n, ok := ParseASN(text); ok != (want > 0) || ok && n != want {
			t.Errorf("%q is %d, %v", text, n, ok)
		}
	}
}

// BenchmarkAt asks a database of a hundred thousand networks.
func BenchmarkAt(b *testing.B) {
	var entries []geoiptest.Entry
	for i := range 100_000 {
		entries = append(entries, geoiptest.Entry{
			Prefix: fmt.Sprintf("%d.%d.%d.0/24", 11+i>>16, i>>8&0xff, i&0xff),
			Value:  geoiptest.Map{{Key: "asn", Value: uint32(i%5000 + 1)}, {Key: "country_code", Value: string([]byte{'A' + byte(i%26), 'A' + byte(i/26%26)})}},
		})
	}
	path := geoiptest.Write(b, filepath.Join(b.TempDir(), "big.mmdb"), geoiptest.Database{Record: 28, Built: now, Entries: entries})
	table := Load([]string{path}, now)
	if table.Wrong() != nil {
		b.Fatal(table.Wrong())
	}
	addrs := make([]netip.Addr, 1<<16)
	for i := range addrs {
		n := i * 40503 & 0xffff
		addrs[i] = netip.AddrFrom4([4]byte{11, byte(n >> 8), byte(n), byte(i)})
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		if _, ok := table.At(addrs[i&0xffff]); !ok {
			b.Fatal("unknown")
		}
		i++
	}
}

func TestParseCountry(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{"DE": "DE", "de": "DE", "ZW": "ZW", "XK": "XK", "XX": "", "UK": "", "D": "", "DEU": "", "E ": "", "": ""} {
		if c, ok := ParseCountry(text); ok != (want != "") || ok && c.String() != want {
			t.Errorf("%q is %q, %v", text, c, ok)
		}
	}
}
