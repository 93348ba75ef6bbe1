package merge_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"exile/journal"
	"exile/journal/merge"
)

// script is a source that delivers these batches, and then waits or fails.
type script struct {
	batches []journal.Batch
	err     error
	begun   []journal.Start
}

func (s *script) Follow(ctx context.Context, from journal.Start, emit func(journal.Batch) error) error {
	s.begun = append(s.begun, from)
	for _, b := range s.batches {
		if err := emit(b); err != nil {
			return err
		}
	}
	if s.err != nil {
		return s.err
	}
	<-ctx.Done()
	return nil
}

// batch is entries of a source at these seconds, up to the last; a + says that the source has caught up.
func batch(name string, number uint64, text string) journal.Batch {
	b := journal.Batch{CaughtUp: strings.HasSuffix(text, "+")}
	for word := range strings.FieldsSeq(strings.TrimSuffix(text, "+")) {
		var s int64
		_, _ = fmt.Sscan(word, &s)
		b.Entries = append(b.Entries, journal.Entry{Time: time.Unix(s, 0), Identifier: name, Message: []byte(word)})
	}
	b.Position = journal.Position{Device: 1, Inode: number, Offset: int64(number), Realtime: number}
	return b
}

// collect follows until nothing more comes, and returns what was delivered.
func collect(t *testing.T, s *merge.Source, from journal.Start) (entries []string, last journal.Batch, err error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		err = s.Follow(ctx, from, func(b journal.Batch) error {
			for _, e := range b.Entries {
				entries = append(entries, e.Identifier+string(e.Message))
			}
			last = b
			return nil
		})
	}()
	synctest.Wait()
	cancel()
	<-done
	return entries, last, err
}

// TestOrder: while there is much to read entries come in the order of time, whatever batches they are in; a source that has caught up is not
// waited for.
func TestOrder(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		a, b []string
		want string
	}{
		{[]string{"1 3 5", "7 9+"}, []string{"2 4", "6 8 10+"}, "a1 b2 a3 b4 a5 b6 a7 b8 a9 b10"},
		{[]string{"5 6+"}, []string{"1 2", "3", "", "4 7+"}, "b1 b2 b3 b4 a5 a6 b7"},
		{[]string{"+"}, []string{"1 2+"}, "b1 b2"},
		{[]string{"1+", "4+"}, []string{"2 3+"}, "a1 b2 b3 a4"},
		{[]string{"+"}, []string{"+"}, ""},
	} {
		synctest.Test(t, func(t *testing.T) {
			sources := [2]script{}
			for i, texts := range [][]string{c.a, c.b} {
				for n, text := range texts {
					sources[i].batches = append(sources[i].batches, batch(string(rune('a'+i)), uint64(100*i+n+1), text))
				}
			}
			got, last, err := collect(t, merge.New(&sources[0], &sources[1]), journal.Start{})
			if text := strings.Join(got, " "); text != c.want || err != nil {
				t.Errorf("%q and %q: %q, want %q (%v)", c.a, c.b, text, c.want, err)
			}
			if !last.CaughtUp {
				t.Errorf("%q and %q: not caught up", c.a, c.b)
			}
		})
	}
}

// busy is a source that has caught up, gets an entry each tenth of a second from then on, and never says again that it has nothing more.
type busy struct{ silent bool }

func (b busy) Follow(ctx context.Context, _ journal.Start, emit func(journal.Batch) error) error {
	if err := emit(journal.Batch{CaughtUp: true}); err != nil {
		return err
	}
	for ctx.Err() == nil {
		time.Sleep(100 * time.Millisecond)
		e := []journal.Entry{{Time: time.Now(), Identifier: "busy"}}
		if err := emit(journal.Batch{Entries: e}); err != nil {
			return err
		}
		if b.silent {
			<-ctx.Done()
		}
	}
	return nil
}

// late is a source with a single entry, which comes after a second and has a time.
type late struct{ at time.Time }

func (l late) Follow(ctx context.Context, _ journal.Start, emit func(journal.Batch) error) error {
	if err := emit(journal.Batch{CaughtUp: true}); err != nil {
		return err
	}
	time.Sleep(time.Second)
	if err := emit(journal.Batch{Entries: []journal.Entry{{Time: l.at, Identifier: "late"}}, CaughtUp: true}); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

// TestPatience: a source that is busy all the time, or stuck amid its lines, does not keep another from being heard, not even one whose clock is
// ahead.
func TestPatience(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		silent bool
		ahead  time.Duration
	}{{false, 0}, {false, time.Hour}, {true, 0}, {true, time.Hour}} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			begun, heard := time.Now(), time.Duration(0)
			time.AfterFunc(time.Minute, cancel)
			err := merge.New(busy{c.silent}, late{begun.Add(time.Second + c.ahead)}).Follow(ctx, journal.Start{}, func(b journal.Batch) error {
				if slices.ContainsFunc(b.Entries, func(e journal.Entry) bool { return e.Identifier == "late" }) {
					heard = time.Since(begun)
				}
				return nil
			})
			if heard == 0 || heard > 3*time.Second || err != nil {
				t.Errorf("%+v: heard after %v (%v)", c, heard, err)
			}
		})
	}
}

// TestNoSource: without a source nothing is said until the end.
func TestNoSource(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		begun := time.Now()
		if err := merge.New().Follow(ctx, journal.Start{}, nil); err != nil || time.Since(begun) != time.Minute {
			t.Errorf("ended after %v with %v", time.Since(begun), err)
		}
	})
}

// TestResume: each source goes on where it was; one without a place of its own begins where the first run began.
func TestResume(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		since := time.Unix(7, 0)
		a, b, empty := script{batches: []journal.Batch{batch("a", 3, "1 2+")}}, script{batches: []journal.Batch{batch("b", 9, "3+")}},
			script{batches: []journal.Batch{{CaughtUp: true}}}
		s := merge.New(&a, &empty, &b)
		_, last, _ := collect(t, s, journal.Start{Since: since})
		text := last.Position.String()
		if strings.Count(text, ";") != 1 || last.Position.Time() != time.UnixMicro(9) {
			t.Errorf("the position is %s, of %v", text, last.Position.Time())
		}
		parsed, err := journal.ParsePosition(text)
		if err != nil || parsed != last.Position {
			t.Fatalf("position %q is read as %+v, %v", text, parsed, err)
		}
		_, _, _ = collect(t, s, journal.Start{Resume: parsed})
		want := []journal.Start{{Resume: a.batches[0].Position}, {Since: since}, {Resume: b.batches[0].Position}}
		for i, s := range []*script{&a, &empty, &b} {
			if s.begun[1] != want[i] {
				t.Errorf("source %d goes on at %+v, want %+v", i, s.begun[1], want[i])
			}
		}
		for _, bad := range []string{"x", "dev~y", "|dev~y"} {
			if err := merge.New(&a, &b).Follow(t.Context(), journal.Start{Resume: journal.Position{Parts: bad}}, nil); err == nil {
				t.Errorf("position %q is taken", bad)
			}
		}
	})
}

// TestFailure: when a source fails, what the others have handed over is delivered to its end, so that the position is right, and a failing
// emit ends it at once.
func TestFailure(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		broken := errors.New("broken")
		a, b := script{batches: []journal.Batch{batch("a", 3, "1 5 9")}}, script{batches: []journal.Batch{batch("b", 9, "2+")}, err: broken}
		got, last, err := collect(t, merge.New(&a, &b), journal.Start{})
		if !errors.Is(err, broken) {
			t.Errorf("error %v", err)
		}
		if want := []string{"a1", "b2", "a5", "a9"}; !slices.Equal(got, want) {
			t.Errorf("delivered %q, want %q", got, want)
		}
		if !strings.Contains(last.Position.Parts, a.batches[0].Position.String()[:3]) {
			t.Errorf("position %s", last.Position)
		}
		full := errors.New("full")
		if err := merge.New(&a, &b).Follow(t.Context(), journal.Start{}, func(journal.Batch) error { return full }); !errors.Is(err, full) {
			t.Errorf("emit failed, and Follow with %v", err)
		}
	})
}

// TestTrouble: what keeps one source from reading is shown as long as it lasts, and gaps are passed on once.
func TestTrouble(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		trouble := errors.New("closed")
		first := batch("a", 1, "1+")
		first.Trouble, first.Gaps, first.Undated = trouble, []journal.Gap{{File: "x"}}, 2
		a, b := script{batches: []journal.Batch{first}}, script{batches: []journal.Batch{batch("b", 2, "2+"), batch("b", 3, "3+")}}
		gaps, undated := 0, 0
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var last error
		go func() {
			_ = merge.New(&a, &b).Follow(ctx, journal.Start{}, func(b journal.Batch) error {
				gaps += len(b.Gaps)
				undated += b.Undated
				last = b.Trouble
				return nil
			})
		}()
		synctest.Wait()
		cancel()
		synctest.Wait()
		if gaps != 1 || undated != 2 || !errors.Is(last, trouble) {
			t.Errorf("%d gaps, %d undated, trouble %v", gaps, undated, last)
		}
	})
}
