package dbusapi_test

import (
	"net/netip"
	"testing"
	"time"

	"exile/internal/control"
)

const many = 100_000

// manyBans is a host with 100,000 bans.
func manyBans(t testing.TB) []control.Ban {
	t.Helper()
	bans := make([]control.Ban, many)
	for i := range bans {
		a := netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
		bans[i] = control.Ban{
			Jail: "sshd", Prefix: netip.PrefixFrom(a, 32), Since: day(9), Until: day(13), Failures: 6, Offence: 2,
			Origin: control.OriginJournal, Reason: "6 failures within 10min",
		}
	}
	return bans
}

// A hundred thousand bans come whole, in pages and in a file, and the service does not keep them.
func TestManyBans(t *testing.T) {
	t.Parallel()
	onEachBus(t, func(t *testing.T, h *host) {
		h.fake.Set(control.Status{}, []control.JailStatus{{Name: "sshd"}}, manyBans(t), nil)
		c := h.dial(t)
		page := control.Page{Max: 10_000}
		n, begin := 0, time.Now()
		for {
			bans, next, err := c.Bans(t.Context(), page)
			if err != nil {
				t.Fatal(err)
			}
			n += len(bans)
			if next == "" {
				break
			}
			page.After = next
		}
		t.Logf("pages: %v", time.Since(begin))
		begin = time.Now()
		fromFile := 0
		err := c.EachBan(t.Context(), "", func(b control.Ban) error {
			fromFile++
			if b.Reason == "" {
				t.Errorf("ban %v lost its reason", b)
			}
			return nil
		})
		t.Logf("file: %v", time.Since(begin))
		if err != nil || n != many || fromFile != many {
			t.Errorf("%d bans in pages, %d in the file, %v", n, fromFile, err)
		}
	})
}
