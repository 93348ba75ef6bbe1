package jail

import (
	"maps"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestRecidivists(t *testing.T) {
	t.Parallel()
	r := NewRecidivists(Recidive{Enabled: true, MaxRetry: 3, FindTime: 24 * time.Hour, BanTime: 7 * 24 * time.Hour}, nil)
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

// What is counted is not lost between two rules, and bans at once whom a stricter rule has seen often enough; who was
// banned longest ago is forgotten first.
func TestRecidivistsAreRemembered(t *testing.T) {
	t.Parallel()
	rule := Recidive{Enabled: true, MaxRetry: 4, FindTime: 24 * time.Hour, BanTime: time.Hour}
	at := func(hours int) time.Time {
		return time.Unix(1_700_000_000, 0).Add(time.Duration(hours) * time.Hour).UTC()
	}
	a, b := netip.MustParsePrefix("192.0.2.1/32"), netip.MustParsePrefix("2001:db8::/64")
	first := NewRecidivists(rule, nil)
	for _, hours := range []int{0, 1, 2} {
		first.Observe(a, at(hours))
	}
	first.Observe(netip.MustParsePrefix("2001:db8::/56"), at(3)) // counts for its first /64
	want := map[netip.Prefix][]time.Time{a: {at(0), at(1), at(2)}, b: {at(3)}}
	compare := cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })
	if diff := cmp.Diff(want, maps.Collect(first.All()), compare); diff != "" {
		t.Fatalf("counted (-want +got)\n%s", diff)
	}
	for _, tt := range []struct {
		maxRetry, hours int
		want            bool
	}{
		{4, 20, true},   // the fourth within a day
		{4, 25, false},  // the first is more than a day ago
		{2, 20, true},   // enough and more
		{5, 20, false},  // too few
		{1, 20, true},   // whatever was before
		{4, 100, false}, // all long ago
	} {
		next := rule
		next.MaxRetry = tt.maxRetry
		r := NewRecidivists(next, nil)
		r.Remind(maps.Collect(first.All()))
		if v, got := r.Observe(a, at(tt.hours)); got != tt.want || got && v.Failures != tt.maxRetry {
			t.Errorf("maxretry %d, after %d h: %v, %d bans; want %v", tt.maxRetry, tt.hours, got, v.Failures, tt.want)
		}
		if unit, times := r.Counted(a); unit != a || tt.want && times != nil {
			t.Errorf("maxretry %d, after %d h: %v of %s count", tt.maxRetry, tt.hours, times, unit)
		}
	}
	many := map[netip.Prefix][]time.Time{}
	for i := range maxRecidivists + 10 {
		addr := netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
		many[netip.PrefixFrom(addr, 32)] = []time.Time{at(i)}
	}
	r := NewRecidivists(rule, nil)
	r.Remind(many)
	if _, times := r.Counted(netip.MustParsePrefix("10.0.0.9/32")); times != nil {
		t.Error("more are remembered than there is room for")
	}
	if _, times := r.Counted(netip.MustParsePrefix("10.0.0.10/32")); len(times) != 1 {
		t.Error("who was banned lately was forgotten")
	}
}
