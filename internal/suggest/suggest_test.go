package suggest_test

import (
	"slices"
	"testing"

	"exile/internal/replay"
	"exile/internal/suggest"
)

// TestRules: there are 36 rules with the one that is configured, and no two are the same.
func TestRules(t *testing.T) {
	t.Parallel()
	rules := suggest.Rules()
	if len(rules) != 35 {
		t.Errorf("%d rules", len(rules))
	}
	for i := range rules {
		for j := range rules[:i] {
			if rules[i].Name == rules[j].Name || slices.Equal(rules[i].Settings, rules[j].Settings) {
				t.Errorf("%q and %q", rules[i], rules[j])
			}
		}
	}
}

// row prevents so much and bans so many owners.
type row struct {
	prevented uint64
	owners    int
}

// TestDecide has a table of rules, the one that is configured first.
func TestDecide(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		rows []row
		want suggest.Verdict
		best int
	}{
		{"more and no more false bans", []row{{500, 1}, {600, 1}}, suggest.Change, 1},
		{"the fewest false bans of those that prevent as much", []row{{500, 2}, {700, 2}, {695, 1}, {692, 0}, {680, 0}}, suggest.Change, 3},
		{"the mildest of equal ones", []row{{500, 0}, {695, 0}, {700, 0}}, suggest.Change, 1},
		{"more, but with more false bans", []row{{500, 0}, {900, 1}}, suggest.Stay, 0},
		{"hardly more", []row{{500, 0}, {509, 0}}, suggest.Stay, 0},
		{"as much without the false bans", []row{{500, 3}, {495, 0}, {502, 1}}, suggest.Change, 2},
		{"less without the false bans", []row{{500, 3}, {400, 0}}, suggest.Stay, 0},
		{"nothing to compare with", []row{{500, 3}}, suggest.Stay, 0},
	} {
		rep := suggest.Report{Days: 7, Attempts: 1000, Sources: 20, Logins: 5}
		for _, r := range c.rows {
			rep.Rows = append(rep.Rows, suggest.Row{Tried: replay.Tried{Prevented: r.prevented, Passed: 1000 - r.prevented, FalseBans: r.owners}})
		}
		rep.Decide()
		if rep.Verdict != c.want || rep.Best != c.best || rep.Why == "" {
			t.Errorf("%s: %s, row %d (%s); want %s, row %d", c.name, rep.Verdict, rep.Best, rep.Why, c.want, c.best)
		}
	}
}

// TestHarm: nothing is recommended that denies more logins, even if it bans no other address, and nothing of which the harm is not known.
func TestHarm(t *testing.T) {
	t.Parallel()
	now := replay.Tried{Prevented: 500, FalseBans: 1, Denied: 2}
	for _, c := range []struct {
		name   string
		other  replay.Tried
		damage func(*suggest.Report)
		want   suggest.Verdict
	}{
		{"as many logins", replay.Tried{Prevented: 900, FalseBans: 1, Denied: 2}, nil, suggest.Change},
		{"a longer ban of the same owner", replay.Tried{Prevented: 900, FalseBans: 1, Denied: 40}, nil, suggest.Stay},
		{"bans that were forgotten", replay.Tried{Prevented: 900, Estimate: true}, nil, suggest.Stay},
		{"what is configured is estimated", replay.Tried{Prevented: 900}, func(r *suggest.Report) { r.Rows[0].Estimate = true }, suggest.Incomplete},
		{"a part of the log", replay.Tried{Prevented: 900}, func(r *suggest.Report) { r.Interrupted = true }, suggest.Incomplete},
		{"logins that were forgotten", replay.Tried{Prevented: 900}, func(r *suggest.Report) { r.Forgot = true }, suggest.Incomplete},
	} {
		rep := suggest.Report{Days: 7, Attempts: 1000, Sources: 20, Logins: 50, Rows: []suggest.Row{{Tried: now}, {Tried: c.other}}}
		if c.damage != nil {
			c.damage(&rep)
		}
		if rep.Decide(); rep.Verdict != c.want || rep.Why == "" || (rep.Best == 1) != (c.want == suggest.Change) {
			t.Errorf("%s: %s, row %d (%s); want %s", c.name, rep.Verdict, rep.Best, rep.Why, c.want)
		}
	}
}

// TestTooLittle: whatever there is too little of is named, and nothing is recommended.
func TestTooLittle(t *testing.T) {
	t.Parallel()
	enough := suggest.Report{Days: 7, Attempts: 1000, Sources: 20, Logins: 5, Rows: []suggest.Row{{}, {Tried: replay.Tried{Prevented: 900}}}}
	for _, cut := range []func(*suggest.Report){
		func(r *suggest.Report) { r.Days = 6 }, func(r *suggest.Report) { r.Attempts = 199 },
		func(r *suggest.Report) { r.Sources = 19 }, func(r *suggest.Report) { r.Logins = 4 },
	} {
		rep := enough
		cut(&rep)
		if rep.Decide(); rep.Verdict != suggest.TooLittle || rep.Best != 0 || len(rep.Lacks) != 1 {
			t.Errorf("%+v", rep)
		}
	}
	if enough.Decide(); enough.Verdict != suggest.Change {
		t.Errorf("%+v", enough)
	}
}
