package report

import (
	"fmt"
	"slices"
	"time"

	"exile/internal/replay"
)

// This file puts hours together to as many bins as a chart has room for.

// Bounds of the charts over time.
const (
	maxHourly = 73             // bins of an hour: three days, and the hour in which they end
	maxDaily  = 100            // bins of a day
	maxBins   = 2 * 365 / 7    // bins of a week, two years
	maxRange  = 20 * 12        // bins of a month; the first one has what is earlier
	day       = 24 * time.Hour // for choosing a step, not for counting days
	slack     = 36 * time.Hour // a bin of a day or longer, which begins before the log does
)

// Over fills the bins and the hours of the week from the hours of a log, with days in that zone. First and Last are set.
func (r *Report) Over(hours []replay.Hour, zone *time.Location) {
	r.Bins, r.Hours = nil, [7][24]uint64{}
	if r.First.IsZero() || r.Last.Before(r.First) {
		return
	}
	r.Step = stepFor(r.Last.Sub(r.First))
	from := r.Step.begin(r.First.In(zone))
	// A host without a clock may have logged in 1970: what is near counts.
	if floor := Month.begin(r.Last.In(zone)).AddDate(0, 1-maxRange, 0); from.Before(floor) {
		from = floor
		r.Troubles = append(r.Troubles, fmt.Sprintf("a chart has room for 20 years: its first bar, %s, has all that came earlier", r.Step.long(from)))
	}
	for at := from; !at.After(r.Last); at = r.Step.next(at) {
		r.Bins = append(r.Bins, Bin{At: at})
	}
	for _, h := range hours {
		at := h.At.In(zone)
		r.Hours[at.Weekday()][at.Hour()] += h.Prevented + h.Passed
		i, exact := slices.BinarySearchFunc(r.Bins, at, func(b Bin, t time.Time) int { return b.At.Compare(t) })
		if !exact {
			i--
		}
		b := &r.Bins[max(i, 0)] // the hour of the first entry begins before that
		b.Prevented, b.Passed, b.Bans = b.Prevented+h.Prevented, b.Passed+h.Passed, b.Bans+h.Bans
	}
}

// stepFor is the shortest step with which a log of that length has room.
func stepFor(length time.Duration) Step {
	switch {
	case length <= maxHourly*time.Hour-time.Hour:
		return Hour
	case length <= maxDaily*day-slack:
		return Day
	case length <= maxBins*7*day-slack:
		return Week
	}
	return Month
}

// begin is when the bin around a time begins.
func (s Step) begin(t time.Time) time.Time {
	y, m, d := t.Date()
	switch s {
	case Hour:
		return time.Date(y, m, d, t.Hour(), 0, 0, 0, t.Location())
	case Week:
		d -= (int(t.Weekday()) + 6) % 7 // Monday
	case Month:
		d = 1
	}
	return time.Date(y, m, d, 0, 0, 0, 0, t.Location())
}

// next is when the bin after the one that begins at t begins.
func (s Step) next(t time.Time) time.Time {
	switch s {
	case Hour:
		return t.Add(time.Hour)
	case Week:
		return t.AddDate(0, 0, 7)
	case Month:
		return t.AddDate(0, 1, 0)
	}
	return t.AddDate(0, 0, 1)
}
