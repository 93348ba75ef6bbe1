package main

import (
	"testing"
	"time"
)

// Times are in the formats of systemd.time(7), as far as somebody types them at exilectl, and in those that exilectl prints.
func TestParseWhen(t *testing.T) {
	t.Parallel()
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 11, 29, 15, 4, 5, 0, berlin)
	for text, want := range map[string]string{
		"now":                          "2026-11-29T15:04:05+01:00",
		"today":                        "2026-11-29T00:00:00+01:00",
		"yesterday":                    "2026-11-28T00:00:00+01:00",
		"tomorrow":                     "2026-11-30T00:00:00+01:00",
		"-1h":                          "2026-11-29T14:04:05+01:00",
		"-1h 30min":                    "2026-11-29T13:34:05+01:00",
		"+1d":                          "2026-11-30T15:04:05+01:00",
		"2d ago":                       "2026-11-27T15:04:05+01:00",
		"@1777885200":                  "2026-05-04T11:00:00+02:00",
		"2026-11-29":                   "2026-11-29T00:00:00+01:00",
		"2026-11-29 10:00":             "2026-11-29T10:00:00+01:00",
		"2026-11-29T10:00:30":          "2026-11-29T10:00:30+01:00",
		"2026-11-29T10:00:30Z":         "2026-11-29T11:00:30+01:00",
		"2026-11-29 10:00:30.25":       "2026-11-29T10:00:30+01:00",
		"10:00":                        "2026-11-29T10:00:00+01:00",
		"10:00:30":                     "2026-11-29T10:00:30+01:00",
		"2026-11-29 10:00 UTC":         "2026-11-29T11:00:00+01:00",
		"Mon 2026-05-04 09:00:00 UTC":  "2026-05-04T11:00:00+02:00",
		"Mon 2026-05-04 11:00:00 CEST": "2026-05-04T11:00:00+02:00",
		"2026-11-29 10:00 Asia/Tokyo":  "2026-11-29T02:00:00+01:00",
	} {
		got, err := parseWhen(text, now)
		if err != nil || got.In(berlin).Format(time.RFC3339) != want {
			t.Errorf("%q: %v, %v, want %v", text, got.In(berlin), err, want)
		}
	}
	for _, text := range []string{"", "soon", "29.11.2026", "2026-13-01", "-forever", "-", "@", "@-1", "@1e300", "10:00 ../../etc/passwd", "25:00", "2026-11-29 10:00 XYZ"} {
		if got, err := parseWhen(text, now); err == nil {
			t.Errorf("%q is %v, want an error", text, got)
		}
	}
}

func TestPeriod(t *testing.T) {
	t.Parallel()
	now := hour(12)
	p, err := (&periodFlags{since: "-2h", until: "-1h"}).read(now)
	if err != nil {
		t.Fatal(err)
	}
	for at, want := range map[time.Time]bool{hour(9): false, hour(10): true, hour(11).Add(-1): true, hour(11): false} {
		if p.has(at) != want {
			t.Errorf("%v: %v, want %v", at, !want, want)
		}
	}
	if _, err := (&periodFlags{since: "-1h", until: "-2h"}).read(now); err == nil {
		t.Error("a period that ends before it begins was taken")
	}
}
