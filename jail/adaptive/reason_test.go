package adaptive

import (
	"strings"
	"testing"
)

func TestReasonOfItsOwn(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		want string
		r    reason
	}{
		{
			"count: 5.2 of 5 points in 1d, weighed as a known neighbour, offence 2, step 2",
			reason{kind: byPoints, points: 520, limit: 500, span: day, known: true, offence: 2, step: 2},
		},
		{
			`name: "ora\"cle\x1b[2J\n", on which 8 or more networks failed, 5 of 5 points in 1d, offence 7, step 2`,
			reason{kind: byName, name: "ora\"cle\x1b[2J\n", count: 8, points: 500, limit: 500, span: day, offence: 7, step: 2},
		},
		{
			"count: 2.5 of 2 points in 1d, weighed as a siege by 5 networks of an account that nobody uses, in a network where somebody was banned, offence 1, step 1",
			reason{kind: byPoints, points: 250, limit: 200, span: day, siege: 5, name: "backup", beside: true, offence: 1, step: 1},
		},
		{
			"count: 5 of 5 points in 1d, weighed as a siege by 8 or more networks without a user name, offence 1, step 1",
			reason{kind: byPoints, points: 500, limit: 500, span: day, siege: 8, offence: 1, step: 1},
		},
		{
			"network: 40.2 of 40 points in 1d by all its addresses, offence 1, step 1",
			reason{kind: byNetwork, points: 4020, limit: 4000, span: day, offence: 1, step: 1},
		},
		{
			"prefix: 3 addresses in it banned within 7d, offence 1, step 1",
			reason{kind: byPrefix, count: 3, span: 7 * day, offence: 1, step: 1},
		},
	} {
		if got := c.r.String(); got != c.want {
			t.Errorf("%+v\n got %q\nwant %q", c.r, got, c.want)
		}
	}
	long := reason{kind: byName, name: strings.Repeat("\x00", 250)}
	if got := long.String(); len(got) > 400 {
		t.Errorf("a name of %d bytes makes a reason of %d", len(long.name), len(got))
	}
}
