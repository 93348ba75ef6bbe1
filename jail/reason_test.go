package jail

import (
	"strings"
	"testing"
	"time"
)

func TestReason(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		want string
		r    Reason
	}{
		{"", Reason{}},
		{"failed logins: 4 within 10m0s", Reason{Kind: ByFailures, Count: 4, Span: 10 * time.Minute}},
		{"recidive: 3 bans within 24h0m0s", Reason{Kind: ByBans, Count: 3, Span: day}},
		{
			"count: 5.2 of 5 points in 1d, weighed as a known neighbour, offence 2, step 2",
			Reason{Kind: ByPoints, Points: 520, Limit: 500, Span: day, Known: true, Offence: 2, Step: 2},
		},
		{
			`name: "ora\"cle\x1b[2J\n", on which 8 or more networks failed, 5 of 5 points in 1d, offence 7, step 2`,
			Reason{Kind: ByName, Name: "ora\"cle\x1b[2J\n", Count: 8, Points: 500, Limit: 500, Span: day, Offence: 7, Step: 2},
		},
		{
			"count: 2.5 of 2 points in 1d, weighed as a siege by 5 networks of an account that nobody uses, in a network where somebody was banned, offence 1, step 1",
			Reason{Kind: ByPoints, Points: 250, Limit: 200, Span: day, Siege: 5, Beside: true, Offence: 1, Step: 1},
		},
		{
			"network: 40.2 of 40 points in 1d by all its addresses, offence 1, step 1",
			Reason{Kind: ByNetwork, Points: 4020, Limit: 4000, Span: day, Offence: 1, Step: 1},
		},
		{
			"prefix: 3 addresses in it banned within 7d, offence 1, step 1; only the address, because around it is: ignoreip",
			Reason{Kind: ByPrefix, Count: 3, Span: 7 * day, Offence: 1, Step: 1, Around: "ignoreip"},
		},
	} {
		if got := c.r.String(); got != c.want {
			t.Errorf("%+v\n got %q\nwant %q", c.r, got, c.want)
		}
	}
	long := Reason{Kind: ByName, Name: strings.Repeat("\x00", 250)}
	if got := long.String(); len(got) > 400 {
		t.Errorf("a name of %d bytes makes a reason of %d", len(long.Name), len(got))
	}
}
