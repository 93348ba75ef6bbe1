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

// A long history goes in as many calls as it takes, and each refusal is matched to its offender.
func TestRemember(t *testing.T) {
	t.Parallel()
	onEachBus(t, func(t *testing.T, h *host) {
		c := h.dial(t)
		var offenders []control.Offender
		for i := range 450 {
			offenders = append(offenders, control.Offender{
				Jail: "sshd", Prefix: netip.PrefixFrom(netip.AddrFrom4([4]byte{203, 0, byte(i >> 8), byte(i)}), 32), Offences: i + 1, Last: time.Unix(int64(i+1), 0),
			})
		}
		offenders[300].Jail = "nosuch"
		offenders[301].Offences = 0
		errs, err := c.Remember(t.Context(), offenders)
		if err != nil || len(errs) != len(offenders) {
			t.Fatalf("%d answers, %v", len(errs), err)
		}
		for i, err := range errs {
			if want := map[int]error{300: control.ErrNoSuchJail, 301: control.ErrInvalid}[i]; !errors.Is(err, want) {
				t.Errorf("offender %d: %v, want %v", i, err, want)
			}
		}
		asked := h.fake.Commands()
		for i, want := range map[int]string{0: "remember sshd 203.0.0.0/32 1 1970-01-01T00:00:01Z", 448: "remember sshd 203.0.1.193/32 450 1970-01-01T00:07:30Z"} {
			if asked[i] != want {
				t.Errorf("the daemon was asked %q, want %q", asked[i], want)
			}
		}
	})
}
