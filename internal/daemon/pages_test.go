package daemon_test

import (
	"net/netip"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"exile/internal/control"
	"exile/internal/daemon"
)

// Pages are read away from the loop while bans come and go: each is whole.
func TestPagesWhileBansChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		d := w.start()
		defer w.end(d)
		many := func(third byte) (out []control.BanRequest) {
			for i := range 100 {
				out = append(out, control.BanRequest{Prefix: netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 0, third, byte(i)}), 32)})
			}
			return out
		}
		if _, err := d.BanMany(t.Context(), many(2)); err != nil {
			t.Fatal(err)
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			for range 50 {
				bans, _, err := d.Bans(t.Context(), control.Page{Max: 10_000})
				sorted := slices.IsSortedFunc(bans, func(a, b control.Ban) int { return a.Prefix.Compare(b.Prefix) })
				if err != nil || !sorted || len(bans) != 100 && len(bans) != 200 {
					t.Errorf("page of %d bans, sorted: %t, %v", len(bans), sorted, err)
				}
			}
		}()
		for range 50 {
			_, err := d.BanMany(t.Context(), many(3))
			if n, wrong := d.Unban(t.Context(), "", netip.MustParsePrefix("192.0.3.0/24")); n != 100 || err != nil || wrong != nil {
				t.Errorf("%d bans lifted, %v, %v", n, err, wrong)
			}
		}
		<-done
	})
}

func TestPagesCoverEveryBanOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.jails = func() []*daemon.Jail { return []*daemon.Jail{w.jail("a", nil), w.jail("b", nil)} }
		d := w.start()
		defer w.end(d)
		var want []string
		for _, name := range []string{"a", "b"} {
			for i := range 25 {
				p := netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}), 32)
				if _, err := d.Ban(t.Context(), control.BanRequest{Jail: name, Prefix: p}); err != nil {
					t.Fatal(err)
				}
				want = append(want, name+" "+p.String())
			}
		}
		var got []string
		for page := (control.Page{Max: 10}); ; {
			bans, next, err := d.Bans(t.Context(), page)
			if err != nil {
				t.Fatal(err)
			}
			for _, b := range bans {
				got = append(got, b.Jail+" "+b.Prefix.String())
			}
			if next == "" {
				break
			}
			page.After = next
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("bans (-want +got)\n%s", diff)
		}
		if got := len(w.kernel.Bans()); got != 25 {
			t.Errorf("the kernel holds %d prefixes, want 25: both jails ban the same", got)
		}
		if n, err := d.Unban(t.Context(), "a", netip.Prefix{}); n != 25 || err != nil {
			t.Errorf("Unban of jail a: %d, %v; want 25, nil", n, err)
		}
		if got := len(w.kernel.Bans()); got != 25 {
			t.Errorf("the kernel holds %d prefixes, want 25: jail b still bans them", got)
		}
		if matches, _ := filepath.Glob(filepath.Join(w.dir, "*")); len(matches) != 1 {
			t.Errorf("state directory holds %v, want one file", matches)
		}
	})
}
