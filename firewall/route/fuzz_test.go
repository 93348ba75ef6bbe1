package route

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"
)

func FuzzParse(f *testing.F) {
	c, _ := Config{}.withDefaults()
	for _, p := range []string{"192.0.2.1/32", "10.0.0.0/8", "2001:db8::/64"} {
		f.Add(c.appendRoute(nil, netip.MustParsePrefix(p)))
	}
	f.Add(c.rule(unix.AF_INET6))
	f.Fuzz(func(t *testing.T, m []byte) {
		p, ours, err := c.parseRoute(m)
		if ours && (err != nil || !p.IsValid()) {
			t.Errorf("parseRoute says that %v is ours and %v", p, err)
		}
		if ours, err := c.isRule(m); ours && err != nil {
			t.Errorf("isRule says that it is ours and %v", err)
		}
	})
}

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	c, _ := Config{}.withDefaults()
	for _, s := range []string{"192.0.2.1/32", "10.0.0.0/8", "2001:db8::/64", "2001:db8::1/128", "128.0.0.0/1"} {
		want := netip.MustParsePrefix(s)
		if got, ours, err := c.parseRoute(c.appendRoute(nil, want)); got != want || !ours || err != nil {
			t.Errorf("parseRoute(appendRoute(%v)) = %v, %v, %v", want, got, ours, err)
		}
	}
	if ours, err := c.isRule(c.rule(unix.AF_INET)); !ours || err != nil {
		t.Errorf("isRule(rule()) = %v, %v", ours, err)
	}
	other := Config{Table: 9, Protocol: 9, Priority: 9}
	if ours, err := other.isRule(c.rule(unix.AF_INET)); ours || err != nil {
		t.Errorf("isRule of another's rule = %v, %v", ours, err)
	}
}

// TestBrokenMessages feeds what a kernel does not send.
func TestBrokenMessages(t *testing.T) {
	t.Parallel()
	c, _ := Config{}.withDefaults()
	good := c.appendRoute(nil, netip.MustParsePrefix("192.0.2.1/32"))
	for n := range len(good) {
		if _, ours, _ := c.parseRoute(good[:n]); ours {
			t.Errorf("parseRoute of the first %d of %d bytes succeeds", n, len(good))
		}
	}
	wide := append([]byte(nil), good...)
	wide[1] = 33
	loop := append([]byte(nil), good...)
	binary.NativeEndian.PutUint16(loop[unix.SizeofRtMsg:], 0) // an attribute of no length
	for _, m := range [][]byte{wide, loop} {
		if _, ours, err := c.parseRoute(m); ours || err == nil {
			t.Errorf("parseRoute(%x) = %v, %v", m, ours, err)
		}
	}
}
