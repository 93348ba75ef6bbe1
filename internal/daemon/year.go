package daemon

import (
	"time"

	"exile/internal/control"
	"exile/internal/tally"
	"exile/jail"
)

// Limits of what is kept for exilectl history.
const (
	keepYear = 366 // days, today among them
	// keepSums is how many days of jails are kept, of 2 to 5 kB each: a year of eleven jails. With more jails the oldest days go earlier.
	keepSums = 4096
)

// year has the sums of each jail by day, for a year. What they count is written with the positions up to which the logs were read, and only
// with them: after a crash the entries behind are read again, and counted again. A ban that was made while no position could be written, because an
// ignorecommand was being asked, may then be missing.
type year struct {
	book  *tally.Book
	today time.Time // the day on which something was last counted
}

func newYear() year { return year{book: tally.NewBook(keepSums)} }

// restore takes over what was on disk.
func (y *year) restore(texts map[tally.Key][]byte, now time.Time) {
	y.book.Restore(texts)
	y.today = y.book.Newest(now)
}

// on returns the sums of a jail of a day, to be changed. What is too old or in the future is counted nowhere: a log may be older, or a clock wrong.
func (y *year) on(jail string, at, now time.Time) *tally.Day {
	if now.Sub(y.today) >= tally.Length || now.Before(y.today) {
		y.turn(tally.Date(now))
	}
	if at.Before(y.today.Add(-(keepYear-1)*tally.Length)) || !at.Before(y.today.Add(2*tally.Length)) {
		return y.book.Nowhere()
	}
	return y.book.Day(jail, at)
}

// turn begins a day, and forgets those that were more than a year old on the day before. So a clock that is wrong for less than a day does not
// forget the year; the days that it was in are forgotten when it is right again.
func (y *year) turn(today time.Time) {
	first := y.today
	if today.Before(first) {
		first = today
	}
	y.book.Prune(first.Add(-(keepYear-1)*tally.Length), today.Add(tally.Length))
	y.today = today
}

// follow counts the attempts of a jail. What is read again has been counted before.
func (y *year) follow(j *Jail) {
	j.Tell(func(a *jail.Attempt) {
		if j.rereads {
			return
		}
		y.on(j.Info.Name, a.Time, time.Now()).Attempt(&tally.Attempt{Time: a.Time, Addr: a.Addr, User: a.User, Rule: a.Rule, Guesses: a.Guesses})
	})
}

// ban counts a ban.
func (y *year) ban(b *control.Ban) {
	reason := b.Reason
	if b.Origin == control.OriginManual {
		reason = "by hand:"
	}
	y.on(b.Jail, b.Since, time.Now()).Ban(b.Since, reason)
}
