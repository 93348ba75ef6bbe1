// Package journal has what all sources of log entries share: the entry, the position to resume from, the gap that a source
// could not bridge, and the selector that says which entries are wanted. It knows nothing about bans.
//
// The sources are in the folders below: follow reads a directory of journal files, export reads a journalctl child for
// file formats that we do not know, textlog reads auth.log and the like.
package journal

import (
	"context"
	"time"
)

// ID is a 128-bit identifier of systemd: a boot, a machine, a sequence of numbers.
type ID [16]byte

// Entry is one log entry as a source saw it. Its slices and strings are valid until the call of emit that delivered it
// returns: a source reuses its buffers.
type Entry struct {
	Position   Position  // this entry's own position; resuming from it continues after the entry
	Time       time.Time // when journald received it (__REALTIME_TIMESTAMP), never what the sender claims
	Boot       ID
	PID        int32  // _PID, from the datagram's credentials; 0: unknown
	UID        int64  // _UID, from the datagram's credentials; -1: unknown
	Unit       string // _SYSTEMD_UNIT, trusted; empty for a process that exited before journald looked
	Identifier string // SYSLOG_IDENTIFIER, chosen by the sender: believe it only with UID 0
	Transport  string // _TRANSPORT: syslog, journal, stdout, kernel, audit, driver; "text" from a text log
	Log        string // the text log that it was read from, as it was named before it was rotated; empty: from no text log
	Message    []byte
	Fields     map[string]string // others by name, those that the source was asked for; nil: none
	Replayed   bool              // at or before the position to resume from: count it, but do not act on it
}

// Batch is what a source delivers at once, in order. A batch without entries moves the position, reports a gap, or says that
// the source has caught up.
type Batch struct {
	Entries  []Entry
	Gaps     []Gap    // found since the last batch; they lie before Position
	Position Position // everything up to here has been delivered or reported as a gap
	CaughtUp bool     // the source had nothing more to read when it made this batch
	Trouble  error    // what keeps the source from reading all that it should, and what helps; nil: nothing
	Undated  int      // new entries whose time cannot be read: they have the time of the entry before
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
	Entries uint64    // how many entries are missing; 0: unknown
	Since   time.Time // zero: unknown
	Until   time.Time // zero: unknown
	Err     error     // nil: there is no more to say
}

// Start says where a source begins.
type Start struct {
	// Resume is the position up to which entries were acted upon. Entries up to it are delivered with Replayed set, and only
	// if they are not older than Since. The zero Position stands for none.
	Resume Position
	// Since is the oldest entry wanted (its Time). Zero: begin after Resume; if that is zero too, at the oldest entry.
	Since time.Time
}

// Source is an ordered stream of entries without end.
type Source interface {
	// Follow calls emit with batches in order until ctx ends (then it returns nil), emit fails (then it returns that
	// error) or the source fails for good. emit may block: that is how a slow caller slows the source down. It is
	// called from one goroutine.
	Follow(ctx context.Context, from Start, emit func(Batch) error) error
}

// Selector says which entries are wanted: those for which all terms of at least one group hold. An empty selector
// selects everything.
type Selector []Group

// Group is a conjunction of terms.
type Group []Term

// Term holds when the entry has the field with one of the values. A value that contains one of *?[ is a pattern of
// path.Match ("ssh@*.service").
type Term struct {
	Field  string
	Values []string
}
