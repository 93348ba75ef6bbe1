// Package geoip says in which country and in which network (autonomous system) an address is, by databases in the MaxMind DB format that the
// administrator has: https://maxmind.github.io/MaxMind-DB/. Every byte of such a file may be wrong: what is read of it is bounded.
package geoip

import (
	"errors"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// Place is where an address is, as a database says.
type Place struct {
	Country Country
	ASN     uint32 // of the autonomous system; 0: unknown
	Org     string // whose system that is: any text, at most 128 bytes, to be quoted; Table leaves it out
}

// Country is a code of ISO 3166-1 alpha-2, such as DE; the zero Country is unknown. It need not be the code of a country that exists.
type Country [2]byte

// String returns the two letters, or nothing.
func (c Country) String() string {
	if c == (Country{}) {
		return ""
	}
	return string(c[:])
}

// countryOf reads two letters.
func countryOf(s string) (c Country, ok bool) {
	if len(s) != len(c) {
		return c, false
	}
	for i := range c {
		c[i] = s[i] &^ 0x20
		if c[i] < 'A' || c[i] > 'Z' {
			return Country{}, false
		}
	}
	return c, true
}

// ParseASN reads the number of an autonomous system, AS64496 or 64496, from 1 to 4294967295.
func ParseASN(s string) (uint32, bool) {
	if len(s) > 2 && strings.EqualFold(s[:2], "AS") {
		s = s[2:]
	}
	n, err := strconv.ParseUint(s, 10, 32)
	return uint32(n), err == nil && n > 0
}

// FormatASN returns the number as people write it, AS64496; nothing for 0.
func FormatASN(n uint32) string {
	if n == 0 {
		return ""
	}
	return "AS" + strconv.FormatUint(uint64(n), 10)
}

// String returns what is known, such as "DE, AS64496".
func (p Place) String() string {
	parts := make([]string, 0, 2)
	for _, s := range []string{p.Country.String(), FormatASN(p.ASN)} {
		if s != "" {
			parts = append(parts, s)
		}
	}
	return strings.Join(parts, ", ")
}

// known reports whether anything is.
func (p *Place) known() bool { return p.Country != Country{} || p.ASN != 0 }

// complete takes from q what p lacks.
func (p *Place) complete(q Place) {
	if p.Country == (Country{}) {
		p.Country = q.Country
	}
	if p.ASN == 0 {
		p.ASN, p.Org = q.ASN, q.Org
	}
}

// somewhere returns the address as databases have it, and whether it can be in one: private and local addresses are nowhere.
func somewhere(a netip.Addr) (netip.Addr, bool) {
	a = a.Unmap().WithZone("")
	return a, a.IsGlobalUnicast() && !a.IsPrivate()
}

// MaxAge is how old a database may be: what it says is then too often wrong. MaxMind and others renew theirs at least each month.
const MaxAge = 60 * 24 * time.Hour

// Databases are open files, for few questions: each reads of the files what it needs. It is for one goroutine.
type Databases struct {
	files []*file
	wrong error
}

// Open opens databases, those that can be used. now tells which are outdated.
func Open(paths []string, now time.Time) *Databases {
	d := new(Databases)
	for _, path := range paths {
		f, err := open(path)
		if err != nil {
			d.wrong = errors.Join(d.wrong, err)
			continue
		}
		d.wrong = errors.Join(d.wrong, f.outdated(now))
		d.files = append(d.files, f)
	}
	return d
}

// Wrong returns what is wrong with databases, a line for each, and the remedy. Those that are only outdated are used.
func (d *Databases) Wrong() error { return d.wrong }

// At says where an address is; false if no database knows.
func (d *Databases) At(a netip.Addr) (Place, bool) {
	a, ok := somewhere(a)
	if !ok {
		return Place{}, false
	}
	var p Place
	for _, f := range d.files {
		if q, err := f.at(a); err == nil { // a part that is damaged says nothing
			p.complete(q)
		}
	}
	return p, p.known()
}

// Close closes the files.
func (d *Databases) Close() {
	for _, f := range d.files {
		_ = f.Close() // it was only read
	}
	d.files = nil
}
