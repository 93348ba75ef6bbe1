package daemon

import (
	"time"

	"exile/internal/banning"
)

// clockSettles is how long a clock that was set back, or the clock at the start, has to be corrected: a host without a battery boots in the
// past.
const clockSettles = 10 * time.Minute

// clock notices when the time is set back.
type clock struct {
	last time.Time // with the monotonic time, as time.Now gives it
	due  time.Time // when bans are to be checked; zero: never
}

// look takes the time, and reports whether bans may begin in the future.
func (c *clock) look(now time.Time) bool {
	if c.last.IsZero() || now.Round(0).Before(c.last.Round(0)) {
		c.due = now.Add(clockSettles)
	}
	c.last = now
	if c.due.IsZero() || now.Before(c.due) {
		return false
	}
	c.due = time.Time{}
	return true
}

// checkClock moves bans that begin in the future to now, after the clock was set back.
func (d *Daemon) checkClock(now time.Time) {
	if !d.clock.look(now) {
		return
	}
	moved := 0
	d.goRound(func(e *entry) {
		b, ahead := banning.Begun(e.ban(), time.Now())
		if !ahead {
			return
		}
		moved++
		d.ledger.put(b)
		if j := d.plan.jail(b.Jail); j != nil {
			d.kernel.touch(j.keys(&b)...)
		}
	}, func() {
		if moved > 0 {
			d.cfg.Log.Warn("The clock was set back: bans that began in the future begin now and end that much earlier", "bans", moved)
		}
	})
}
