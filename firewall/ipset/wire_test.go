package ipset

import (
	"bytes"
	"math"
	"net/netip"
	"testing"
	"time"

	"exile/firewall"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func TestTimeout(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		until time.Time
		want  uint32
	}{
		{time.Time{}, 0},
		{now.Add(-time.Hour), 1},
		{now, 1},
		{now.Add(time.Nanosecond), 1},
		{now.Add(time.Second), 1},
		{now.Add(time.Second + 1), 2},
		{now.Add(2147483 * time.Second), 2147483},
		{now.Add(2147484 * time.Second), 2147483},
		{now.Add(math.MaxInt64), 2147483},
		{now.AddDate(5000, 0, 0), 2147483},
	} {
		if got := timeout(c.until, now); got != c.want {
			t.Errorf("timeout until %v = %d, want %d", c.until, got, c.want)
		}
	}
}

func TestElementRoundTrip(t *testing.T) {
	t.Parallel()
	for _, ban := range []firewall.Ban{
		{Key: firewall.Key{Prefix: netip.MustParsePrefix("192.0.2.1/32")}},
		{Key: firewall.Key{Prefix: netip.MustParsePrefix("192.0.2.0/24")}, Until: now.Add(time.Minute)},
		{Key: firewall.Key{Prefix: netip.MustParsePrefix("2001:db8::/64")}, Until: now.Add(time.Minute)},
		{Key: firewall.Key{Prefix: netip.MustParsePrefix("2001:db8::1/128"), Port: firewall.Port{Proto: 17, Number: 53}}},
	} {
		seconds := timeout(ban.Until, now)
		got, ok, err := parseElement(attr(appendElement(nil, ban.Key, &seconds), attrData), now)
		if err != nil || !ok || got != ban {
			t.Errorf("parsed %v, %t, %v; want %v", got, ok, err, ban)
		}
	}
}

func TestExceptionIsNoBan(t *testing.T) {
	t.Parallel()
	b := appendElement(nil, firewall.Key{Prefix: netip.MustParsePrefix("192.0.2.1/32")}, nil)
	b = appendUint32(attr(b, attrData), attrCADTFlags, flagNoMatch)
	if ban, ok, err := parseElement(b, now); ok || err != nil {
		t.Errorf("parsed %v, %t, %v; want no ban", ban, ok, err)
	}
}

// FuzzParseElement feeds answers that no kernel would give: whatever is read as a ban is one that can be made again.
func FuzzParseElement(f *testing.F) {
	seconds := uint32(600)
	for _, p := range []string{"192.0.2.1/32", "2001:db8::/64"} {
		key := firewall.Key{Prefix: netip.MustParsePrefix(p), Port: firewall.Port{Proto: 6, Number: 22}}
		whole := attr(appendElement(nil, key, &seconds), attrData)
		f.Add(whole)
		f.Add(whole[:len(whole)/2])
	}
	f.Add([]byte{})
	f.Add(bytes.Repeat([]byte{4, 0, 1, 0x80}, 8))
	f.Fuzz(func(t *testing.T, b []byte) {
		ban, ok, err := parseElement(b, now)
		if ok && (err != nil || !ban.Prefix.IsValid()) {
			t.Errorf("read %v, %v", ban, err)
		}
		_ = attr(b, attrADT)
		_ = cString(b)
		_ = number(b)
	})
}
