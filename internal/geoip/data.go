package geoip

import (
	"errors"
	"io"
	"strings"
	"unicode/utf8"
)

// data is a section of values: maps, lists, texts and numbers, where a pointer can stand for any of them.
type data struct {
	r          io.ReaderAt
	begin, end int64
	window     []byte // of the file, around what was read last
	at         int64  // where the window begins
	values     int    // that may still be looked at
}

const (
	windowSize = 4 << 10
	// maxValues is how many values are looked at for one answer. A city in many languages has some hundred.
	maxValues = 4096
	// maxNested is how deep values may be nested. MaxMind's are 4 deep.
	maxNested = 16
	// maxKey is the longest text that is compared.
	maxKey = 64
	// maxOrg is the longest text that is kept.
	maxOrg = 128
)

// The types of values that count here; the extended ones begin at 8.
const (
	isPointer = 1
	isText    = 2
	isBytes   = 4
	isUint16  = 5
	isUint32  = 6
	isMap     = 7
	isInt32   = 8
	isUint64  = 9
	isList    = 11
	isCache   = 12
	isEnd     = 13
	isBool    = 14
	isFloat   = 15
)

var errDamaged = errors.New("it is damaged")

func newData(r io.ReaderAt, begin, end int64) data { return data{r: r, begin: begin, end: end} }

// read returns n bytes, at most a window, from an offset on. They are valid until the next call.
func (d *data) read(off int64, n int) ([]byte, error) {
	from := d.begin + off
	if off < 0 || from+int64(n) > d.end {
		return nil, errDamaged
	}
	if from < d.at || from+int64(n) > d.at+int64(len(d.window)) {
		if d.window == nil {
			d.window = make([]byte, 0, windowSize)
		}
		d.window, d.at = d.window[:min(windowSize, d.end-from)], from
		if _, err := d.r.ReadAt(d.window, from); err != nil {
			d.window = d.window[:0]
			return nil, err
		}
	}
	return d.window[from-d.at:][:n], nil
}

// head is what stands before a value.
type head struct {
	kind byte
	size int64 // bytes of a value, pairs of a map, items of a list; where a pointer points to
	body int64 // where the value begins
}

// head reads the head at an offset.
func (d *data) head(off int64) (h head, err error) {
	if d.values--; d.values < 0 {
		return h, errors.New("a value has too many parts")
	}
	b, err := d.read(off, 1)
	if err != nil {
		return h, err
	}
	first := b[0]
	h.kind, h.size, h.body = first>>5, int64(first&0x1f), off+1
	switch h.kind {
	case isPointer:
		return d.pointer(h)
	case 0:
		if b, err = d.read(h.body, 1); err != nil {
			return h, err
		}
		h.kind = b[0] + 7
		if h.body++; b[0] == 0 || h.kind > isFloat {
			return h, errDamaged
		}
	}
	return d.size(h)
}

// pointer reads the rest of a pointer: two bits of its size say how many bytes follow.
func (d *data) pointer(h head) (head, error) {
	n := h.size>>3 + 1
	b, err := d.read(h.body, int(n))
	if err != nil {
		return h, err
	}
	to := h.size & 7
	if n == 4 {
		to = 0
	}
	for _, c := range b {
		to = to<<8 | int64(c)
	}
	h.size, h.body = to+[...]int64{0, 2048, 526336, 0}[n-1], h.body+n
	return h, nil
}

// size reads the rest of a size: from 29 on one to three bytes follow.
func (d *data) size(h head) (head, error) {
	if h.size < 29 {
		return h, nil
	}
	n := h.size - 28
	b, err := d.read(h.body, int(n))
	if err != nil {
		return h, err
	}
	more := int64(0)
	for _, c := range b {
		more = more<<8 | int64(c)
	}
	h.size, h.body = more+[...]int64{29, 285, 65821}[n-1], h.body+n
	return h, nil
}

// resolve returns the head of a value, which a pointer may stand for.
func (d *data) resolve(off int64) (h head, err error) {
	if h, err = d.head(off); err != nil || h.kind != isPointer {
		return h, err
	}
	if h, err = d.head(h.size); err == nil && h.kind == isPointer {
		err = errDamaged // the format has no pointers to pointers
	}
	return h, err
}

// skip returns where what follows a value begins.
func (d *data) skip(off int64, nested int) (int64, error) {
	h, err := d.head(off)
	if err != nil {
		return 0, err
	}
	items := h.size
	switch h.kind {
	case isPointer, isBool:
		return h.body, nil
	case isMap:
		items *= 2
	case isList:
	case isCache, isEnd:
		return 0, errDamaged
	default:
		return h.body + h.size, nil
	}
	if nested == maxNested {
		return 0, errors.New("values are nested too deeply")
	}
	at := h.body
	for range items {
		if at, err = d.skip(at, nested+1); err != nil {
			return 0, err
		}
	}
	return at, nil
}

// each calls use with each key of the map at an offset, and with the offset of its value.
func (d *data) each(off int64, use func(key string, at int64) error) error {
	d.values = maxValues
	return d.pairs(off, use)
}

// pairs is each inside of another.
func (d *data) pairs(off int64, use func(key string, at int64) error) error {
	h, err := d.resolve(off)
	if err != nil {
		return err
	}
	if h.kind != isMap {
		return errDamaged
	}
	at := h.body
	for range h.size {
		key, ok, err := d.text(at, maxKey)
		if err == nil && !ok {
			err = errDamaged
		}
		if err != nil {
			return err
		}
		if at, err = d.skip(at, 0); err != nil {
			return err
		}
		if err = use(key, at); err != nil {
			return err
		}
		if at, err = d.skip(at, 0); err != nil {
			return err
		}
	}
	return nil
}

// text returns the first most bytes of a text; false if the value is none.
func (d *data) text(off int64, most int) (string, bool, error) {
	h, err := d.resolve(off)
	if err != nil || h.kind != isText {
		return "", false, err
	}
	b, err := d.read(h.body, int(min(h.size, int64(most))))
	return string(b), true, err
}

// number returns a number that is not negative; false if the value is none.
func (d *data) number(off int64) (n uint64, ok bool, err error) {
	h, err := d.resolve(off)
	if err != nil || h.size > 8 {
		return 0, false, err
	}
	switch h.kind {
	case isUint16, isUint32, isUint64:
	case isInt32:
		if h.size == 4 { // all four bytes are there only for the largest numbers, and for negative ones
			return 0, false, nil
		}
	default:
		return 0, false, nil
	}
	b, err := d.read(h.body, int(h.size))
	for _, c := range b {
		n = n<<8 | uint64(c)
	}
	return n, true, err
}

// place reads a leaf. MaxMind and DB-IP have {country: {iso_code: DE}} and {autonomous_system_number: 64496}, IPinfo {country: DE} or
// {country: Germany, country_code: DE}, and {asn: AS64496}.
func (d *data) place(off int64) (p Place, err error) {
	err = d.each(off, func(key string, at int64) error {
		switch key {
		case "country":
			return d.country(at, &p)
		case "country_code":
			return d.code(at, &p)
		case "autonomous_system_number", "asn":
			return d.asn(at, &p)
		case "autonomous_system_organization", "as_name", "name":
			org, _, err := d.text(at, maxOrg)
			p.Org = valid(org)
			return err
		}
		return nil
	})
	if p.ASN == 0 {
		p.Org = ""
	}
	return p, err
}

// valid returns a text as UTF-8, without a last character that is not whole.
func valid(s string) string {
	for i := 1; i < utf8.UTFMax && i <= len(s); i++ {
		if last := s[len(s)-i:]; utf8.RuneStart(last[0]) {
			if !utf8.FullRuneInString(last) {
				s = s[:len(s)-i]
			}
			break
		}
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}

// country reads the code of a country, or a map that has it.
func (d *data) country(at int64, p *Place) error {
	h, err := d.resolve(at)
	if err != nil || h.kind != isMap {
		return errors.Join(err, d.code(at, p))
	}
	return d.pairs(at, func(key string, at int64) error {
		if key == "iso_code" {
			return d.code(at, p)
		}
		return nil
	})
}

// code reads the code of a country. Other texts are none: a name.
func (d *data) code(at int64, p *Place) error {
	s, _, err := d.text(at, 3)
	if c, ok := countryOf(s); ok {
		p.Country = c
	}
	return err
}

// asn reads the number of a system, as a number or as a text.
func (d *data) asn(at int64, p *Place) error {
	s, ok, err := d.text(at, 16)
	if ok || err != nil {
		p.ASN, _ = ParseASN(s)
		return err
	}
	n, _, err := d.number(at)
	if n <= 1<<32-1 {
		p.ASN = uint32(n)
	}
	return err
}
