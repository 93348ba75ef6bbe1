// Package suggest has the rules that exilectl suggest tries on the log of a host, and says which of them to take.
package suggest

import (
	"fmt"
	"time"

	"exile/internal/replay"
)

// Rule is what decides in a jail.
type Rule struct {
	Name     string   // for people
	Settings []string // of the jail, each KEY=VALUE; none: as configured
}

// Now is the name of the rule that is configured.
const Now = "now"

// Rules returns the 35 rules that are tried beside the one that is configured, the mildest first: the shipped detector, with four limits and two
// lengths of its bans, and what people write by hand, with short bans, with some that become longer each time, and with long ones.
func Rules() (all []Rule) {
	for _, ladder := range []struct{ name, times string }{{"1h to 30d", "null"}, {"1d to 30d", "[1d, 7d, 30d]"}} {
		for _, points := range []int{8, 5, 4, 3} {
			all = append(all, Rule{
				fmt.Sprintf("adaptive: %d points in 1d, bans of %s", points, ladder.name),
				[]string{
					"detection=adaptive", "maxretry=null", "findtime=null", "bantime=null", fmt.Sprint("adaptive.maxretry=", points), "adaptive.findtime=null",
					"adaptive.ladder=" + ladder.times,
				},
			})
		}
	}
	for _, bans := range []struct{ name, length, grows string }{
		{"10m", "10m", "no"}, {"1h to 1w", "1h", "yes"}, {"1d", "1d", "no"},
	} {
		for _, findtime := range []string{"10m", "1h", "1d"} {
			for _, retries := range []int{10, 5, 3} {
				all = append(all, Rule{
					fmt.Sprintf("threshold: %d attempts in %s, bans of %s", retries, findtime, bans.name),
					[]string{
						"detection=threshold", fmt.Sprint("maxretry=", retries), "findtime=" + findtime, "bantime=" + bans.length,
						"bantime.increment=" + bans.grows, "bantime.factor=null", "bantime.multipliers=null", "bantime.maxtime=null",
					},
				})
			}
		}
	}
	return all
}

// Row is what a rule would have done.
type Row struct {
	Rule     string   `json:"rule"`
	Settings []string `json:"settings"` // empty: as configured
	replay.Tried
}

// Report is the answer in one line of JSON.
type Report struct {
	Error       string         `json:"error,omitempty"` // why there is no more in it
	Interrupted bool           `json:"interrupted,omitempty"`
	Troubles    []string       `json:"troubles,omitempty"` // what could not be read or is not known, each a sentence
	Jails       []string       `json:"jails"`
	First       time.Time      `json:"first,omitzero"` // entry in the period
	Last        time.Time      `json:"last,omitzero"`
	Days        int            `json:"days"` // with entries
	Entries     uint64         `json:"entries"`
	Attempts    uint64         `json:"attempts"`
	Sources     int            `json:"sources"`
	Logins      uint64         `json:"logins"` // that a ban would have denied, too
	Forgot      bool           `json:"forgot"` // bans or logins, so that false bans may be missing
	Rows        []Row          `json:"rules"`  // the first is the rule that is configured
	Verdict     Verdict        `json:"verdict"`
	Best        int            `json:"best"` // the row that is recommended; 0: stay
	Why         string         `json:"why"`  // a sentence
	Lacks       []string       `json:"lacks,omitempty"`
	Owners      []replay.Owner `json:"owners"` // who logged in from an address that the recommended rule would have banned; at most 100
	NowOwners   []replay.Owner `json:"owners_now"`
	Elapsed     float64        `json:"elapsed_seconds"`
}

// Verdict is what is recommended.
type Verdict string

// The verdicts.
const (
	TooLittle  Verdict = "too-little-history"
	Incomplete Verdict = "incomplete"
	Stay       Verdict = "stay"
	Change     Verdict = "change"
)

// What a log must have for a recommendation.
const (
	// MinDays is a week: who logs in and who attacks has a rhythm of a week, and the longest window that is tried is a day.
	MinDays = 7
	// MinAttempts makes a difference of one in a hundred more than one attempt.
	MinAttempts = 200
	// MinSources keeps one attacker's habits from deciding.
	MinSources = 20
	// MinLogins is how many logins there must be for their absence among the banned to say something.
	MinLogins = 5
)

// margin is what part of the attempts a rule must prevent more to be worth a change, and to be preferred to a milder one.
const margin = 0.01

// Decide says which row to take.
func (r *Report) Decide() {
	r.Best = 0
	if r.Interrupted || r.Forgot || r.Rows[0].Estimate {
		r.Verdict, r.Why = Incomplete, "Nothing is recommended, because false bans may be missing: "+r.missing()+"."
		return
	}
	if r.Lacks = r.lacks(); len(r.Lacks) > 0 {
		r.Verdict, r.Why = TooLittle, "There is too little history to tell."
		return
	}
	best := r.best()
	now := &r.Rows[0]
	if best == 0 {
		r.Verdict = Stay
		r.Why = fmt.Sprintf("What runs now is best: no other rule prevents at least %g %% of the attempts more without more false bans or denied logins.", 100*margin)
		return
	}
	r.Verdict, r.Best = Change, best
	row := &r.Rows[best]
	r.Why = fmt.Sprintf("It would have prevented %.1f %% of the attempts instead of %.1f %%, with %d false bans instead of %d.",
		r.share(row), r.share(now), row.FalseBans, now.FalseBans)
}

// missing says why the numbers are not whole.
func (r *Report) missing() string {
	if r.Interrupted {
		return "the log was not read to its end"
	}
	return "the log has more addresses than are remembered, so try a shorter time with --since and --until"
}

// lacks says what there is too little of.
func (r *Report) lacks() (all []string) {
	for _, c := range []struct {
		have, want uint64
		text       string
	}{
		{uint64(r.Days), MinDays, "%d days with entries; %d are needed, since attacks and logins have a rhythm of a week"},
		{r.Attempts, MinAttempts, "%d attempts; %d are needed, so that a difference is no accident"},
		{uint64(r.Sources), MinSources, "%d attacking addresses; %d are needed, so that the habits of a few do not decide"},
		{r.Logins, MinLogins, "%d logins; %d are needed, because without them nobody can be seen to be banned by mistake"},
	} {
		if c.have < c.want {
			all = append(all, fmt.Sprintf(c.text, c.have, c.want))
		}
	}
	return all
}

// best returns the row to take. Of those with no more false bans and denied logins than now that prevent nearly as much as the best one, that is
// the one with the fewest false bans, and of these what is configured, or else the mildest.
func (r *Report) best() int {
	now := &r.Rows[0]
	var most uint64
	for i := range r.Rows {
		if row := &r.Rows[i]; row.harmsNoMore(now) {
			most = max(most, row.Prevented)
		}
	}
	enough := float64(most) - margin*float64(r.Attempts)
	best := -1
	for i := range r.Rows {
		row := &r.Rows[i]
		if !row.harmsNoMore(now) || row.Prevented < now.Prevented || float64(row.Prevented) < enough {
			continue
		}
		if best < 0 || row.FalseBans < r.Rows[best].FalseBans {
			best = i
		}
	}
	return max(best, 0)
}

// harmsNoMore reports whether a rule harms no more owners than another, as often. A longer ban of the same address denies more logins. Of a rule
// that is estimated nobody knows.
func (row *Row) harmsNoMore(now *Row) bool {
	return row.FalseBans <= now.FalseBans && row.Denied <= now.Denied && !row.Estimate
}

// share is the part of the attempts that a rule prevents, in percent.
func (r *Report) share(row *Row) float64 {
	return 100 * float64(row.Prevented) / float64(max(r.Attempts, 1))
}
