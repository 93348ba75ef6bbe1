package jail

import "time"

// Escalation says how the ban time of a repeat offender grows. The zero value: it does not.
type Escalation struct {
	Increment    bool          // grow at all
	Factor       float64       // what a grown ban time is multiplied with; 0 is 1
	Multipliers  []int         // of the ban time by offence, the last one for all further; empty: 1, 2, 4, 8, ...
	MaxTime      time.Duration // of a grown ban; 0: no limit
	RndTime      time.Duration // up to this much is added, so that nobody can tell when a ban ends; 0: nothing
	OverallJails bool          // offences in all jails count, not only those in this one
}

// Recidive is the rule for those who are banned again and again, by whichever jails.
type Recidive struct {
	Enabled  bool
	MaxRetry int           // bans
	FindTime time.Duration // within this
	BanTime  time.Duration // then: this long, from all ports
}
