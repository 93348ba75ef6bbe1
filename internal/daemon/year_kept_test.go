package daemon

import (
	"testing"
	"time"

	"exile/internal/tally"
)

// A year is kept, whatever a clock does for a while that is wrong for less than a day.
func TestYearIsKept(t *testing.T) {
	t.Parallel()
	y := newYear()
	now := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	count := func(at time.Time) { y.on("sshd", at, now).Attempts++ }
	days := func(want int) {
		t.Helper()
		if n := y.book.Len(); n != want {
			t.Errorf("on %s: %d days are kept, want %d", now, n, want)
		}
	}
	for range 400 {
		now = now.Add(tally.Length)
		count(now)
	}
	days(keepYear + 1) // and the one that the day before still needed
	count(now.Add(-300 * tally.Length))
	count(now.Add(-400 * tally.Length)) // too old
	count(now.Add(2 * tally.Length))    // not yet
	days(keepYear + 1)
	right := now
	now = now.AddDate(4, 0, 0) // wrong
	count(now)
	count(now.Add(-time.Hour))
	days(keepYear + 1)
	now = right.Add(time.Hour)
	count(now)
	days(keepYear)
	again := newYear()
	again.restore(y.book.All(), now)
	if again.book.Len() != keepYear || !again.today.Equal(tally.Date(now)) {
		t.Errorf("%d days after a restart, the last is %s", again.book.Len(), again.today)
	}
	now = now.AddDate(5, 0, 0)
	count(now)
	now = now.Add(tally.Length)
	count(now)
	days(2)
}
