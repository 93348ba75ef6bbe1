package export

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"exile/journal"
)

// maxBatch is how many entries are delivered at once.
const maxBatch = 256

// follower is one run of Follow.
type follower struct {
	*Source
	from    journal.Start
	emit    func(journal.Batch) error
	emitErr error // that of emit, which ends the run

	last   journal.Position // of the last entry read
	live   journal.Position // of the last entry read of the running boot
	passed bool             // the entry at Resume, or a later one, was read
	count  uint64           // entries read

	drained bool // everything there at the beginning was read

	names    journal.Strings
	entries  []journal.Entry
	gaps     []journal.Gap
	text     []byte // the messages of entries
	reported journal.Position
	caughtUp bool
}

func newFollower(s *Source, from journal.Start, emit func(journal.Batch) error) *follower {
	if from.Resume.Seqnum == 0 { // of a text log: not a place in a journal
		from.Resume = journal.Position{}
	}
	f := &follower{Source: s, from: from, emit: emit, reported: from.Resume, passed: from.Resume.IsZero()}
	if f.isLive(from.Resume) {
		f.live = from.Resume
	}
	return f
}

// isLive reports whether p is of the running boot. If the boot is unknown or irrelevant, every one is.
func (f *follower) isLive(p journal.Position) bool {
	return p.Seqnum != 0 && (f.boot == journal.ID{} || p.Boot == f.boot)
}

// run reads the output of one child. It returns nil at the end of a child that does not follow, and if one that follows was
// silent for too long.
func (f *follower) run(ctx context.Context, args []string, following bool) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	c, err := startChild(ctx, f.command, args)
	if err != nil {
		return err
	}
	silent := time.AfterFunc(maxSilence, cancel)
	defer silent.Stop()
	err = f.read(c.stdout, following, func() { silent.Reset(maxSilence) })
	if !errors.Is(err, io.EOF) || ctx.Err() != nil {
		c.stop()
	}
	switch {
	case ctx.Err() != nil && following: // also at the end: Follow knows
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("silent for %v", maxSilence)
	case !errors.Is(err, io.EOF):
		return err
	}
	err = c.wait()
	if err == nil && following {
		return errors.New("it ended without a reason")
	}
	return err
}

// read delivers the entries of the export stream r until it ends, with io.EOF. It calls heard for each.
func (f *follower) read(r io.Reader, following bool, heard func()) error {
	d := NewDecoder(r)
	for first := true; ; first = false {
		if full := len(f.entries) >= maxBatch; full || !d.Buffered() {
			if err := f.flush(following && !full); err != nil {
				return err
			}
		}
		fields, err := d.Next()
		if err != nil {
			return errors.Join(err, f.flush(false))
		}
		heard()
		e, err := Entry(fields, f.cfg.Fields, &f.names)
		if err != nil {
			return err
		}
		if first && (same(e.Position, f.last) || following && same(e.Position, f.live)) {
			continue // the cursor's own
		}
		f.add(fields, e)
	}
}

// add adds an entry to the batch, if it is wanted.
func (f *follower) add(fields []Field, e journal.Entry) {
	f.count++
	f.last = e.Position
	if f.isLive(e.Position) {
		f.live = e.Position
	}
	e.Replayed = f.replayed(e.Position)
	if f.unwanted(e) {
		return
	}
	if gap, ok := dropped(fields, e); ok {
		if !e.Replayed {
			f.gaps = append(f.gaps, gap)
		}
		return
	}
	if !selected(f.cfg.Selector, fields) {
		return
	}
	if messageCut(fields) {
		f.gaps = append(f.gaps, journal.Gap{Kind: journal.GapTruncated, Unit: e.Unit, Entries: 1, Since: e.Time, Until: e.Time})
	}
	begin := len(f.text)
	f.text = append(f.text, e.Message...) // if it moves, earlier entries keep the old one
	e.Message = f.text[begin:len(f.text):len(f.text)]
	f.entries = append(f.entries, e)
}

// unwanted reports whether to skip an entry that was acted upon, or any if there is nothing to resume: if Since is given,
// older ones are not wanted.
func (f *follower) unwanted(e journal.Entry) bool {
	if f.from.Since.IsZero() {
		return e.Replayed
	}
	return (e.Replayed || f.from.Resume.IsZero()) && e.Time.Before(f.from.Since)
}

func messageCut(fields []Field) bool {
	for _, field := range fields {
		if string(field.Name) == "MESSAGE" {
			return field.Cut
		}
	}
	return false
}

// replayed reports whether p is at or before the position to resume from. Entries come in order: all later ones are new. The
// clock may have been set back between boots, and the running boot is always the last.
func (f *follower) replayed(p journal.Position) bool {
	if f.passed {
		return false
	}
	resume := f.from.Resume
	known := f.boot != journal.ID{}
	switch {
	case same(p, resume):
		f.passed = true
		return true
	case known && p.Boot != resume.Boot && resume.Boot == f.boot:
		return true
	case known && p.Boot != resume.Boot && p.Boot == f.boot:
		return false
	case p.SeqnumID == resume.SeqnumID:
		f.passed = p.Seqnum > resume.Seqnum
	case p.Boot == resume.Boot:
		f.passed = p.Monotonic > resume.Monotonic
	default:
		f.passed = p.Realtime > resume.Realtime
	}
	return !f.passed
}

// same reports whether two positions are of the same entry: journald numbers its entries.
func same(p, q journal.Position) bool { return p.SeqnumID == q.SeqnumID && p.Seqnum == q.Seqnum }

// position is up to where everything was delivered.
func (f *follower) position() journal.Position {
	switch {
	case f.drained && f.live.Seqnum != 0:
		return f.live
	case f.passed && f.last.Seqnum != 0:
		return f.last
	}
	return f.reported
}

// flush delivers the batch, if there is anything in it.
func (f *follower) flush(caughtUp bool) error {
	position := f.position()
	if len(f.entries) == 0 && len(f.gaps) == 0 && position == f.reported && caughtUp == f.caughtUp {
		return nil
	}
	b := journal.Batch{Entries: f.entries, Gaps: f.gaps, Position: position, CaughtUp: caughtUp}
	f.emitErr = f.emit(b)
	f.entries, f.gaps, f.text = f.entries[:0], nil, f.text[:0]
	f.reported, f.caughtUp = position, caughtUp
	return f.emitErr
}
