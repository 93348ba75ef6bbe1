package follow

import (
	"cmp"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"exile/journal"
	"exile/journal/journalfile"
)

// journalTail is the known end of the files of one seqnum id.
type journalTail struct {
	seqnum uint64
	boot   journal.ID
	at     uint64 // µs since 1970
}

// place decides where to begin in files that got their first entry, oldest first. Only with an entry does the header say which
// numbers the writer goes on with.
func (r *reader) place() {
	var fresh []*file
	for _, f := range r.open {
		if !f.placed && f.Len() > 0 {
			fresh = append(fresh, f)
		}
	}
	if len(fresh) == 0 {
		return
	}
	for _, f := range fresh {
		var err error
		if f.header, err = f.Header(); err != nil {
			f.give(r, err)
		}
	}
	slices.SortStableFunc(fresh, r.compareHeads)
	for _, f := range fresh {
		f.placed = true
		if err := r.placeFile(f); err != nil {
			f.fail(r, err)
		}
		r.bridge(f)
		r.placed++
	}
	r.checkResume()
}

func (r *reader) compareHeads(a, b *file) int {
	x, _ := a.First()
	y, _ := b.First()
	p, q := x.Position(a.header.SeqnumID), y.Position(b.header.SeqnumID)
	return r.compare(&p, &q)
}

// placeFile puts the cursor before the first entry to be delivered.
func (r *reader) placeFile(f *file) error {
	resume := r.pos
	if f.header.SeqnumID == r.scannedP.SeqnumID {
		// Entries written after the last scan may be older than what we have read since in another file.
		resume = r.scannedP
	}
	if err := r.resume(f, resume); err != nil {
		return err
	}
	f.replay = f.cursor.Offset()
	if r.started || r.from.Since.IsZero() {
		return nil
	}
	if err := f.cursor.SeekRealtime(r.since()); err != nil {
		return err
	}
	if !resume.IsZero() && f.cursor.Offset() > f.replay {
		f.cursor.SeekOffset(f.replay)
	}
	return nil
}

// resume puts the cursor after the position.
func (r *reader) resume(f *file, p journal.Position) error {
	f.cursor.SeekHead()
	if p.IsZero() {
		return nil
	}
	if f.header.SeqnumID == p.SeqnumID {
		r.met = true
		return f.cursor.SeekSeqnum(p.Seqnum + 1)
	}
	found, err := f.cursor.SeekMonotonic(p.Boot, p.Monotonic+1)
	r.met = r.met || found
	if found || err != nil {
		return err
	}
	last, ok := f.Last()
	if at := last.Position(f.header.SeqnumID); ok && r.earlier(&at, &p) {
		return f.cursor.SeekTail()
	}
	return nil
}

// checkResume reports a gap if nothing is left of where we last stopped.
func (r *reader) checkResume() {
	p := r.from.Resume
	if r.started || r.met || p.IsZero() {
		return
	}
	r.met = true
	if p.Boot != r.cfg.Boot && r.inMemory(&p) {
		return // its journal ended with that boot, and was read up to then
	}
	r.gaps = append(r.gaps, journal.Gap{Kind: journal.GapVacuumed, Since: time.UnixMicro(int64(p.Realtime))})
}

// inMemory reports whether what is newer than the position is in memory: journald stopped writing to the disk.
func (r *reader) inMemory(p *journal.Position) bool {
	memory := cmp.Or(r.cfg.Memory, "/run") + "/"
	for _, f := range r.known {
		last, ok := f.Last()
		if ok && last.Realtime > p.Realtime && !strings.HasPrefix(f.path, memory) {
			return false
		}
	}
	return true
}

// bridge reports entries that are missing between the files before f and f. Numbers may be skipped at the start of
// a boot, so within a run only gaps inside a boot count.
func (r *reader) bridge(f *file) {
	first, ok := f.First()
	if !ok {
		return
	}
	id := f.header.SeqnumID
	before := r.tails[id]
	for _, g := range r.known {
		if head, ok := g.first(); ok && g != f && g.header.SeqnumID == id && head.Seqnum < first.Seqnum {
			before = before.later(g.tail())
		}
	}
	resumed := false
	if p := r.from.Resume; p.SeqnumID == id && p.Seqnum > before.seqnum {
		before, resumed = journalTail{p.Seqnum, p.Boot, p.Realtime}, true
	}
	if before.seqnum == 0 || first.Seqnum <= before.seqnum+1 || (!resumed && before.boot != first.Boot) {
		return
	}
	missing := first.Seqnum - before.seqnum - 1
	if !r.cfg.AllUsers {
		missing -= min(missing, r.ofUsers(id, before.seqnum+1, first.Seqnum-1))
	}
	if missing > 0 {
		r.gaps = append(r.gaps, journal.Gap{
			Kind: journal.GapVacuumed, Entries: missing,
			Since: time.UnixMicro(int64(before.at)), Until: time.UnixMicro(int64(first.Realtime)),
		})
	}
}

// first is First of a file that has been placed.
func (f *file) first() (e journalfile.Entry, ok bool) {
	if !f.placed {
		return e, false
	}
	return f.First()
}

// tail is where the file ends now. The header counts an entry that journald numbered, failed to link, and wrote again to
// the next file.
func (f *file) tail() journalTail {
	h, err := f.Header()
	last, ok := f.Last()
	if err != nil || !ok {
		return journalTail{}
	}
	return journalTail{max(h.TailSeqnum, last.Seqnum), last.Boot, last.Realtime}
}

func (t journalTail) later(u journalTail) journalTail {
	if u.seqnum > t.seqnum {
		return u
	}
	return t
}

// keepTail remembers the end of a file that is gone.
func (r *reader) keepTail(f *file) {
	if f.placed {
		r.tails[f.header.SeqnumID] = r.tails[f.header.SeqnumID].later(f.tail())
	}
}

// ofUsers counts the entries from lo to hi in the journals of users, which we do not read otherwise.
func (r *reader) ofUsers(id journal.ID, lo, hi uint64) (n uint64) {
	for _, dir := range r.cfg.Dirs {
		names, err := list(dir, true)
		if err != nil {
			continue
		}
		for _, name := range names {
			if !isSystem(name) {
				n += countIn(filepath.Join(dir, name), id, lo, hi)
			}
		}
	}
	return n
}

// countIn counts the entries from lo to hi in a file; none if it cannot be read.
func countIn(path string, id journal.ID, lo, hi uint64) uint64 {
	f, err := journalfile.Open(path)
	if err != nil {
		return 0
	}
	defer func() { _ = f.Close() }()
	if h, err := f.Header(); err != nil || h.SeqnumID != id {
		return 0
	}
	n, err := f.CountSeqnums(lo, hi)
	if err != nil {
		return 0
	}
	return n
}

// suppressedGap makes a gap of journald's "Suppressed N messages from UNIT", which f stands at.
func suppressedGap(f *file) journal.Gap {
	e := f.cursor.Entry()
	at := time.UnixMicro(int64(e.Realtime))
	g := journal.Gap{Kind: journal.GapSuppressed, File: f.path, Since: at, Until: at}
	for i := range f.cursor.Fields() {
		data, _, err := f.cursor.Data(i, 1024)
		if err != nil {
			g.Err = err
			return g
		}
		name, value, _ := strings.Cut(string(data), "=")
		switch name {
		case "N_DROPPED":
			g.Entries, _ = strconv.ParseUint(value, 10, 64) // journald wrote it; 0 is not known
		case "OBJECT_SYSTEMD_UNIT":
			g.Unit = value
		case "MESSAGE":
			g.Err = fmt.Errorf("journald: %q; raise LogRateLimitBurst= of the unit", value)
		}
	}
	return g
}
