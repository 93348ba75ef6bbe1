// Package tally sums up attempts and bans by jail and day, in bounded memory whatever attackers do: what the daemon keeps for a year, what a
// replay of a log finds, and what exilectl history and report show.
//
// A Day is filled while things happen. A History is what several days have in common, with the rankings and series that people want
// to see.
package tally

import (
	"encoding/json"
	"net/netip"
	"strings"
	"time"
)

// Length is how long a day is. Days begin at midnight UTC: those of a local time would have 23 or 25 hours twice a year, and others after each
// move of the host to another zone. A day has its hours, from which local ones can be made.
const Length = 24 * time.Hour

// Date returns the beginning of the day in which a time lies.
func Date(at time.Time) time.Time { return at.UTC().Truncate(Length) }

// Numbers are sums. Prevented and Passed add up to Attempts.
type Numbers struct {
	Attempts  uint64 `json:"attempts"`      // guesses that were logged, or would have been; in the daemon's days only those that passed
	Passed    uint64 `json:"passed"`        // of those, that reached the service
	Prevented uint64 `json:"prevented"`     // of those, while their address was banned; only a replay can know it
	Bans      uint64 `json:"bans"`          //
	Protected uint64 `json:"protections"`   // bans not made because the address is protected
	Denied    uint64 `json:"logins_denied"` // false alarms: bans of addresses that logged in later
	Dropped   uint64 `json:"dropped"`       // packets that the kernel dropped; known only of all jails together
}

// Add adds other numbers.
func (n *Numbers) Add(other *Numbers) {
	n.Attempts += other.Attempts
	n.Passed += other.Passed
	n.Prevented += other.Prevented
	n.Bans += other.Bans
	n.Protected += other.Protected
	n.Denied += other.Denied
	n.Dropped += other.Dropped
}

// Hour is what happened in an hour. In JSON it is a list of the three numbers.
type Hour struct{ Attempts, Prevented, Bans uint64 }

// MarshalJSON implements json.Marshaler.
func (h Hour) MarshalJSON() ([]byte, error) {
	return json.Marshal([3]uint64{h.Attempts, h.Prevented, h.Bans})
}

// UnmarshalJSON implements json.Unmarshaler.
func (h *Hour) UnmarshalJSON(text []byte) error {
	var n [3]uint64
	err := json.Unmarshal(text, &n)
	*h = Hour{n[0], n[1], n[2]}
	return err
}

// Add adds another hour.
func (h *Hour) Add(other *Hour) {
	h.Attempts += other.Attempts
	h.Prevented += other.Prevented
	h.Bans += other.Bans
}

// How many keys of each kind a day has while it is filled, and when it is kept.
const (
	liveKeys  = 256
	keptKeys  = 24
	liveRules = 32
	keptRules = 12
)

// Day is what happened in a jail on one day. Its size is bounded: 50 kB while it is filled, of which about 2 kB are kept, see Kept.
type Day struct {
	Jail string    // empty: the host
	Date time.Time // its beginning, UTC
	Numbers
	Hours   [24]Hour
	Latency Latency
	Sources Distinct // addresses with attempts

	addresses *top[addr] // attempts
	networks  *top[addr] // attempts
	names     *top[word] // attempts
	rules     *top[word] // attempts, by the filter's rule that found them
	reasons   *top[word] // bans, by the first word of their reason
	changed   bool       // since the book that it is in was written
}

// NewDay returns the day of a jail in which a time lies.
func NewDay(jail string, at time.Time) *Day {
	return &Day{
		Jail: jail, Date: Date(at), addresses: newTop[addr](liveKeys), networks: newTop[addr](liveKeys), names: newTop[word](liveKeys),
		rules: newTop[word](liveRules), reasons: newTop[word](liveRules),
	}
}

// Has reports whether a time lies in the day.
func (d *Day) Has(at time.Time) bool {
	since := at.Sub(d.Date)
	return since >= 0 && since < Length
}

// hour returns the hour of a time that lies in the day; of others the nearest.
func (d *Day) hour(at time.Time) *Hour {
	return &d.Hours[min(max(int(at.Sub(d.Date)/time.Hour), 0), 23)]
}

// Attempt is some guesses that one entry of a log shows.
type Attempt struct {
	Time      time.Time // in the day
	Addr      netip.Addr
	User      string // as it was typed; empty: unknown
	Rule      string // of the filter; empty: unknown
	Guesses   int    // 1 or more
	Prevented bool   // a ban would have stopped them
}

// Attempt counts some guesses. It makes no garbage.
func (d *Day) Attempt(a *Attempt) {
	n := uint64(max(a.Guesses, 0))
	h := d.hour(a.Time)
	d.Attempts += n
	h.Attempts += n
	if a.Prevented {
		d.Prevented += n
		h.Prevented += n
	} else {
		d.Passed += n
	}
	k := addr(a.Addr.As16())
	d.Sources.Add(k.hash(0))
	addAddr(d.addresses, k, n)
	addAddr(d.networks, k.network(), n)
	addWord(d.names, a.User, n)
	addWord(d.rules, a.Rule, n)
}

// Ban counts a ban that was made at a time, by its reason: texts of reasons begin with a word for their kind, and a colon.
func (d *Day) Ban(at time.Time, reason string) {
	d.Bans++
	d.hour(at).Bans++
	if word, _, ok := strings.Cut(reason, ":"); ok {
		addWord(d.reasons, word, 1)
	}
}
