package control

import "time"

// This file has what the daemon announces.

// EventKind says what happened.
type EventKind string

// The kinds of events.
const (
	BanNew     EventKind = "ban"
	BanRemoved EventKind = "unban"
	Protected  EventKind = "protected" // would have been banned
	Degraded   EventKind = "degraded"
	Recovered  EventKind = "recovered"
	Repaired   EventKind = "repaired"
	Reloaded   EventKind = "reloaded"
	// BansRemoved: Count bans of a jail were lifted together, for one reason. Only the journal gets such sums; all other
	// listeners get each ban.
	BansRemoved EventKind = "unbans"
	// StateChanged: Status.State, or the end of a pause, has changed.
	StateChanged EventKind = "state"
)

// Event is an announcement.
type Event struct {
	Kind   EventKind `json:"kind"`
	Time   time.Time `json:"time_usec"`
	Ban    Ban       `json:"ban"`    // for BanNew, BanRemoved and Protected; its jail for BansRemoved
	Reason string    `json:"reason"` // BanRemoved, BansRemoved: expired|unban|flush|pause|reload|protected|covered|full; Protected, Degraded: why; StateChanged: the state
	Count  int       `json:"count"`  // Repaired: how many entries; BansRemoved: how many bans
	Summed bool      `json:"-"`      // BanRemoved: the journal gets it as part of a sum
	// Latency is, for BanNew, the time from the deciding log entry to the ban in the kernel; 0 if nothing had to be done
	// there.
	Latency time.Duration `json:"latency_usec"`
}
