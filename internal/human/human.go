// Package human writes numbers and times as systemd does, in the one style that all of exile has: "1 attempt", "6d 23h".
package human

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Count writes how many there are: "1 ban", "2 bans". The noun is given in the plural.
func Count[N int | uint64](n N, nouns string) string {
	if n == 1 {
		nouns = singular(nouns)
	}
	return fmt.Sprintf("%d %s", n, nouns)
}

// singular makes one of many: entries, addresses, bans.
func singular(nouns string) string {
	if rest, ok := strings.CutSuffix(nouns, "ies"); ok {
		return rest + "y"
	}
	if rest, ok := strings.CutSuffix(nouns, "sses"); ok {
		return rest + "ss"
	}
	return strings.TrimSuffix(nouns, "s")
}

const day = 24 * time.Hour

// units are those of a time, the largest first.
var units = [...]struct {
	name   string
	length time.Duration
}{{"y", 365 * day}, {"month", 30 * day}, {"w", 7 * day}, {"d", day}, {"h", time.Hour}, {"min", time.Minute}, {"s", time.Second}}

// Span writes a time in its largest unit and the one below, if that is not 0: "6d 23h", "10min". A negative one has no end.
func Span(d time.Duration) string {
	if d < 0 {
		return "infinity"
	}
	if d < time.Second {
		return strconv.FormatInt(d.Milliseconds(), 10) + "ms"
	}
	var parts []string
	for _, u := range units {
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
