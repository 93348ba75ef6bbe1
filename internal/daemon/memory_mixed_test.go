package daemon_test

import (
	"context"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"exile/internal/daemon"
	"exile/journal"
)

// mixed is a source that has a text log beside the journal, whose last entry is an hour old: positions have the time of that.
type mixed struct{ *script }

func (m mixed) Follow(ctx context.Context, from journal.Start, emit func(journal.Batch) error) error {
	if seqnum, err := strconv.ParseUint(from.Resume.Parts, 10, 64); err == nil {
		from.Resume = journal.Position{SeqnumID: journal.ID{1}, Seqnum: seqnum}
	}
	return m.script.Follow(ctx, from, func(b journal.Batch) error {
		if at := b.Position.Time(); !at.IsZero() {
			b.Position = journal.Position{Realtime: uint64(at.Add(-time.Hour).UnixMicro()), Parts: strconv.FormatUint(b.Position.Seqnum, 10)}
		}
		return emit(b)
	})
}

// TestMemoryOfSeveralLogs: no time tells what a memory knows of several logs and what is still to be counted, so none is stored, and no guess counts
// twice after a restart or a reload.
func TestMemoryOfSeveralLogs(t *testing.T) {
	for _, how := range []string{"restart", "reload"} {
		t.Run(how, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.jails = func() []*daemon.Jail { return []*daemon.Jail{w.adaptive()} }
				w.change = func(p *daemon.Plan) { p.Sources[0].Source = mixed{w.source} }
				d := w.start()
				w.attack("192.0.2.1", 2)
				time.Sleep(20 * time.Minute) // a snapshot is due with the next entry
				w.attack("192.0.2.1", 1)
				w.hand()
				if how == "restart" {
					w.end(d)
					d = w.start()
				} else if err := d.Reload(t.Context()); err != nil {
					t.Error(err)
				}
				defer func() { w.end(d) }()
				time.Sleep(time.Second)
				w.told = nil
				w.attack("192.0.2.1", 1)
				w.expect("the fourth guess")
				w.attack("192.0.2.1", 1)
				w.expect("the fifth guess", "ban 192.0.2.1/32 offence 1")
			})
		})
	}
}
