package jail

import (
	"net/netip"
	"testing"
	"time"
)

func TestRecidivists(t *testing.T) {
	t.Parallel()
	r := NewRecidivists(Recidive{Enabled: true, MaxRetry: 3, FindTime: 24 * time.Hour, BanTime: 7 * 24 * time.Hour})
	start := time.Unix(1_700_000_000, 0)
	a, b := netip.MustParsePrefix("192.0.2.1/32"), netip.MustParsePrefix("2001:db8::/64")
	for _, step := range []struct {
		p     netip.Prefix
		hours int
		want  bool
	}{
		{a, 0, false},
		{a, 1, false},
		{b, 2, false},
		{a, 25, false}, // 0 h is more than a day ago: two of 1 h and 25 h
		{a, 25, true},  // 1 h is just a day ago: three
		{a, 26, false}, // and it starts over
	} {
		v, got := r.Observe(step.p, start.Add(time.Duration(step.hours)*time.Hour))
		if got != step.want {
			t.Errorf("ban of %v after %d h: %v", step.p, step.hours, got)
		}
		if got && (v.Prefix != a || v.Failures != 3 || v.Duration != 7*24*time.Hour) {
			t.Errorf("verdict %+v", v)
		}
	}
}
