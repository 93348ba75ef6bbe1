package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"exile/internal/config"
)

// plural counts: "1 ban", "2 bans". The noun is given in the plural.
func plural(n int, noun string) string {
	if n == 1 {
		noun = strings.TrimSuffix(noun, "s")
		if rest, ok := strings.CutSuffix(noun, "sse"); ok { // addresses
			noun = rest + "ss"
		}
	}
	return strconv.Itoa(n) + " " + noun
}

// stamp is a time as systemd writes it; empty for the zero Time.
func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Local().Format("Mon 2006-01-02 15:04:05 MST")
}

// span is a duration as systemd writes it, in its two largest units.
func span(d time.Duration) string {
	if d < 0 {
		return "infinity"
	}
	if d < time.Second {
		return fmt.Sprintf("%dms", d.Milliseconds())
	}
	const day = 24 * time.Hour
	var parts []string
	for _, u := range []struct {
		name   string
		length time.Duration
	}{{"y", 365 * day}, {"month", 30 * day}, {"w", 7 * day}, {"d", day}, {"h", time.Hour}, {"min", time.Minute}, {"s", time.Second}} {
		if n := d / u.length; n > 0 {
			parts = append(parts, strconv.FormatInt(int64(n), 10)+u.name)
			d -= n * u.length
		} else if len(parts) > 0 {
			break
		}
		if len(parts) == 2 {
			break
		}
	}
	return strings.Join(parts, " ")
}

// left is how long until t; "infinity" for the zero Time.
func left(t, now time.Time) string {
	if t.IsZero() {
		return "infinity"
	}
	return span(max(t.Sub(now), 0))
}

// ago is how long t is past, at least nothing: it may have come to pass since now was taken.
func ago(t, now time.Time) string { return span(max(now.Sub(t), 0)) + " ago" }

// parseSpan reads a duration of the command line. It reports true for one without end.
func parseSpan(s string) (time.Duration, bool, error) {
	if config.IsForever(s) {
		return 0, true, nil
	}
	d, err := config.ParseDuration(s)
	return d, false, err
}
