package daemon

import (
	"maps"
	"slices"
	"strings"
	"time"

	"exile/internal/control"
)

// The reasons for being degraded, and what to do about each.
const (
	reasonBackend    = control.BackendFailed
	reasonState      = "state-failed"
	reasonSource     = "source-failed"
	reasonSuppressed = "journal-suppressed"
	reasonGap        = "journal-gap"
	reasonAside      = "state-set-aside"
	reasonTrial      = "trial-stuck"
	reasonFormat     = "journal-format"
	reasonKill       = "connections-not-cut"
	reasonSpare      = "sessions-not-spared"
	reasonFull       = "bans-full"
)

var remedies = map[string]string{
	reasonBackend:    "The kernel refused a change; see journalctl -u exiled, or choose another backend: in exile.yaml.",
	reasonState:      "The state cannot be written: free space in, or make writable, the state directory; banning goes on.",
	reasonSuppressed: "journald dropped lines of a watched unit: set LogRateLimitIntervalSec=0 in a drop-in of that unit.",
	reasonGap:        "Log entries were gone or unreadable before they were read; see journalctl -u exiled and journalctl --verify.",
	reasonFormat: "journald writes files in a format newer than this exiled, which reads them through journalctl, slower and later: " +
		"install a newer exile.",
	reasonSpare: "Connections of those who are logged in could not be left alone while their address is banned; see journalctl -u exiled.",
	reasonKill:  "Open connections of the banned could not be cut, the bans hold; see journalctl -u exiled, or set kill_connections: no.",
	reasonFull: "There are as many bans as max_bans allows: for each new one that which ends soonest is lifted. Raise max_bans:, " +
		"or ban fewer by hand.",
	reasonTrial: "A configuration on trial cannot be taken back because the files are bad: mend them, see exilectl check-config, " +
		"or keep the one on trial with exilectl confirm.",
	reasonAside: "The state file was damaged and has been set aside. Bans were taken from the kernel, and others made again from the log: " +
		"bans that had been lifted may be back, lift them again with exilectl unban or flush. Look at the file, then remove it.",
}

// transient is how long a reason stays that nothing ever takes back.
const transient = 10 * time.Minute

// health is what is wrong, if anything.
type health struct {
	reasons map[string]trouble
}

// trouble is one reason.
type trouble struct {
	remedy string
	until  time.Time // zero: until taken back
}

func newHealth() *health { return &health{reasons: make(map[string]trouble)} }

// degrade notes a reason and reports whether it is news.
func (h *health) degrade(reason string, t trouble) bool {
	_, known := h.reasons[reason]
	h.reasons[reason] = t
	return !known
}

// recover takes a reason back and reports whether it was there.
func (h *health) recover(reason string) bool {
	_, known := h.reasons[reason]
	delete(h.reasons, reason)
	return known
}

// expire takes back the reasons whose time is over and returns them.
func (h *health) expire(now time.Time) []string {
	var over []string
	for reason, t := range h.reasons {
		if !t.until.IsZero() && !t.until.After(now) {
			over = append(over, reason)
			delete(h.reasons, reason)
		}
	}
	slices.Sort(over)
	return over
}

// count is how many reasons begin so.
func (h *health) count(prefix string) (n int) {
	for reason := range h.reasons {
		if strings.HasPrefix(reason, prefix) {
			n++
		}
	}
	return n
}

// list returns the reasons in order, and the remedy of each.
func (h *health) list() (reasons, remedy []string) {
	reasons = slices.Sorted(maps.Keys(h.reasons))
	for _, reason := range reasons {
		remedy = append(remedy, h.reasons[reason].remedy)
	}
	return reasons, remedy
}

// degrade notes what is wrong, says so once, and keeps it until recover or, if until is not zero, until then.
func (d *Daemon) degrade(reason string, until time.Time, err error) {
	d.degradeWith(reason, remedies[reason], until, err)
}

// degradeWith is degrade for a reason whose remedy depends.
func (d *Daemon) degradeWith(reason, remedy string, until time.Time, err error) {
	if !d.health.degrade(reason, trouble{remedy, until}) {
		return
	}
	d.log.Warn("Degraded", "reason", reason, "error", err, "remedy", remedy)
	d.announce(control.Event{Kind: control.Degraded, Time: time.Now(), Reason: reason})
}

func (d *Daemon) recovered(reason string) {
	if d.health.recover(reason) {
		d.announceRecovered(reason)
	}
}

func (d *Daemon) announceRecovered(reason string) {
	d.log.Info("Recovered", "reason", reason)
	d.announce(control.Event{Kind: control.Recovered, Time: time.Now(), Reason: reason})
}

// stance is what the world is told of the state.
type stance struct {
	state  string
	paused time.Time
}

// show announces a state that is new.
func (d *Daemon) show() {
	now := stance{d.state(), d.paused}
	if now.state == d.shown.state && now.paused.Equal(d.shown.paused) {
		return
	}
	d.shown = now
	d.announce(control.Event{Kind: control.StateChanged, Time: time.Now(), Reason: now.state})
	d.tell()
}
