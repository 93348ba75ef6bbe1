package daemon_test

import (
	"errors"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"exile/internal/control"
)

// A past that another program knows counts like one of our own, also after a restart; handed over again it changes nothing, and what is known
// to be more stays.
func TestRemember(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		d := w.start()
		last := time.Now().Add(-time.Hour)
		four, six, net := netip.MustParsePrefix("192.0.2.1/32"), netip.MustParsePrefix("2001:db8::7/128"), netip.MustParsePrefix("198.51.100.0/24")
		for range 2 {
			errs, err := d.Remember(t.Context(), []control.Offender{
				{Jail: "sshd", Prefix: four, Offences: 3, Last: last},
				{Prefix: six, Offences: 2, Last: time.Now().Add(time.Hour)}, // whose clock was wrong
				{Prefix: net, Offences: 1, Last: last},
				{Jail: "none", Prefix: four, Offences: 9, Last: last},
				{Prefix: four, Offences: 1, Last: last},
			})
			if err != nil || len(errs) != 5 || !errors.Is(errs[3], control.ErrNoSuchJail) || errors.Join(errs[0], errs[1], errs[2], errs[4]) != nil {
				t.Fatal(errs, err)
			}
		}
		w.expectBanned("nobody, for what was")
		want := map[string]int{"192.0.2.1/32": 3, "2001:db8::/64": 2, "198.51.100.0/24": 1}
		if diff := cmp.Diff(want, w.pastOnDisk(d)); diff != "" {
			t.Errorf("on disk (-want +got):\n%s", diff)
		}
		d = w.start()
		defer w.end(d)
		time.Sleep(time.Second)
		w.told = nil
		w.attack("192.0.2.1", 3)
		w.expect("the fourth", "ban 192.0.2.1/32 offence 4")
	})
}
