// Package state keeps on disk what must outlive the daemon: how far the logs have been read, who is banned, who was
// banned before, and the memory of the detectors. One batch of changes is one transaction, synced before it returns.
//
// The journal is the log of this database and the kernel its mirror: a state that is lost is rebuilt from them. So a
// file that cannot be trusted is set aside, never repaired.
package state

import (
	"errors"
	"maps"
	"net/netip"
	"time"

	"exile/internal/control"
	"exile/internal/tally"
	"exile/journal"
)

// Errors that callers tell apart with errors.Is.
var (
	ErrFull     = errors.New("no space left for the state; free some, it is written as soon as there is room")
	ErrReadOnly = errors.New("the state directory is read-only; it is written as soon as that changes")
	ErrLocked   = errors.New("the state file is in use; is another exiled running?")
	ErrCorrupt  = errors.New("the state file is damaged")
	ErrSetAside = errors.New("the state file was damaged and has been set aside")
)

// Mark is how far a source has been read.
type Mark struct {
	Position journal.Position // everything up to here has been acted upon
	Low      time.Time        // the oldest entry that still counts: where reading begins after a restart
}

// Who is an address in a jail.
type Who struct {
	Jail   string
	Prefix netip.Prefix // masked
}

// Past is what is remembered of an address that was banned, or pardoned, before.
type Past struct {
	Offences int
	Last     time.Time // when the last ban began
	Cleared  time.Time // attempts up to then do not count any more: they led to a ban, or were pardoned
	Welcome  bool      // somebody behind the last ban has logged in since
}

// Latest returns the time of the last ban or pardon.
func (p Past) Latest() time.Time {
	if p.Cleared.After(p.Last) {
		return p.Cleared
	}
	return p.Last
}

// Report is an attempt that another daemon saw and that is in no log.
type Report struct {
	Time    time.Time
	Jail    string
	Addr    netip.Addr
	User    string // of any bytes
	Success bool
}

// Snapshot is the memory of a detector.
type Snapshot struct {
	Version uint32 // of the format; a detector drops a version that it does not know
	Data    []byte
}

// Contents is everything that is stored. Its maps are never nil.
type Contents struct {
	Marks         map[string]Mark // by name of the source
	Bans          map[Who]control.Ban
	Past          map[Who]Past
	Flushed       map[string]time.Time         // by jail: when all its bans were lifted at once, and everybody's attempts pardoned
	Repeats       map[netip.Prefix][]time.Time // when the bans began that the recidive rule counts, oldest first
	Reports       map[uint64]Report            // that may have to be counted again, in the order of their numbers
	Snapshots     map[string]Snapshot          // by jail; damaged ones are missing
	Paused        time.Time                    // banning is paused until then; zero: it is not
	Trial         control.Trial                // the configuration that waits for its confirmation, without the name of its file
	Days          []control.Day                // what happened on the last days, oldest first
	History       map[tally.Key][]byte         // sums of jails on days, see tally.Day; damaged ones are missing
	Announcements []control.Event              // of the last batch; they may have been made or not
}

// Batch is what changes at once. What it does not name stays as it is.
type Batch struct {
	Marks         map[string]Mark
	Bans          map[Who]control.Ban          // new and changed ones
	Lifted        map[Who]bool                 // bans that have ended; in Bans as well: the ban wins
	Flushed       map[string]time.Time         // jails all of whose bans have ended but those in Bans, and when
	Forgotten     map[string]time.Time         // jails, and the time before which their past is forgotten, except what is in Past
	Past          map[Who]Past                 // the zero Past: forgotten
	Repeats       map[netip.Prefix][]time.Time // empty: forgotten
	Reports       map[uint64]Report            // no address: forgotten
	Snapshots     map[string]Snapshot
	Paused        *time.Time
	Trial         *control.Trial
	Days          *[]control.Day       // all of them
	History       map[tally.Key][]byte // nil: forgotten
	Announcements *[]control.Event     // to be made once the batch is on disk; the next batch replaces them
}

// NewContents returns empty contents.
func NewContents() Contents {
	return Contents{
		Marks:     map[string]Mark{},
		Bans:      map[Who]control.Ban{},
		Past:      map[Who]Past{},
		Flushed:   map[string]time.Time{},
		Repeats:   map[netip.Prefix][]time.Time{},
		Reports:   map[uint64]Report{},
		Snapshots: map[string]Snapshot{},
		History:   map[tally.Key][]byte{},
	}
}

// add merges a later batch into b.
func (b *Batch) add(next Batch) {
	merge(&b.Marks, next.Marks)
	merge(&b.Past, next.Past)
	merge(&b.Repeats, next.Repeats)
	merge(&b.Reports, next.Reports)
	merge(&b.Snapshots, next.Snapshots)
	merge(&b.History, next.History)
	b.flush(next.Flushed)
	merge(&b.Forgotten, next.Forgotten)
	for who := range next.Lifted {
		delete(b.Bans, who)
	}
	merge(&b.Lifted, next.Lifted)
	merge(&b.Bans, next.Bans)
	if next.Paused != nil {
		b.Paused = next.Paused
	}
	if next.Trial != nil {
		b.Trial = next.Trial
	}
	if next.Days != nil {
		b.Days = next.Days
	}
	if next.Announcements != nil {
		b.Announcements = next.Announcements
	}
}

// Flush notes that a jail has only the bans that are put into b from now on, and that its past before a time is forgotten; zero: nothing is.
func (b *Batch) Flush(jail string, at, forgotten time.Time) {
	b.flush(map[string]time.Time{jail: at})
	if !forgotten.IsZero() {
		merge(&b.Forgotten, map[string]time.Time{jail: forgotten})
	}
}

func (b *Batch) flush(jails map[string]time.Time) {
	for jail := range jails {
		maps.DeleteFunc(b.Bans, func(w Who, _ control.Ban) bool { return w.Jail == jail })
		maps.DeleteFunc(b.Lifted, func(w Who, _ bool) bool { return w.Jail == jail })
	}
	merge(&b.Flushed, jails)
}

func merge[K comparable, V any](into *map[K]V, from map[K]V) {
	if *into == nil && len(from) > 0 {
		*into = make(map[K]V, len(from))
	}
	maps.Copy(*into, from)
}
