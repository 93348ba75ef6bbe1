package exile1

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"exile/internal/control"
)

func TestParsePrefix(t *testing.T) {
	t.Parallel()
	tests := map[string]string{
		"192.0.2.1":            "192.0.2.1",
		"192.0.2.1/24":         "192.0.2.0/24",
		"::ffff:192.0.2.1":     "192.0.2.1",
		"::ffff:192.0.2.0/120": "192.0.2.0/24",
		"2001:DB8::1/64":       "2001:db8::/64",
		"2001:db8::1":          "2001:db8::1",
		"::ffff:0:0/90":        "",
		"fe80::1%eth0":         "",
		"192.0.2.1/33":         "",
		"192.0.2.01":           "",
		"example.org":          "",
		" 192.0.2.1":           "",
		"":                     "",
	}
	for in, want := range tests {
		got := ""
		if p, err := control.ParsePrefix(in); err == nil {
			got = control.FormatPrefix(p)
		}
		if got != want {
			t.Errorf("ParsePrefix(%q) = %q, want %q", in, got, want)
		}
	}
}

func FuzzParsePrefix(f *testing.F) {
	f.Add("192.0.2.1/24")
	f.Add("::ffff:1.2.3.4/100")
	f.Fuzz(func(t *testing.T, s string) {
		p, err := control.ParsePrefix(s)
		if err != nil {
			return
		}
		again, err := control.ParsePrefix(control.FormatPrefix(p))
		if err != nil || again != p || p != p.Masked() || p.Addr().Is4In6() {
			t.Errorf("ParsePrefix(%q) = %v, written and read again %v, %v", s, p, again, err)
		}
	})
}

func TestLabel(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{"sshd": "sshd", "web-1": "web_2d1", "1a": "_31a", "": "_", "ä": "_c3_a4", "a_b": "a_5fb"} {
		if got := Label(in); got != want {
			t.Errorf("Label(%q) = %q, want %q", in, got, want)
		}
	}
}

// A permanent ban and the longest times must survive the wire.
func TestTimesSurvive(t *testing.T) {
	t.Parallel()
	for _, b := range []control.Ban{
		{Prefix: netip.MustParsePrefix("192.0.2.1/32")},
		{Prefix: netip.MustParsePrefix("192.0.2.1/32"), Since: time.Unix(1, 5000), Until: time.Date(2999, 1, 1, 0, 0, 0, 0, time.UTC)},
	} {
		got, err := ToBanRecord(b).Control()
		if err != nil || !got.Since.Equal(b.Since) || !got.Until.Equal(b.Until) {
			t.Errorf("%v became %v, %v", b, got, err)
		}
	}
	if diff := cmp.Diff([]time.Duration{-1, 0, time.Hour}, []time.Duration{
		FromDurationUSec(DurationUSec(-1)), FromDurationUSec(DurationUSec(0)), FromDurationUSec(DurationUSec(time.Hour)),
	}); diff != "" {
		t.Error(diff)
	}
}
