package allow

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"
)

// The examples of RFC 6052, 2.4.
func TestEmbedded(t *testing.T) {
	t.Parallel()
	for addr, prefix := range map[string]string{
		"2001:db8:c000:221::":          "2001:db8::/32",
		"2001:db8:1c0:2:21::":          "2001:db8:100::/40",
		"2001:db8:122:c000:2:2100::":   "2001:db8:122::/48",
		"2001:db8:122:3c0:0:221::":     "2001:db8:122:300::/56",
		"2001:db8:122:344:c0:2:2100::": "2001:db8:122:344::/64",
		"2001:db8:122:344::192.0.2.33": "2001:db8:122:344::/96",
		"64:ff9b::192.0.2.33":          "64:ff9b::/96",
	} {
		p := netip.MustParsePrefix(prefix)
		got, v4 := embedded(netip.MustParseAddr(addr), p.Bits())
		if got != p || v4 != netip.MustParseAddr("192.0.2.33") {
			t.Errorf("%s: %v behind %v, want %v", addr, v4, got, p)
		}
	}
	for addr, bits := range map[string]int{
		"2001:db8:c000:221::1":         32, // something behind it
		"2001:db8:122:344:ff00::21":    96, // bits 64 to 71
		"2001:db8:122:c000:102:2100::": 48,
		"192.0.2.33":                   32,
	} {
		if p, v4 := embedded(netip.MustParseAddr(addr), bits); v4.IsValid() {
			t.Errorf("%s: %v behind %v", addr, v4, p)
		}
	}
}

// answering answers with these addresses, in turn; a text that is none is an error.
type answering struct{ answers [][]string }

func (r *answering) Resolve(_ context.Context, host string) (addrs []netip.Addr, ttl time.Duration, err error) {
	if host != "ipv4only.arpa" {
		return nil, 0, fmt.Errorf("asked for %q", host)
	}
	answer := r.answers[0]
	if len(r.answers) > 1 {
		r.answers = r.answers[1:]
	}
	for _, text := range answer {
		a, err := netip.ParseAddr(text)
		if err != nil {
			return nil, 0, errors.New(text)
		}
		addrs = append(addrs, a)
	}
	return addrs, time.Minute, nil
}

func TestTranslators(t *testing.T) {
	t.Parallel()
	plain := []string{"192.0.0.170", "192.0.0.171"}
	for name, c := range map[string]struct {
		answer []string
		want   string
	}{
		"no DNS64":             {plain, "[]"},
		"nothing":              {nil, "[]"},
		"the well-known":       {append(plain, "64:ff9b::192.0.0.170", "64:ff9b::192.0.0.171"), "[64:ff9b::/96]"},
		"of /96":               {[]string{"2001:db8:64::192.0.0.171", "2001:db8:64::192.0.0.170"}, "[2001:db8:64::/96]"},
		"of /32":               {[]string{"2001:db8:c000:aa::", "2001:db8:c000:ab::"}, "[2001:db8::/32]"},
		"two":                  {[]string{"2001:db8:2::c000:aa", "2001:db8:1::c000:aa", "2001:db8:1::c000:ab", "2001:db8:2::c000:ab"}, "[2001:db8:1::/96 2001:db8:2::/96]"},
		"one of both":          {[]string{"2001:db8:64::192.0.0.171"}, "[]"},
		"each behind another":  {[]string{"2001:db8:1::192.0.0.171", "2001:db8:2::192.0.0.170"}, "[]"},
		"a hotel's login page": {[]string{"2001:db8::1", "192.0.2.1"}, "[]"},
	} {
		got, err := Translators(t.Context(), &answering{[][]string{c.answer}})
		if err != nil || fmt.Sprint(got) != c.want {
			t.Errorf("%s: %v, error %v, want %s", name, got, err, c.want)
		}
	}
	var many []string
	for i := range 100 {
		many = append(many, fmt.Sprintf("2001:db8:%x::c000:aa", i), fmt.Sprintf("2001:db8:%x::c000:ab", i))
	}
	if got, err := Translators(t.Context(), &answering{[][]string{many}}); err != nil || len(got) != maxTranslators {
		t.Errorf("of many: %d, error %v", len(got), err)
	}
	if _, err := Translators(t.Context(), &answering{[][]string{{"nobody answers"}}}); err == nil {
		t.Error("nobody answered, and there is no error")
	}
}

// An hour later the answer is another one; in between nobody answered, for a minute.
func TestFollowTranslators(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := &answering{[][]string{
			{"2001:db8:1::192.0.0.170", "2001:db8:1::192.0.0.171"},
			{"nobody answers"},
			{"2001:db8:2::192.0.0.170", "2001:db8:2::192.0.0.171"},
		}}
		ctx, cancel := context.WithTimeout(t.Context(), translatorsAge+retryAfter+time.Second)
		defer cancel()
		var got []string
		began := time.Now()
		FollowTranslators(ctx, r, func(p []netip.Prefix) { got = append(got, fmt.Sprint(time.Since(began), p)) })
		if want := "[0s [2001:db8:1::/96] 1h1m0s [2001:db8:2::/96]]"; fmt.Sprint(got) != want {
			t.Errorf("told %v, want %s", got, want)
		}
	})
}
