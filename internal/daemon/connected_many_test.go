package daemon_test

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"exile/firewall"
	"exile/internal/control"
	"exile/internal/daemon"
)

// Old sessions with very many connections, such as those of an attacker with a cheap account, do not affect the session of somebody else. The
// status says that not all can pass.
func TestTooManyToSpare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const hosts, connections, other = 100, 70, "203.0.113.250"
		var ends []string
		var sessions []control.Session
		bans := []control.Ban{{Prefix: netip.MustParsePrefix(other + "/32"), Origin: control.OriginJournal}}
		for i := range hosts {
			addr := netip.AddrFrom4([4]byte{192, 0, 2, byte(i)})
			bans = append(bans, control.Ban{Prefix: netip.PrefixFrom(addr, 32), Origin: control.OriginJournal})
			sessions = append(sessions, control.Session{Leader: int32(1000 + i), User: "cheap", From: addr, Since: time.Now().Add(-time.Hour)})
			for port := range connections {
				ends = append(ends, fmt.Sprintf("%s:%d", addr, 2000+port))
			}
		}
		w := withConnections(t, append(ends, other+":1000")...)
		connect := w.change
		w.change = func(p *daemon.Plan) {
			connect(p)
			p.Sessions = func(context.Context) ([]control.Session, error) { return sessions, nil }
		}
		w.keepBans(bans...)
		d := w.start()
		defer w.end(d)
		w.says(10, "Accepted password for alice from "+other+" port 1000 ssh2")
		spared, err := w.kernel.Spared(t.Context())
		if err != nil || len(spared) != firewall.MaxSpared {
			t.Errorf("%d are left alone, %v; want %d", len(spared), err, firewall.MaxSpared)
		}
		if !slices.ContainsFunc(spared, func(s firewall.Spared) bool { return s.Remote.String() == other+":1000" }) {
			t.Error("the newest session is not left alone")
		}
		each := make(map[netip.Addr]int)
		for _, s := range spared {
			each[s.Remote.Addr()]++
		}
		for addr, n := range each {
			if n > 64 {
				t.Errorf("%d connections of %s are left alone", n, addr)
			}
		}
		w.hand()
		if s, err := d.Status(t.Context()); err != nil || !slices.Equal(s.Degraded, []string{"sessions-not-spared"}) {
			t.Errorf("degraded by %q, %v", s.Degraded, err)
		}
	})
}
