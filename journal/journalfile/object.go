package journalfile

import (
	"fmt"

	"exile/journal"
)

// Types of objects.
const (
	typeData       = 1
	typeField      = 2
	typeEntry      = 3
	typeEntryArray = 6
)

// Where things are in objects.
const (
	objectHeader = 16
	bucketSize   = 16
	fieldPayload = 40
	entryItems   = 64
	arrayNext    = 16
	arrayItems   = 24

	// Of data and field objects, which are in hash tables.
	hashedHash = 16
	hashedNext = 24
	hashedHead = 32

	fieldHead     = 32
	dataNextField = 32
	dataEntry     = 40
	dataArray     = 48
	dataEntries   = 56
	dataHead      = 64
)

// object returns the bytes of the object at off, which is of that type and at least least bytes long. The bytes may change
// while we look at them: read a number only once, then check it.
func (f *File) object(off uint64, kind byte, least uint64) ([]byte, error) {
	if off%8 != 0 || off < f.hdrSize || off > f.used || f.used-off < objectHeader {
		return nil, fmt.Errorf("%w: no object can be at offset %d", ErrCorrupt, off)
	}
	b := f.data[off:f.used:f.used]
	if b[0] != kind {
		return nil, fmt.Errorf("%w: object at offset %d is of type %d, not %d", ErrCorrupt, off, b[0], kind)
	}
	size := le64(b, 8)
	if size < least || size > uint64(len(b)) {
		return nil, fmt.Errorf("%w: object at offset %d of %d bytes", ErrCorrupt, off, size)
	}
	return b[:size:size], nil
}

func (l *layout) dataPayload() uint64 {
	if l.compact {
		return 72
	}
	return 64
}

// itemSize is the size of an item of an entry array.
func (l *layout) itemSize() uint64 {
	if l.compact {
		return 4
	}
	return 8
}

// entryItemSize is the size of an item of an entry: classic ones repeat the hash of the data object.
func (l *layout) entryItemSize() uint64 {
	if l.compact {
		return 4
	}
	return 16
}

func (l *layout) offsetAt(b []byte, at uint64) uint64 {
	if l.compact {
		return le32(b, at)
	}
	return le64(b, at)
}

// Entry is the fixed part of an entry: what a cursor of journalctl has.
type Entry struct {
	Seqnum    uint64
	Realtime  uint64 // µs since 1970
	Monotonic uint64 // µs, in Boot
	Boot      journal.ID
	XorHash   uint64
}

// Position is the position after the entry.
func (e *Entry) Position(seqnumID journal.ID) journal.Position {
	return journal.Position{
		SeqnumID: seqnumID, Seqnum: e.Seqnum, Boot: e.Boot, Monotonic: e.Monotonic, Realtime: e.Realtime, XorHash: e.XorHash,
	}
}

// maxFields is how many fields an entry may have. journald takes 1024 from a client and adds some of its own.
const maxFields = 4096

// entry returns the object of an entry.
func (f *File) entry(off uint64) ([]byte, error) {
	b, err := f.near(off, typeEntry, entryItems)
	if err == nil && uint64(len(b)) > entryItems+maxFields*f.entryItemSize() {
		return nil, fmt.Errorf("%w: entry at offset %d of %d bytes", ErrCorrupt, off, len(b))
	}
	return b, err
}

func (e *Entry) parse(b []byte) {
	e.Seqnum, e.Realtime, e.Monotonic = le64(b, 16), le64(b, 24), le64(b, 32)
	copy(e.Boot[:], b[40:56])
	e.XorHash = le64(b, 56)
}
