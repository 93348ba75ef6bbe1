package main

import (
	"time"

	"exile/internal/config"
	"exile/internal/human"
)

// stamp is a time in systemd's format; empty for the zero Time.
func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Local().Format("Mon 2006-01-02 15:04:05 MST")
}

// left is the time until t; "infinity" for the zero Time.
func left(t, now time.Time) string {
	if t.IsZero() {
		return "infinity"
	}
	return human.Span(max(t.Sub(now), 0))
}

// ago is the time since t, at least 0: t may be later than now was taken.
func ago(t, now time.Time) string { return human.Span(max(now.Sub(t), 0)) + " ago" }

// parseSpan reads a duration from the command line. It returns true for an infinite one.
func parseSpan(s string) (time.Duration, bool, error) {
	if config.IsForever(s) {
		return 0, true, nil
	}
	d, err := config.ParseDuration(s)
	return d, false, err
}
