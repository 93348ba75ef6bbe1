package textlog

import (
	"bytes"
	"time"
)

// Reference has what stamps may lack: RFC 3164 has neither year nor zone.
type Reference struct {
	Location *time.Location // of stamps without a zone; nil is UTC
	Now      time.Time      // when the line was written, or later: a file's modification time will do
	Last     time.Time      // the time of the line before; zero: unknown
	Boot     time.Time      // the zero of stamps that count from a boot, "[ 12.345678]"; zero: they are no stamps
	Form     Form           // of the line; empty: FormSyslog
}

// ahead is how much later than Reference.Now a plausible stamp may be: clocks differ, and zones more.
const ahead = 24 * time.Hour

// syslogStamp takes the time off the beginning of line. For a time in the future it returns zero.
func syslogStamp(line []byte, ref *Reference) (at time.Time, rest []byte, ok bool) {
	if at, rest, ok = rfc3164(line, ref); !ok {
		at, rest, ok = iso8601(line, ref)
	}
	if !ok {
		at, rest, ok = weekday(line, ref)
	}
	if !ok {
		at, rest, ok = unixTime(line)
	}
	if !ok {
		at, rest, ok = monotonic(line, ref)
	}
	return plausible(at, ref), rest, ok
}

// wall is what a clock on a wall and a calendar without a zone show.
type wall struct {
	year         int
	month        time.Month
	day          int
	hour, minute int
	second, nano int
}

// valid reports whether there is such a moment. It accepts a leap second, as the next second.
func (w *wall) valid() bool {
	t := time.Date(w.year, w.month, w.day, 0, 0, 0, 0, time.UTC)
	return w.month >= 1 && w.month <= 12 && t.Day() == w.day && t.Month() == w.month &&
		w.hour <= 23 && w.minute <= 59 && w.second <= 60
}

func (w *wall) in(loc *time.Location) time.Time {
	return time.Date(w.year, w.month, w.day, w.hour, w.minute, w.second, w.nano, loc)
}

// rfc3164 reads "Jan  2 15:04:05", with or without a fraction; some loggers do not pad the day.
func rfc3164(line []byte, ref *Reference) (time.Time, []byte, bool) {
	var w wall
	rest, ok := w.yearless(line)
	if !ok || !w.guessYear(ref) {
		return time.Time{}, nil, false
	}
	return w.resolve(ref), rest, true
}

// yearless reads the month, the day and the clock.
func (w *wall) yearless(line []byte) (rest []byte, ok bool) {
	if len(line) < 14 || line[3] != ' ' {
		return nil, false
	}
	w.month = monthOf(line[:3])
	day, rest, ok := bytes.Cut(bytes.TrimPrefix(line[4:], []byte(" ")), []byte(" "))
	if w.month == 0 || !ok || len(day) > 2 {
		return nil, false
	}
	var dayOK, clockOK bool
	w.day, dayOK = digits(day)
	rest, clockOK = w.clock(rest)
	return rest, dayOK && clockOK
}

// guessYear takes the last year in which the moment is not in the future. The 29th of February may be 8 years back.
func (w *wall) guessYear(ref *Reference) bool {
	newest := ref.Now.In(ref.Location).Year() + 1
	for w.year = newest; w.year >= newest-9; w.year-- {
		if w.valid() && !w.in(ref.Location).After(ref.Now.Add(ahead)) {
			return true
		}
	}
	return false
}

// iso8601 reads "2006-01-02T15:04:05.999999+01:00" and its relatives: a blank for the T, slashes for the dashes, a comma
// for the point, any number of decimals, Z, or no zone at all. In "2006-01-02 15:04:05 +0100]" (Gunicorn) and
// "2006-01-02 15:04:05.123 UTC [" (PostgreSQL) the zone stands behind a blank; other names of zones are the reader's own.
func iso8601(line []byte, ref *Reference) (time.Time, []byte, bool) {
	var w wall
	rest, ok := w.iso(line)
	if !ok {
		return time.Time{}, nil, false
	}
	return w.zoned(rest, ref)
}

func (w *wall) iso(line []byte) (rest []byte, ok bool) {
	if len(line) < 19 || line[4] != line[7] || (line[4] != '-' && line[4] != '/') || (line[10] != 'T' && line[10] != ' ') {
		return nil, false
	}
	year, yearOK := digits(line[:4])
	month, monthOK := digits(line[5:7])
	day, dayOK := digits(line[8:10])
	w.year, w.month, w.day = year, time.Month(month), day
	rest, clockOK := w.clock(line[11:])
	return rest, yearOK && monthOK && dayOK && clockOK && w.valid()
}

// weekday reads "Fri 2006-01-02 15:04:05 CET", journalctl's short-full. Only the names of the reader's own zone are unambiguous,
// so any name but UTC is taken for one of them.
func weekday(line []byte, ref *Reference) (time.Time, []byte, bool) {
	if !beginsWithDay(line) {
		return time.Time{}, nil, false
	}
	var w wall
	rest, ok := w.iso(line[4:])
	if !ok || len(rest) == 0 || rest[0] != ' ' {
		return time.Time{}, nil, false
	}
	name, _, _ := bytes.Cut(rest[1:], []byte(" "))
	at, _, _ := w.zoned(rest[:1+len(name)], ref)
	return at, rest[1+len(name):], true
}

// beginsWithDay reports whether line begins with "Mon " or another day of the week.
func beginsWithDay(line []byte) bool {
	return len(line) >= 4 && line[3] == ' ' && bytes.Contains([]byte("MonTueWedThuFriSatSun"), line[:3])
}

// unixTime reads "1136214245.123456", journalctl's short-unix: seconds since 1970, in ten digits, and decimals.
func unixTime(line []byte) (time.Time, []byte, bool) {
	if len(line) < 11 || line[10] != '.' {
		return time.Time{}, nil, false
	}
	seconds, ok := digits(line[:10])
	nano, rest, fraction := decimals(line[10:])
	return time.Unix(int64(seconds), int64(nano)), rest, ok && fraction
}

// monotonic reads "  12.345678", journalctl's short-monotonic without its brackets, and the difference to the line before
// that short-delta puts after it.
func monotonic(line []byte, ref *Reference) (time.Time, []byte, bool) {
	line = bytes.TrimLeft(line, " ")
	point := bytes.IndexByte(line[:min(len(line), 10)], '.')
	if ref.Boot.IsZero() || point < 1 {
		return time.Time{}, nil, false
	}
	seconds, ok := digits(line[:point])
	nano, rest, fraction := decimals(line[point:])
	if end := bytes.IndexByte(rest, ']'); end >= 0 && len(rest) > 1 && rest[0] == ' ' {
		rest = rest[end:]
	}
	return ref.Boot.Add(time.Duration(seconds)*time.Second + time.Duration(nano)), rest, ok && fraction
}

// clock reads "15:04:05" and decimals of a second, and returns the rest; valid tells if there is such a time. MariaDB pads the hour
// with a blank.
func (w *wall) clock(b []byte) ([]byte, bool) {
	if len(b) < 8 || b[2] != ':' || b[5] != ':' {
		return nil, false
	}
	var hourOK, minuteOK, secondOK bool
	w.hour, hourOK = digits(bytes.TrimPrefix(b[:2], []byte(" ")))
	w.minute, minuteOK = digits(b[3:5])
	w.second, secondOK = digits(b[6:8])
	w.nano, b, _ = decimals(b[8:])
	return b, hourOK && minuteOK && secondOK
}

// decimals reads ".123456", or with a comma, as nanoseconds.
func decimals(b []byte) (nano int, rest []byte, ok bool) {
	if len(b) < 2 || (b[0] != '.' && b[0] != ',') || !isDigit(b[1]) {
		return 0, b, false
	}
	b = b[1:]
	for unit := 100_000_000; len(b) > 0 && isDigit(b[0]); b, unit = b[1:], unit/10 {
		nano += int(b[0]-'0') * unit
	}
	return nano, b, true
}

// zone reads "Z", "+01:00" or "+0100".
func zone(b []byte) (time.Duration, []byte, bool) {
	if len(b) == 0 {
		return 0, b, false
	}
	if b[0] == 'Z' {
		return 0, b[1:], true
	}
	if len(b) < 5 || (b[0] != '+' && b[0] != '-') {
		return 0, b, false
	}
	minutes := b[3:]
	if minutes[0] == ':' {
		minutes = minutes[1:]
	}
	if len(minutes) < 2 {
		return 0, b, false
	}
	behind := minutes[2:]
	hour, hourOK := digits(b[1:3])
	minute, minuteOK := digits(minutes[:2])
	offset := time.Duration(hour)*time.Hour + time.Duration(minute)*time.Minute
	if b[0] == '-' {
		offset = -offset
	}
	return offset, behind, hourOK && minuteOK && hour <= 23 && minute <= 59
}

// slack is how far lines of one file may be out of order if they are to tell which of two hours they belong to.
const slack = time.Minute

// resolve finds the moment of w. In the hour that clocks show twice it is the one that is now, if one is; otherwise the
// first one not earlier than the line before.
func (w *wall) resolve(ref *Reference) time.Time {
	first, second := w.moments(ref.Location)
	switch {
	case first.Equal(second):
		return first
	case near(first, ref.Now):
		return first
	case near(second, ref.Now), second.Before(ref.Now) && ref.Last.IsZero():
		return second
	case first.Before(ref.Last.Add(-slack)) && second.Before(ref.Now):
		return second
	}
	return first
}

func near(a, b time.Time) bool { return a.Sub(b).Abs() <= slack }

// moments returns the two moments that w may be in loc, the earlier first; they are the same but for one hour a year.
func (w *wall) moments(loc *time.Location) (first, second time.Time) {
	guess := w.in(loc)
	_, before := guess.Add(-12 * time.Hour).Zone()
	_, after := guess.Add(12 * time.Hour).Zone()
	if before <= after { // the clock is not set back: no moment occurs twice
		return guess, guess
	}
	utc := w.in(time.UTC)
	first = utc.Add(-time.Duration(before) * time.Second).In(loc)
	second = utc.Add(-time.Duration(after) * time.Second).In(loc)
	if _, offset := first.Zone(); offset != before {
		first = second
	}
	if _, offset := second.Zone(); offset != after {
		second = first
	}
	return first, second
}

const months = "JanFebMarAprMayJunJulAugSepOctNovDec"

// monthOf returns 0 for anything but an English month of three letters.
func monthOf(b []byte) time.Month {
	for m := range 12 {
		if bytes.Equal(b, []byte(months[3*m:3*m+3])) {
			return time.Month(m + 1)
		}
	}
	return 0
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// digits reads a number of digits only; there are so few that they fit.
func digits(b []byte) (n int, ok bool) {
	for _, c := range b {
		if !isDigit(c) {
			return 0, false
		}
		n = 10*n + int(c-'0')
	}
	return n, len(b) > 0
}
