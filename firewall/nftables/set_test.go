package nftables

import (
	"net/netip"
	"testing"
	"time"

	"exile/firewall"
	"exile/firewall/internal/bulk"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

func TestClassNames(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		key  firewall.Key
		name string
	}{
		{firewall.Key{Prefix: netip.MustParsePrefix("192.0.2.1/32")}, "ipv4-32"},
		{firewall.Key{Prefix: netip.MustParsePrefix("10.0.0.0/8"), Port: firewall.Port{Proto: 6, Number: 22}}, "ipv4-8-port"},
		{firewall.Key{Prefix: netip.MustParsePrefix("2001:db8::/64")}, "ipv6-64"},
		{firewall.Key{Prefix: netip.MustParsePrefix("2001:db8::1/128"), Port: firewall.Port{Proto: 17}}, "ipv6-128-port"},
	} {
		c := classOf(tt.key)
		if got := c.name(); got != tt.name {
			t.Errorf("set of %v is %q, want %q", tt.key, got, tt.name)
		}
		if got, ok := parseClass(tt.name); got != c || !ok {
			t.Errorf("parseClass(%q) = %v, %t, want %v", tt.name, got, ok, c)
		}
		if got, err := c.key(c.appendKey(nil, tt.key)); got != tt.key || err != nil {
			t.Errorf("key(appendKey(%v)) = %v, %v", tt.key, got, err)
		}
	}
	for _, name := range []string{"", "ipv4-33", "ipv4-0", "ipv6-129", "ipv5-32", "ipv4-032", "ipv4-32-", "ipv4-32-ports", "ipv4-320", "theirs"} {
		if c, ok := parseClass(name); ok {
			t.Errorf("parseClass(%q) = %v", name, c)
		}
	}
}

func TestTimeout(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_700_000_000, 0)
	for _, tt := range []struct {
		end  time.Time
		want time.Duration
	}{
		{time.Time{}, 0}, // for ever
		{now.Add(time.Hour), time.Hour},
		{now.Add(time.Microsecond), time.Millisecond}, // not for ever
		{now.Add(-time.Hour), time.Millisecond},       // it ended while the transaction was made
	} {
		if got := timeout(tt.end, now); got != tt.want {
			t.Errorf("timeout(%v) = %v, want %v", tt.end, got, tt.want)
		}
	}
}

// answer is what the kernel sends about an element that has some seconds left.
func answer(c class, k firewall.Key, left ...byte) []byte {
	element := bulk.AppendAttribute(nil, unix.NFTA_SET_ELEM_KEY|unix.NLA_F_NESTED,
		bulk.AppendAttribute(nil, unix.NFTA_DATA_VALUE, c.appendKey(nil, k)...)...)
	if left != nil {
		element = bulk.AppendAttribute(element, unix.NFTA_SET_ELEM_EXPIRATION, left...)
	}
	list := bulk.AppendAttribute(nil, unix.NFTA_LIST_ELEM|unix.NLA_F_NESTED, element...)
	m := bulk.AppendAttribute([]byte{1, 0, 0, 0}, unix.NFTA_SET_ELEM_LIST_TABLE, 'e', 0)
	return bulk.AppendAttribute(m, unix.NFTA_SET_ELEM_LIST_ELEMENTS|unix.NLA_F_NESTED, list...)
}

func TestElements(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_700_000_000, 0)
	k := firewall.Key{Prefix: netip.MustParsePrefix("2001:db8::/64"), Port: firewall.Port{Proto: 6, Number: 22}}
	c := classOf(k)
	for _, tt := range []struct {
		name    string
		message []byte
		want    time.Time
		bad     bool
	}{
		{"permanent", answer(c, k), time.Time{}, false},
		{"two seconds", answer(c, k, 0, 0, 0, 0, 0, 0, 7, 0xd0), now.Add(2 * time.Second), false},
		{"longer than there is time", answer(c, k, 255, 255, 255, 255, 255, 255, 255, 255), now.Add(time.Duration(maxLeft) * time.Millisecond), false},
		{"another set's key", answer(class{bits: 32}, firewall.Key{Prefix: netip.MustParsePrefix("192.0.2.1/32")}), time.Time{}, true},
		{"no header", []byte{1, 0}, time.Time{}, true},
		{"cut short", answer(c, k)[:40], time.Time{}, true},
	} {
		got := map[firewall.Key]time.Time{}
		err := elements(tt.message, c, now, (&set{ends: got}).put)
		if (err != nil) != tt.bad {
			t.Errorf("%s: error %v", tt.name, err)
		}
		if want := (map[firewall.Key]time.Time{k: tt.want}); !tt.bad && !cmp.Equal(want[k], got[k]) {
			t.Errorf("%s: %v, want %v", tt.name, got, want)
		}
	}
}

func FuzzElements(f *testing.F) {
	k := firewall.Key{Prefix: netip.MustParsePrefix("192.0.2.1/32")}
	f.Add(answer(classOf(k), k, 0, 0, 0, 0, 0, 0, 7, 0xd0))
	f.Add([]byte{1, 0, 0, 0})
	f.Fuzz(func(t *testing.T, m []byte) {
		_ = elements(m, classOf(k), time.Unix(0, 0), func(k firewall.Key, _ time.Time) error {
			if !k.Prefix.IsValid() || k.Prefix.Bits() != 32 {
				t.Errorf("element %v", k)
			}
			return nil
		})
	})
}
