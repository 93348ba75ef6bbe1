package jail

import (
	"testing"
	"time"
)

// word is a reason of a detector of its own.
type word string

func (w word) String() string { return string(w) }

func TestReason(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		want string
		r    Reason
	}{
		{"", Reason{}},
		{"failed logins: 4 within 10min", Reason{Kind: ByFailures, Count: 4, Span: 10 * time.Minute}},
		{"recidive: 3 bans within 1d", Reason{Kind: ByBans, Count: 3, Span: 24 * time.Hour}},
		{
			"session: 12 failed logins for names that have no session from there, within 1h",
			Reason{Kind: BySession, Count: 12, Span: time.Hour},
		},
		{
			"prefix: full; only the address, because around it is: ignoreip",
			Reason{Own: word("prefix: full"), Around: "ignoreip"},
		},
	} {
		if got := c.r.String(); got != c.want {
			t.Errorf("%+v\n got %q\nwant %q", c.r, got, c.want)
		}
	}
}
