package sqlite

import (
	"encoding/binary"
	"fmt"
	"math"
)

// maxRow is how far into a row, in bytes, the values that somebody wants may reach.
const maxRow = 1 << 16

var errRow = fmt.Errorf("%w: a row ends early", ErrFormat)

// varint reads a number of one to nine bytes; n is 0 if there is none.
func varint(b []byte) (v uint64, n int) {
	for n = 0; n < 8; n++ {
		if n == len(b) {
			return 0, 0
		}
		v = v<<7 | uint64(b[n]&0x7f)
		if b[n] < 0x80 {
			return v, n + 1
		}
	}
	if n == len(b) {
		return 0, 0
	}
	return v<<8 | uint64(b[n]), n + 1
}

// payload is the contents of a row: what is on the page, and where it goes on.
type payload struct {
	bytes []byte
	size  uint64
	next  uint32 // page; 0: no more
}

// row reads a cell, and hands on its values.
func (s *scan) row(cell []byte) error {
	size, n := varint(cell)
	_, m := varint(cell[n:]) // the row's number
	if n == 0 || m == 0 {
		return errRow
	}
	p, err := s.split(cell[n+m:], size)
	if err != nil {
		return err
	}
	values, err := s.values(p)
	if err != nil {
		return err
	}
	return s.f(values)
}

// split tells what of a row is on its page: all of a short one, the beginning of a long one.
func (s *scan) split(b []byte, size uint64) (p payload, err error) {
	usable := uint64(s.db.usable)
	local := size
	if most := usable - 35; size > most {
		least := (usable-12)*32/255 - 23
		if local = least + (size-least)%(usable-4); local > most {
			local = least
		}
	}
	if local > uint64(len(b)) {
		return p, errRow
	}
	p = payload{bytes: b[:local:local], size: size}
	if local < size {
		if uint64(len(b)) < local+4 {
			return p, errRow
		}
		p.next = binary.BigEndian.Uint32(b[local:])
	}
	return p, nil
}

// reach reads as much of a row as is needed.
func (s *scan) reach(p *payload, end uint64) error {
	if end > p.size {
		return errRow
	}
	if end > maxRow {
		return fmt.Errorf("%w: a value is more than %d bytes into its row", ErrFormat, maxRow)
	}
	for uint64(len(p.bytes)) < end {
		b, err := s.page(p.next)
		if err != nil {
			return err
		}
		p.next = binary.BigEndian.Uint32(b)
		p.bytes = append(p.bytes, b[4:min(uint64(len(b)), 4+p.size-uint64(len(p.bytes)))]...)
	}
	return nil
}

// field is where a value is, and what it is.
type field struct {
	kind       uint64
	begin, end uint64
}

// values reads the columns that somebody wants.
func (s *scan) values(p payload) ([]any, error) {
	fields, err := s.fields(&p)
	if err != nil {
		return nil, err
	}
	out := make([]any, len(s.wanted))
	for i, column := range s.wanted {
		if column < 0 || column >= len(fields) {
			continue
		}
		f := fields[column]
		if err := s.reach(&p, f.end); err != nil {
			return nil, err
		}
		if out[i], err = decode(f.kind, p.bytes[f.begin:f.end]); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// fields reads the head of a row, up to the last column that somebody wants: the kind of each value, of which its length follows.
func (s *scan) fields(p *payload) (fields []field, err error) {
	if err := s.reach(p, min(p.size, 9)); err != nil {
		return nil, err
	}
	size, n := varint(p.bytes)
	if n == 0 || size < uint64(n) {
		return nil, errRow
	}
	if err := s.reach(p, size); err != nil {
		return nil, err
	}
	end := size
	for at := uint64(n); at < size && len(fields) <= s.last; {
		kind, n := varint(p.bytes[at:size])
		if n == 0 {
			return nil, errRow
		}
		at += uint64(n)
		f := field{kind: kind, begin: end}
		length := lengthOf(kind)
		if length > p.size-end {
			return nil, errRow
		}
		end += length
		f.end = end
		fields = append(fields, f)
	}
	return fields, nil
}

// The kinds of values; from firstBlob on it is their length, too.
const (
	kindNull  = 0
	kindFloat = 7
	kindZero  = 8
	kindOne   = 9
	firstBlob = 12
)

func lengthOf(kind uint64) uint64 {
	if kind >= firstBlob {
		return (kind - firstBlob) / 2
	}
	return [firstBlob]uint64{0, 1, 2, 3, 4, 6, 8, 8, 0, 0, 0, 0}[kind]
}

func decode(kind uint64, b []byte) (any, error) {
	switch {
	case kind == kindNull:
		return nil, nil
	case kind == kindZero || kind == kindOne:
		return int64(kind - kindZero), nil
	case kind == kindFloat:
		return math.Float64frombits(binary.BigEndian.Uint64(b)), nil
	case kind < kindFloat:
		v := int64(int8(b[0])) // the sign
		for _, c := range b[1:] {
			v = v<<8 | int64(c)
		}
		return v, nil
	case kind < firstBlob:
		return nil, fmt.Errorf("%w: a value of the kind %d", ErrFormat, kind)
	case kind%2 == 0:
		return append([]byte{}, b...), nil
	}
	return string(b), nil
}
