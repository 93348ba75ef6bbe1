package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"exile/internal/config"
)

// This file has --since and --until, which take the times of systemd.time(7).

// period is the time from --since on and before --until. A zero time means no bound.
type period struct{ since, until time.Time }

// has reports whether a time lies in the period.
func (p period) has(t time.Time) bool {
	return !t.Before(p.since) && (p.until.IsZero() || t.Before(p.until))
}

// periodFlags are the options for a period. Call read when the verb runs.
type periodFlags struct{ since, until string }

func (f *periodFlags) register(cmd *cobra.Command, what string) {
	cmd.Flags().StringVarP(&f.since, "since", "S", "", "Show "+what+" from `TIME` on (yesterday, -1h, \"2026-11-29 10:00\")")
	cmd.Flags().StringVarP(&f.until, "until", "U", "", "Show "+what+" before `TIME`")
	completeFlag(cmd, "since", completeWords("today", "yesterday", "-1h", "-1d", "-7d"))
	completeFlag(cmd, "until", completeWords("now", "today", "yesterday", "-1h"))
}

func (f *periodFlags) read(now time.Time) (p period, err error) {
	if f.since != "" {
		p.since, err = parseWhen(f.since, now)
	}
	if f.until != "" && err == nil {
		p.until, err = parseWhen(f.until, now)
	}
	if err == nil && !p.until.IsZero() && p.until.Before(p.since) {
		err = errors.New("--until is before --since")
	}
	return p, err
}

// parseWhen reads a point in time in the format of systemd.time(7): yesterday, today, tomorrow, now, -1h, "2 days ago",
// @1777885200, a date, a time of day or both, optionally with a day of the week before it and a time zone after it.
func parseWhen(text string, now time.Time) (time.Time, error) {
	s := strings.TrimSpace(text)
	if t, ok := namedDay(s, now); ok {
		return t, nil
	}
	if t, ok, err := relative(s, now); ok || err != nil {
		return t, err
	}
	if t, ok := stamped(s, now); ok {
		return t, nil
	}
	return time.Time{}, fmt.Errorf(`cannot read the time %q: use one like "2026-11-29 10:00", 10:00, yesterday, -1h or @1777885200`, text)
}

func namedDay(s string, now time.Time) (time.Time, bool) {
	days, ok := map[string]int{"yesterday": -1, "today": 0, "tomorrow": 1}[s]
	if s == "now" {
		return now, true
	}
	y, m, d := now.Date()
	return time.Date(y, m, d+days, 0, 0, 0, 0, now.Location()), ok
}

// relative reads a time relative to now, or to 1970.
func relative(s string, now time.Time) (t time.Time, ok bool, err error) {
	sign := time.Duration(1)
	switch {
	case strings.HasPrefix(s, "@"):
		seconds, err := strconv.ParseFloat(s[1:], 64)
		if err != nil || seconds < 0 || seconds > 1e11 {
			return t, false, nil
		}
		return time.UnixMicro(int64(seconds * 1e6)), true, nil
	case strings.HasPrefix(s, "-"):
		s, sign = s[1:], -1
	case strings.HasSuffix(s, " ago"):
		s, sign = strings.TrimSuffix(s, " ago"), -1
	case strings.HasPrefix(s, "+"):
		s = s[1:]
	default:
		return t, false, nil
	}
	if config.IsForever(s) {
		return t, false, fmt.Errorf("a time %q from now is out of range", s)
	}
	d, err := config.ParseDuration(s)
	return now.Add(sign * d), true, err
}

// stamped reads a date, a time of day, or both.
func stamped(s string, now time.Time) (time.Time, bool) {
	if day, rest, ok := strings.Cut(s, " "); ok && isWeekday(day) {
		s = rest
	}
	zone := now.Location()
	if at := strings.LastIndexByte(s, ' '); at >= 0 {
		if named, ok := zoneOf(s[at+1:], now); ok {
			s, zone = s[:at], named
		}
	}
	if utc, ok := strings.CutSuffix(s, "Z"); ok {
		s, zone = utc, time.UTC
	}
	for _, layout := range []string{time.DateTime, "2006-01-02 15:04", "2006-01-02T15:04:05", "2006-01-02T15:04", time.DateOnly} {
		if t, err := time.ParseInLocation(layout, s, zone); err == nil {
			return t, true
		}
	}
	for _, layout := range []string{time.TimeOnly, "15:04"} {
		if t, err := time.ParseInLocation(layout, s, zone); err == nil {
			y, m, d := now.In(zone).Date()
			return time.Date(y, m, d, t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), zone), true
		}
	}
	return time.Time{}, false
}

func isWeekday(s string) bool {
	for d := time.Sunday; d <= time.Saturday; d++ {
		if strings.EqualFold(s, d.String()) || strings.EqualFold(s, d.String()[:3]) {
			return true
		}
	}
	return false
}

// zoneOf knows UTC, the local zone's names, as stamp writes them, and the zones of the database.
func zoneOf(s string, now time.Time) (*time.Location, bool) {
	y := now.Year()
	for _, month := range []time.Month{time.January, time.July} { // winter and summer
		if name, offset := time.Date(y, month, 1, 0, 0, 0, 0, now.Location()).Zone(); name == s {
			return time.FixedZone(name, offset), true
		}
	}
	if s == "UTC" {
		return time.UTC, true
	}
	if !strings.Contains(s, "/") || strings.Contains(s, "..") {
		return nil, false
	}
	zone, err := time.LoadLocation(s)
	return zone, err == nil
}
