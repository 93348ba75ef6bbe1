package daemon_test

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"exile/internal/daemon"
	"exile/jail"
)

// because is an allow list with one address, and why that is never banned.
type because struct {
	addr netip.Addr
	why  string
}

func (b because) Allowed(a netip.Addr, _ time.Time) (string, bool) { return b.why, a == b.addr }

// TestProxied: a service in a container that logs the bridge's address for everybody is told of, and the bridge is not banned.
func TestProxied(t *testing.T) {
	for name, c := range map[string]struct {
		why       string
		contained bool
		want      bool
	}{
		"the bridge":             {jail.OwnAddress, true, true},
		"the gateway":            {jail.Gateway, true, true},
		"rootless":               {jail.EngineNetwork, true, true},
		"somebody of ignoreip":   {"ignoreip 172.17.0.1", true, false},
		"a service of this host": {jail.OwnAddress, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.jails = func() []*daemon.Jail {
					j := w.jail("sshd", nil)
					j.Jail.Jail = w.detection("sshd", because{netip.MustParseAddr("172.17.0.1"), c.why}, 3, nil)
					j.Contained = c.contained
					return []*daemon.Jail{j}
				}
				d := w.start()
				defer w.end(d)
				w.attack("172.17.0.1", 3)
				w.attack("192.0.2.1", 3)
				w.expectBanned("the bridge and another", "192.0.2.1/32")
				s, err := d.Status(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				i := slices.Index(s.Degraded, "clients-hidden:sshd")
				if (i >= 0) != c.want || i >= 0 && !strings.Contains(s.Remedies[i], "logs 172.17.0.1 ("+c.why+") in place of") {
					t.Errorf("%q: %q", s.Degraded, s.Remedies)
				}
				if p := s.Public(); i >= 0 && strings.Contains(strings.Join(p.Remedies, ""), "172.17.0.1") {
					t.Errorf("everybody sees the address: %q", p.Remedies)
				}
				w.pass(11 * time.Minute)
				if s, err := d.Status(t.Context()); err != nil || slices.Contains(s.Degraded, "clients-hidden:sshd") {
					t.Errorf("later: %v, %q", err, s.Degraded)
				}
			})
		})
	}
}
