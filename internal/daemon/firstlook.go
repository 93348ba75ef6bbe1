package daemon

import (
	"fmt"
	"time"

	"exile/internal/control"
	"exile/internal/human"
)

// All of a log that is read for the first time is news: a detector that counts over a month bans for what it finds there, for the rest of the
// ban's time. exiled says so, and how to undo it.

// noticeFor is how long the notice is shown.
const noticeFor = 24 * time.Hour

// notice is something that people should know for a while.
type notice struct {
	text  string
	until time.Time
}

func (n *notice) at(now time.Time) string {
	if now.After(n.until) {
		return ""
	}
	return n.text
}

// stale reports whether a decision is about a time so long before the first look that a jail with a findtime would have forgotten it.
func (r *running) stale(j *Jail, at time.Time) bool {
	return j.Memory == nil && at.Before(r.begun.Add(-j.Info.FindTime))
}

// noteFirstLook notes how many addresses were banned for what was logged before the first look.
func (d *Daemon) noteFirstLook(r *running) {
	begun := r.begun
	if begun.IsZero() {
		return
	}
	r.begun = time.Time{} // what a reload reads again is not a first look
	n := 0
	for _, j := range r.Jails {
		d.ledger.bans.every(j.Info.Name, func(b control.Ban) {
			if !j.Simulate && b.Origin != control.OriginManual && b.Since.Before(begun) {
				n++
			}
		})
	}
	if n == 0 {
		return
	}
	text := fmt.Sprintf("banned %s from the log of the last %s; exilectl flush takes it back", human.Count(n, "addresses"), human.Span(max(wholeHours(begun.Sub(r.first)), 0)))
	d.health.notice = notice{text, time.Now().Add(noticeFor)}
	d.cfg.Log.Info("First look: " + text)
}

// wholeHours rounds a time up.
func wholeHours(t time.Duration) time.Duration { return (t + time.Hour - 1).Truncate(time.Hour) }
