package journalfile

import (
	"bytes"
	"fmt"
)

// maxChain bounds how far a hash chain is followed. journald rotates a file long before its chains are that long.
const maxChain = 1 << 16

// findData returns the offset of the data object of "FIELD=value"; 0 when no entry of the file has it.
func (f *File) findData(data []byte) (uint64, error) {
	h := f.hash(data)
	return f.chain(f.dataTable, f.dataN, h, typeData, func(off uint64) (bool, error) { return f.dataEquals(off, data) })
}

// findField returns the offset of the field object of that name; 0 when no entry of the file has it.
func (f *File) findField(name []byte) (uint64, error) {
	h := f.hash(name)
	return f.chain(f.fieldsTab, f.fieldsN, h, typeField, func(off uint64) (bool, error) {
		b, err := f.near(off, typeField, fieldPayload)
		return err == nil && bytes.Equal(b[fieldPayload:], name), err
	})
}

// chain walks the hash chain of a bucket until is returns true for an object with that hash.
func (f *File) chain(table, n, h uint64, kind byte, is func(off uint64) (bool, error)) (uint64, error) {
	if n == 0 || n > f.used/bucketSize || table > f.used-n*bucketSize {
		return 0, fmt.Errorf("%w: hash table of %d buckets at offset %d", ErrCorrupt, n, table)
	}
	off := f.word(table + h%n*bucketSize)
	for range maxChain {
		if off == 0 {
			return 0, nil
		}
		b, _, err := f.fixed(off, kind, hashedHead)
		if err != nil {
			return 0, err
		}
		next := le64(b, hashedNext)
		if le64(b, hashedHash) == h {
			if yes, err := is(off); yes || err != nil {
				return off, err
			}
		}
		off = next
	}
	return 0, fmt.Errorf("%w: hash chain of more than %d objects", ErrCorrupt, maxChain)
}

// dataEquals reports whether the data object at off holds exactly data.
func (f *File) dataEquals(off uint64, data []byte) (bool, error) {
	b, err := f.near(off, typeData, f.dataPayload())
	if err != nil {
		return false, err
	}
	payload := b[f.dataPayload():]
	if b[1]&compressed == 0 {
		return bytes.Equal(payload, data), nil
	}
	got, whole, err := f.unzip.expand(nil, b[1], payload, len(data))
	return whole && bytes.Equal(got, data), err
}

// payload appends at most limit bytes of the "FIELD=value" that the data object at off holds to dst, and reports whether
// that was all.
func (f *File) payload(dst []byte, off uint64, limit int) (_ []byte, whole bool, err error) {
	b, err := f.near(off, typeData, f.dataPayload())
	if err != nil {
		return dst, false, err
	}
	p := b[f.dataPayload():]
	if flags := b[1]; flags&compressed != 0 {
		return f.unzip.expand(dst, flags, p, limit)
	}
	n := min(len(p), limit)
	return append(dst, p[:n]...), n == len(p), nil
}

// postings returns the entries that have the data object at off, as many as are linked now.
func (f *File) postings(off uint64) (list, error) {
	b, _, err := f.fixed(off, typeData, dataHead)
	if err != nil {
		return list{}, err
	}
	return list{
		n:     min(le64(b, dataEntries), f.main.n),
		first: le64(b, dataEntry),
		head:  le64(b, dataArray),
	}, nil
}

// values calls each with the data objects of a field, newest first, until it reaches one that it saw last time. It
// returns where to stop next time.
func (f *File) values(field []byte, seen uint64, each func(off uint64) error) (uint64, error) {
	fieldOff, err := f.findField(field)
	if fieldOff == 0 || err != nil {
		return seen, err
	}
	b, _, err := f.fixed(fieldOff, typeField, fieldPayload)
	if err != nil {
		return seen, err
	}
	head := le64(b, fieldHead)
	// The object at the head of the chain is the newest; the chain leads to older ones, at lower offsets.
	for off, last := head, f.used; off != 0 && off != seen; {
		if off >= last {
			return seen, fmt.Errorf("%w: values of field %q go in a circle", ErrCorrupt, field)
		}
		last = off
		d, _, err := f.fixed(off, typeData, dataHead)
		if err != nil {
			return seen, err
		}
		next := le64(d, dataNextField)
		if err := each(off); err != nil {
			return seen, err
		}
		off = next
	}
	return head, nil
}
