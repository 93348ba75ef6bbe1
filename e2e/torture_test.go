package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"exile/e2e/host"
	"exile/journal"
	"exile/journal/follow"
)

const (
	tortureEntries = 200_000
	tortureRotate  = 2 * time.Second
	tortureLife    = tortureEntries / 15   // entries read in a life; at most, but for a batch
	tortureAhead   = tortureEntries / 20   // entries written and not yet read or removed; at most
	tortureMoment  = 50 * time.Millisecond // from the last entry of a life to its end, at most
)

// TestJournalTorture: while entries are written, the journal is rotated, archived files are removed, and the reader is killed
// at random moments. What it reads in all its lives is complete and in order, each entry once, except those removed while it
// was dead: these are reported, and the number is exact. How many lives and removals there are depends on what is read, so that a
// fast machine makes as many as a slow one.
func TestJournalTorture(t *testing.T) {
	t.Parallel()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed of the moments: %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	h := bare(t, nil)
	ctx := limit(t, 10*time.Minute)
	m := &mortal{reading: reading{Config: journalOf(t, h, "")}}
	w := write(ctx, t, h)
	turn(ctx, t, h)
	for m.last() < tortureEntries-1 && ctx.Err() == nil {
		dies := len(m.seqnums) + random.IntN(tortureLife)
		over := func() bool {
			w.passed(int64(m.last() + 1))
			return len(m.seqnums) > dies || m.last() == tortureEntries-1
		}
		if err := m.live(ctx, over, time.Duration(random.Int64N(int64(tortureMoment)))); err != nil {
			t.Fatal(err)
		}
		if m.lives%10 == 5 {
			removeUnread(ctx, t, h, w)
		}
	}
	if ctx.Err() != nil {
		t.Fatalf("%d of %d entries written, %d read in %d lives", w.written.Load(), tortureEntries, len(m.numbers), m.lives)
	}
	vacuumed := m.check(t)
	t.Logf("%d lives, %d entries read, %d vacuumed before", m.lives, len(m.seqnums), vacuumed)
	if m.lives < 10 || vacuumed == 0 {
		t.Errorf("%d lives, %d entries vacuumed before they were read: that was no torture", m.lives, vacuumed)
	}
}

// writer logs numbers from 0 on, as fast as journald accepts them, and not too far ahead of who reads them.
type writer struct {
	written atomic.Int64 // how many
	allowed atomic.Int64 // how many may be written
}

// passed says that the first n were read or removed.
func (w *writer) passed(n int64) { w.allowed.Store(max(w.allowed.Load(), n+tortureAhead)) }

func write(ctx context.Context, t *testing.T, h *host.Host) *writer {
	t.Helper()
	w := new(writer)
	w.passed(0)
	done := make(chan struct{})
	t.Cleanup(func() { <-done })
	go func() {
		defer close(done)
		if err := w.write(ctx, newTeller(h, "")); err != nil && ctx.Err() == nil {
			t.Error(err)
		}
	}()
	return w
}

func (w *writer) write(ctx context.Context, to *teller) error {
	defer to.close()
	for i := range tortureEntries {
		for int64(i) >= w.allowed.Load() && ctx.Err() == nil {
			time.Sleep(time.Millisecond)
		}
		if err := to.number(ctx, i); err != nil {
			return fmt.Errorf("log number %d: %w", i, err)
		}
		w.written.Add(1)
	}
	return nil
}

// turn rotates the journal again and again until the test ends.
func turn(ctx context.Context, t *testing.T, h *host.Host) {
	t.Helper()
	ctx, stop := context.WithCancel(ctx)
	done := make(chan struct{})
	t.Cleanup(func() { stop(); <-done })
	go func() {
		defer close(done)
		for {
			select {
			case <-ctx.Done():
				return
			case <-time.After(tortureRotate):
			}
			if _, err := h.Run(ctx, "journalctl", "--rotate"); err != nil && ctx.Err() == nil {
				t.Error(err)
				return
			}
		}
	}()
}

// removeUnread archives entries that nobody has read, and removes them; but not the last of all, for which the reader waits.
func removeUnread(ctx context.Context, t *testing.T, h *host.Host, w *writer) {
	t.Helper()
	start := w.written.Load()
	if start > tortureEntries-3*tortureAhead {
		return
	}
	w.passed(start) // what was written before is removed as well
	for w.written.Load() < start+500 && ctx.Err() == nil {
		time.Sleep(10 * time.Millisecond)
	}
	in(t, h, "journalctl", "--rotate")
	in(t, h, "journalctl", "-q", "--vacuum-files=1")
	w.passed(w.written.Load())
}

// BenchmarkJournalLatency measures the time from just before an entry is sent to the callback that gets it, while another
// sender logs 500 entries a second. Run it with -benchtime 1000x.
func BenchmarkJournalLatency(b *testing.B) {
	h := bare(b, nil)
	cfg := journalOf(b, h, "")
	cfg.Select = journal.Selector{{{Field: "SYSLOG_IDENTIFIER", Values: []string{tag}}}}
	s, err := follow.New(cfg)
	if err != nil {
		b.Fatal(err)
	}
	ctx, stop := context.WithCancel(b.Context())
	defer stop()
	arrived, ended := make(chan time.Time, 1), make(chan error, 1)
	go func() {
		ended <- s.Follow(ctx, journal.Start{Since: time.Now()}, func(batch journal.Batch) error {
			if len(batch.Entries) > 0 {
				arrived <- time.Now()
			}
			return nil
		})
	}()
	go noise(ctx, b, h)
	w := newTeller(h, "")
	defer w.close()
	var all []time.Duration
	for i := 0; b.Loop(); i++ {
		time.Sleep(5 * time.Millisecond)
		sent := time.Now()
		if err := w.number(ctx, i); err != nil {
			b.Fatal(err)
		}
		select {
		case at := <-arrived:
			all = append(all, at.Sub(sent))
		case err := <-ended:
			b.Fatal(err)
		}
	}
	slices.Sort(all)
	b.ReportMetric(all[len(all)/2].Seconds()*1e3, "p50-ms")
	b.ReportMetric(all[len(all)*99/100].Seconds()*1e3, "p99-ms")
}

func noise(ctx context.Context, b *testing.B, h *host.Host) {
	w := newTeller(h, "")
	defer w.close()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for ctx.Err() == nil {
		<-tick.C
		if err := w.tell(ctx, "SYSLOG_IDENTIFIER=noise", "MESSAGE="+strings.Repeat("noise ", 20)); err != nil && ctx.Err() == nil {
			b.Error(err)
		}
	}
}
