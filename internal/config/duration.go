package config

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	day  = 24 * time.Hour
	week = 7 * day
	year = 365*day + 6*time.Hour // as systemd.time(7) and fail2ban have it
)

// maxDuration is the longest time that a key may have; longer times have to be permanent.
const maxDuration = 100 * year

// ParseDuration reads a time as people write it: seconds ("600"), or numbers with a unit ("10m", "1h 30min", "1d12h",
// "2 weeks"). A month ("mo") is a twelfth of a year. Times are 0 to 100 years.
func ParseDuration(s string) (time.Duration, error) {
	rest := strings.ToLower(strings.TrimSpace(s))
	if rest == "" {
		return 0, fmt.Errorf("a time is missing (like 600, 10m, 1h or 1d)")
	}
	var sum time.Duration
	for bare := true; rest != ""; bare = false {
		d, tail, err := cutTime(rest, bare)
		if err != nil {
			return 0, fmt.Errorf("%q is not a time (like 600, 10m, 1h or 1d): %w", s, err)
		}
		if sum += d; sum > maxDuration {
			return 0, fmt.Errorf("%q is longer than 100 years", s)
		}
		rest = strings.TrimSpace(tail)
	}
	return sum, nil
}

// FormatDuration writes a time as a whole number of the largest possible unit ("4h", "90min"), so that ParseDuration reads it back. Fractions of a
// second are cut off.
func FormatDuration(d time.Duration) string {
	for _, u := range []struct {
		name   string
		length time.Duration
	}{{"w", week}, {"d", day}, {"h", time.Hour}, {"min", time.Minute}} {
		if d >= u.length && d%u.length == 0 {
			return strconv.FormatInt(int64(d/u.length), 10) + u.name
		}
	}
	return strconv.FormatInt(int64(d/time.Second), 10) + "s"
}

// cutTime cuts one number and its unit off s. Only a number that stands alone may lack the unit: it means seconds.
func cutTime(s string, alone bool) (d time.Duration, rest string, err error) {
	digits := strings.IndexFunc(s+"s", func(r rune) bool { return r < '0' || r > '9' })
	n, err := strconv.ParseInt(s[:digits], 10, 64)
	if err != nil {
		return 0, "", fmt.Errorf("no whole number at %q", s)
	}
	rest = strings.TrimLeft(s[digits:], " ")
	letters := strings.IndexFunc(rest+" ", func(r rune) bool { return r < 'a' || r > 'z' })
	word := rest[:letters]
	unit := unitOf(word)
	switch {
	case word == "" && rest == "" && alone:
		unit = time.Second
	case unit == 0:
		return 0, "", fmt.Errorf("no unit %q", word)
	}
	if n > int64(maxDuration/unit) {
		return 0, "", fmt.Errorf("longer than 100 years")
	}
	return time.Duration(n) * unit, rest[letters:], nil
}

// unitOf returns the length of a unit, or 0 for any other word.
func unitOf(word string) time.Duration {
	for _, u := range []struct {
		words  []string
		length time.Duration
	}{
		{[]string{"s", "sec", "second", "seconds"}, time.Second},
		{[]string{"m", "min", "minute", "minutes"}, time.Minute},
		{[]string{"h", "hr", "hour", "hours"}, time.Hour},
		{[]string{"d", "day", "days"}, day},
		{[]string{"w", "week", "weeks"}, week},
		{[]string{"mo", "month", "months"}, year / 12},
		{[]string{"y", "year", "years"}, year},
	} {
		if slices.Contains(u.words, word) {
			return u.length
		}
	}
	return 0
}
