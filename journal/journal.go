// Package journal has what every source of log entries shares: the entry, the position to resume from, the gap that a
// source could not bridge, and the selector that says which entries are wanted. It knows nothing of bans.
//
// The sources are in the folders below: follow reads a directory of journal files, export reads a journalctl child for
// file formats that we do not know, textlog reads auth.log and its like.
package journal

import (
	"context"
	"time"
)

// ID is a 128-bit identifier of systemd: a boot, a machine, a sequence of numbers.
type ID [16]byte

// Entry is one log entry as a source saw it. Its slices and strings are valid until the emit call that it was handed to
// returns: a source reuses its buffers.
type Entry struct {
	Position   Position  // this entry's own position; resuming from it continues behind the entry
	Time       time.Time // when journald received it (__REALTIME_TIMESTAMP), never what the sender claims
	Boot       ID
	PID        int32  // _PID, from the datagram's credentials; 0 when unknown
	UID        int64  // _UID, from the datagram's credentials; -1 when unknown
	Unit       string // _SYSTEMD_UNIT, trusted; empty for a process that exited before journald looked
	Identifier string // SYSLOG_IDENTIFIER, chosen by the sender: believed only together with UID 0
	Transport  string // _TRANSPORT: syslog, journal, stdout, kernel, audit, driver; "text" from a text log
	Message    []byte
	Replayed   bool // at or before the position that the source was told to resume from: count it, do not act on it
}

// Batch is what a source hands over at once, in order. Batches may be empty of entries: then they move the position, or
// report a gap, or say that the source has caught up.
type Batch struct {
	Entries  []Entry
	Gaps     []Gap    // found since the last batch; they lie before Position
	Position Position // everything up to here has been delivered or reported as a gap
	CaughtUp bool     // the source had nothing more to read when it made this batch
	Trouble  error    // what keeps the source from reading all that it should, for as long as it does, and what helps; nil: nothing
	Undated  int      // entries, of those that are new, whose time cannot be read: they have that of the entry before
}

// GapKind says why entries are missing from a stream.
type GapKind string

// The kinds of gaps.
const (
	GapVacuumed   GapKind = "vacuumed"   // removed before we read them
	GapSuppressed GapKind = "suppressed" // dropped by journald's rate limit: "Suppressed N messages from UNIT"
	GapUnreadable GapKind = "unreadable" // a file, or the rest of a file, that cannot be read
	GapTruncated  GapKind = "truncated"  // a line or a file cut short
)

// Gap is a stretch of the stream that the source knows it could not deliver.
type Gap struct {
	Kind    GapKind
	File    string    // the file, if it was one
	Unit    string    // the unit, for GapSuppressed
	Entries uint64    // how many entries are missing; 0 when unknown
	Since   time.Time // zero when unknown
	Until   time.Time // zero when unknown
	Err     error     // nil when there is no more to say
}

// Start says where a source begins.
type Start struct {
	// Resume is the position up to which entries have been acted upon. Entries at or before it are delivered with
	// Replayed set, and only if they are not older than Since. The zero Position means that none has.
	Resume Position
	// Since is the oldest entry wanted (its Time). Zero: begin behind Resume; if that is zero too, at the oldest entry.
	Since time.Time
}

// Source is an ordered stream of entries that goes on for ever.
type Source interface {
	// Follow calls emit with batches in order until ctx ends (then it returns nil), emit fails (then it returns that
	// error) or the source fails for good. emit may block: that is the back-pressure. It is called from one goroutine.
	Follow(ctx context.Context, from Start, emit func(Batch) error) error
}

// Selector says which entries are wanted: those for which all terms of at least one group hold. An empty selector
// selects everything.
type Selector []Group

// Group is a conjunction of terms.
type Group []Term

// Term holds when the entry has the field with one of the values. A value that contains one of *?[ is a pattern in the
// manner of path.Match ("ssh@*.service").
type Term struct {
	Field  string
	Values []string
}
