package journalfile

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"exile/journal"
)

// Errors to check for with errors.Is. Only Open returns ErrUnsupported and ErrNotJournal.
var (
	// ErrUnsupported: the file was written in a format newer than this package. Read it with journalctl.
	ErrUnsupported = errors.New("journal file format is newer than this program")
	// ErrNotJournal: not a journal file, or one that was just created.
	ErrNotJournal = errors.New("not a journal file")
	// ErrCorrupt: an object is not what the file says. Other objects may be readable.
	ErrCorrupt = errors.New("journal file is corrupt")
	// ErrUnreadable: a page of the file cannot be read: the file was truncated under us, or the disk fails.
	ErrUnreadable = errors.New("journal file cannot be read any more")
)

// State is what a file's last writer said about it.
type State uint8

// The states of a file.
const (
	Offline  State = iota // closed properly; may be opened again for writing
	Online                // being written, or its writer died
	Archived              // will not change again
)

// Incompatible flags of the header: a reader that does not know one of them cannot read the file.
const (
	flagXZ = 1 << iota
	flagLZ4
	flagKeyedHash
	flagZSTD
	flagCompact

	flagsKnown = flagXZ | flagLZ4 | flagKeyedHash | flagZSTD | flagCompact
)

// Header has the fields of the header that describe the file. Times are µs.
type Header struct {
	State         State
	FileID        journal.ID
	MachineID     journal.ID
	SeqnumID      journal.ID // files with the same one were numbered by one writer
	TailBoot      journal.ID // of the last entry, but in files before systemd 254 of the last writer
	HeadSeqnum    uint64     // of the first entry; 0: there is none
	TailSeqnum    uint64     // the last one given out for this file
	HeadRealtime  uint64     // µs since 1970
	TailRealtime  uint64     // µs since 1970
	TailMonotonic uint64     // µs, in TailBoot if that can be trusted
	Entries       uint64     // linked into the index
	Compact       bool
	Sealed        bool
}

const (
	signature     = "LPKSHHRH"
	headerMin     = 208       // all fields before n_data, which every revision has
	headerMax     = 64 * 1024 // far more than any revision will need
	offHeaderSize = 88
	offArenaSize  = 96
	offNEntries   = 152
	offState      = 16
)

// layout is what no longer changes once a file has an entry.
type layout struct {
	compact   bool
	keyed     bool
	hdrSize   uint64
	fileID    journal.ID
	dataTable uint64 // offset of the first bucket
	dataN     uint64 // buckets
	fieldsTab uint64
	fieldsN   uint64
}

func le64(b []byte, off uint64) uint64 { return binary.LittleEndian.Uint64(b[off:]) }
func le32(b []byte, off uint64) uint64 { return uint64(binary.LittleEndian.Uint32(b[off:])) }

// parseLayout checks the start of a file. b is at least headerMin long.
func parseLayout(b []byte) (l layout, err error) {
	if string(b[:8]) != signature {
		return l, ErrNotJournal
	}
	flags := uint32(le32(b, 12))
	if unknown := flags &^ flagsKnown; unknown != 0 {
		return l, fmt.Errorf("%w: incompatible flags %#x", ErrUnsupported, unknown)
	}
	l.compact = flags&flagCompact != 0
	l.keyed = flags&flagKeyedHash != 0
	l.hdrSize = le64(b, offHeaderSize)
	if l.hdrSize < headerMin || l.hdrSize > headerMax || l.hdrSize%8 != 0 || l.hdrSize > uint64(len(b)) {
		return l, fmt.Errorf("%w: header of %d bytes", ErrCorrupt, l.hdrSize)
	}
	copy(l.fileID[:], b[24:40])
	l.tables(b)
	return l, nil
}

// tables reads where the hash tables are. A writer makes them after the header and before the first entry.
func (l *layout) tables(b []byte) {
	l.dataTable, l.dataN = le64(b, 104), le64(b, 112)/bucketSize
	l.fieldsTab, l.fieldsN = le64(b, 120), le64(b, 128)/bucketSize
}

// parseHeader reads the header. b is at least headerMin long.
func parseHeader(b []byte) (h Header) {
	h.Sealed = le32(b, 8)&1 != 0
	h.Compact = le32(b, 12)&flagCompact != 0
	h.State = State(b[offState])
	copy(h.FileID[:], b[24:])
	copy(h.MachineID[:], b[40:])
	copy(h.TailBoot[:], b[56:])
	copy(h.SeqnumID[:], b[72:])
	h.Entries = le64(b, offNEntries)
	h.TailSeqnum, h.HeadSeqnum = le64(b, 160), le64(b, 168)
	h.HeadRealtime, h.TailRealtime, h.TailMonotonic = le64(b, 184), le64(b, 192), le64(b, 200)
	return h
}

// String is the state in the words of journalctl --header.
func (s State) String() string {
	switch s {
	case Offline, Online, Archived:
		return strings.Fields("offline online archived")[s]
	default:
		return "unknown"
	}
}
