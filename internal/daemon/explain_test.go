package daemon_test

import (
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"exile/internal/control"
	"exile/internal/daemon"
)

// An address stands with each jail as the attempts, the bans and the kernel are, and a network has what is in it.
func TestStanding(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.jails = func() []*daemon.Jail {
			dry := w.jail("dry", nil)
			dry.Simulate, dry.Info.State = true, control.Simulating
			return []*daemon.Jail{w.jail("sshd", nil), dry}
		}
		d := w.start()
		defer w.end(d)
		w.attack("192.0.2.1", 3)
		w.attack("192.0.2.2", 2)
		ask := func(text string) control.Address {
			t.Helper()
			a, err := d.Address(t.Context(), netip.MustParsePrefix(text))
			if err != nil {
				t.Fatal(err)
			}
			return a
		}
		failing := ask("192.0.2.2/32")
		if s := failing.Jails[0]; s.Failures != 2 || s.First.IsZero() || !s.Lapse.After(s.Last) || s.Offences != 0 || s.Next <= 0 || !s.Cleared.IsZero() {
			t.Errorf("failing: %+v", s)
		}
		banned := ask("192.0.2.1/32")
		if s := banned.Jails[0]; s.Failures != 0 || s.Offences != 1 || s.Cleared.IsZero() || s.Next < failing.Jails[0].Next {
			t.Errorf("banned: %+v", s)
		}
		if s := banned.Jails[1]; s.Jail != "dry" || s.State != control.Simulating {
			t.Errorf("simulated: %+v", s)
		}
		for text, want := range map[string]int{"192.0.2.1/32": 1, "192.0.2.2/32": 0, "192.0.2.0/24": 0} {
			held, err := d.Held(t.Context(), netip.MustParsePrefix(text))
			if err != nil || len(held) != want {
				t.Errorf("the kernel holds %v of %s, %v; want %d", held, text, err, want)
			}
			if want == 1 && (held[0].Prefix.String() != text || held[0].Port != "everything" || !held[0].Counts || held[0].Bytes != 60 || time.Until(held[0].Until) <= 0) {
				t.Errorf("the kernel holds %+v", held[0])
			}
		}
		network := ask("192.0.2.0/24")
		if network.Banned || network.NWithin != 2 || len(network.Within) != 2 || network.Within[0].Prefix != banned.Prefix || network.NFailing != len(network.Failing) ||
			network.NFailing == 0 || network.Failing[0].Prefix != failing.Prefix {
			t.Errorf("network: %+v", network)
		}
		if err := d.Pause(t.Context(), time.Hour); err != nil {
			t.Fatal(err)
		}
		if held, err := d.Held(t.Context(), banned.Prefix); err != nil || len(held) != 0 {
			t.Errorf("while banning is paused the kernel holds %v, %v", held, err)
		}
	})
}

// A network with very many bans is answered with a page of them: nobody who asks holds up a ban.
func TestCrowdedNetwork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		d := w.start()
		defer w.end(d)
		for i := range control.MostCounted + 5 {
			p := netip.PrefixFrom(netip.AddrFrom4([4]byte{198, 51, byte(i >> 8), byte(i)}), 32)
			if _, err := d.Ban(t.Context(), control.BanRequest{Prefix: p, Jail: "sshd", Duration: time.Hour}); err != nil {
				t.Fatal(err)
			}
		}
		a, err := d.Address(t.Context(), netip.MustParsePrefix("198.51.0.0/16"))
		if err != nil || a.NWithin != control.MostCounted || len(a.Within) != control.MaxWithin {
			t.Errorf("%d bans, %d of them listed, %v", a.NWithin, len(a.Within), err)
		}
	})
}
