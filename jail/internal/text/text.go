// Package text has the words that jail and its detectors share in what they tell people.
package text

import (
	"strconv"
	"time"

	"exile/internal/human"
)

// MaxName is how many bytes of a user's name are kept and shown.
const MaxName = 64

// Clip shortens a name to what is kept of it.
func Clip(name string) string { return name[:min(len(name), MaxName)] }

// Quote is a name for people: clipped and quoted.
func Quote(name string) string { return strconv.QuoteToASCII(Clip(name)) }

// Span is a time for people. Whole days stay days, as in the configuration: "30d", "6d 23h", "10min".
func Span(d time.Duration) string {
	const day = 24 * time.Hour
	if d >= day && d%day == 0 {
		return strconv.Itoa(int(d/day)) + "d"
	}
	return human.Span(d)
}
