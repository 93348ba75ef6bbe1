package jail

import (
	"errors"
	"testing"
)

func TestParseIgnore(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"192.0.2.1":                 "192.0.2.1/32",
		"192.0.2.1/24":              "192.0.2.0/24", // bits behind the prefix are dropped
		"127.0.0.1/8":               "127.0.0.0/8",
		"192.0.2.0/255.255.255.0":   "192.0.2.0/24",
		"192.0.2.9/255.255.255.255": "192.0.2.9/32",
		"10.0.0.0/255.128.0.0":      "10.0.0.0/9",
		"0.0.0.0/0.0.0.0":           "0.0.0.0/0",
		"2001:DB8::1":               "2001:db8::1/128",
		"2001:db8::1/32":            "2001:db8::/32",
		"::ffff:192.0.2.1":          "192.0.2.1/32",
		"::ffff:192.0.2.1/120":      "192.0.2.0/24",
		"file:/etc/exile/friends":   "file:/etc/exile/friends",
		"file:/etc/../etc//friends": "file:/etc/friends",
		"Office.Example.Org.":       "office.example.org",
		"localhost":                 "localhost",
		"a-b_c.x9":                  "a-b_c.x9",
		"1.2.3.4.example":           "1.2.3.4.example",
	} {
		g, err := ParseIgnore(text)
		if err != nil || g.String() != want {
			t.Errorf("%q: %v, %v; want %q", text, g, err, want)
			continue
		}
		if again, err := ParseIgnore(g.String()); err != nil || again != g {
			t.Errorf("%q prints as %q, which is read as %v, %v", text, g, again, err)
		}
	}
	for _, text := range []string{
		"", "192.0.2.256", "192.0.2", "192.0.2.1/33", "192.0.2.1/-1", "192.0.2.1/", "192.0.2.1/255.0.255.0",
		"192.0.2.1/0.0.0.255", "2001:db8::/129", "2001:db8::/255.255.0.0", "fe80::1%eth0", "::ffff:192.0.2.1/64", "2001:db8:::1",
		"file:friends", "file:", "-x.example", "x..y", "x y", "x/y", "host\x00", "é.example",
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.example", // a label of 64
	} {
		if g, err := ParseIgnore(text); !errors.Is(err, ErrIgnore) {
			t.Errorf("%q: %+v, %v; want an error", text, g, err)
		}
	}
}

func FuzzParseIgnore(f *testing.F) {
	f.Add("192.0.2.0/255.255.255.0")
	f.Add("::ffff:192.0.2.1/120")
	f.Fuzz(func(t *testing.T, text string) {
		g, err := ParseIgnore(text)
		if err != nil {
			return
		}
		if again, err := ParseIgnore(g.String()); err != nil || again != g {
			t.Errorf("%q prints as %q, which is read as %v, %v", text, g, again, err)
		}
		if g.Prefix.IsValid() && (g.Prefix != g.Prefix.Masked() || g.Prefix.Addr().Is4In6()) {
			t.Errorf("%q: %v", text, g.Prefix)
		}
	})
}
