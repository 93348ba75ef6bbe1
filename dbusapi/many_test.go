package dbusapi_test

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"exile/internal/control"
)

// A long list goes in as many calls as it takes, whatever its texts, and each refusal is matched to its ban.
func TestBanMany(t *testing.T) {
	t.Parallel()
	onEachBus(t, func(t *testing.T, h *host) {
		c := h.dial(t)
		var requests []control.BanRequest
		for i := range 500 {
			requests = append(requests, control.BanRequest{
				Jail: "sshd", Prefix: netip.PrefixFrom(netip.AddrFrom4([4]byte{203, 0, byte(i >> 8), byte(i)}), 32),
				Duration: time.Hour, Reason: strings.Repeat("x", control.MaxText*(i%2)), Permanent: i%3 == 0,
			})
		}
		local := netip.MustParsePrefix("127.0.0.1/32")
		requests[250].Prefix = local
		requests[450].Jail = "nosuch"
		requests = append(requests, control.BanRequest{Jail: "web-1", Prefix: local, Force: true})
		errs, err := c.BanMany(t.Context(), requests)
		if err != nil || len(errs) != len(requests) {
			t.Fatalf("%d answers, %v", len(errs), err)
		}
		for i, err := range errs {
			if want := map[int]error{250: control.ErrProtected, 450: control.ErrNoSuchJail}[i]; !errors.Is(err, want) {
				t.Errorf("request %d: %v, want %v", i, err, want)
			}
		}
		asked := h.fake.Commands()
		for i, r := range requests {
			duration := r.Duration
			if r.Permanent {
				duration = 0
			}
			want := fmt.Sprintf("ban %s %s %s permanent=%t force=%t %q", r.Jail, r.Prefix, duration, r.Permanent, r.Force, r.Reason)
			if asked[i] != want {
				t.Fatalf("the daemon was asked\n%s\nwant\n%s", asked[i], want)
			}
		}
	})
}
