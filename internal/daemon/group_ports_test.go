package daemon_test

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"exile/firewall"
	"exile/internal/control"
	"exile/internal/daemon"
	"exile/internal/state"
)

// groupPorts has the groups of all plans close these ports of TCP only; none: everything.
func (w *world) groupPorts(numbers ...uint16) {
	jails := w.jails
	w.jails = func() []*daemon.Jail {
		all := jails()
		for _, j := range all {
			j.GroupPorts = tcp(numbers...)
		}
		return all
	}
}

func tcp(numbers ...uint16) (ports []firewall.Port) {
	for _, n := range numbers {
		ports = append(ports, firewall.Port{Proto: 6, Number: n})
	}
	return ports
}

// closed is what the kernel holds, with the port where it is not everything, in order.
func (w *world) closed() []string {
	var list []string
	for _, b := range w.kernel.Bans() {
		text := b.Prefix.String()
		if b.Port != (firewall.Port{}) {
			text += fmt.Sprintf(" port %d", b.Port.Number)
		}
		list = append(list, text)
	}
	slices.Sort(list)
	return list
}

func (w *world) expectClosed(what string, want ...string) {
	w.t.Helper()
	synctest.Wait()
	if diff := cmp.Diff(want, w.closed()); diff != "" {
		w.t.Errorf("%s: the kernel holds (-want +got)\n%s", what, diff)
	}
	w.hand()
}

// attackFromGroup lets three /64 of 2001:db8::/56 guess until their bans become one.
func (w *world) attackFromGroup() {
	for i := range 3 {
		w.attack(fmt.Sprintf("2001:db8:0:%d::1", i), 3)
	}
}

// A ban of a group closes the port of the service; a ban of a single address, or by hand, closes everything. That survives a restart, also if
// only the kernel is left.
func TestGroupClosesItsPortsOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.grouped(3)
		w.groupPorts(22)
		d := w.start()
		w.attack("2001:db8:0:1::1", 3)
		w.attack("192.0.2.1", 3)
		w.expectClosed("two addresses", "192.0.2.1/32", "2001:db8:0:1::/64")
		w.attackFromGroup()
		w.expectClosed("a group", "192.0.2.1/32", "2001:db8::/56 port 22")
		w.end(d)
		d = w.start()
		w.expectClosed("restarted", "192.0.2.1/32", "2001:db8::/56 port 22")
		w.end(d)
		w.damage()
		d = w.start()
		defer w.end(d)
		w.expectClosed("taken from the kernel", "192.0.2.1/32", "2001:db8::/56 port 22")
		if a, err := d.Address(t.Context(), netip.MustParsePrefix("2001:db8:0:77::1/128")); err != nil || len(a.Bans) != 1 || a.Bans[0].Origin != control.OriginGroup {
			t.Errorf("somebody else in it: %+v, %v", a.Bans, err)
		}
	})
}

// A ban by hand closes everything, whichever ban is made first and whichever lasts longer.
func TestGroupAndBanByHand(t *testing.T) {
	group := netip.MustParsePrefix("2001:db8::/56")
	for name, length := range map[string]time.Duration{"longer": 24 * time.Hour, "shorter": time.Minute} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.grouped(3)
				w.groupPorts(22)
				d := w.start()
				defer w.end(d)
				w.attackFromGroup()
				if _, err := d.Ban(t.Context(), control.BanRequest{Prefix: group, Duration: length}); err != nil {
					t.Fatal(err)
				}
				w.expectClosed("by hand", "2001:db8::/56")
				if a, err := d.Address(t.Context(), group); err != nil || time.Until(a.Bans[0].Until) < 50*time.Minute {
					t.Errorf("left: %+v, %v", a.Bans, err)
				}
			})
		})
	}
}

// Bans of groups follow the ports of the service. That is no repair.
func TestGroupFollowsItsPorts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.grouped(3)
		w.groupPorts(22)
		change := make(chan []firewall.Port)
		w.change = func(p *daemon.Plan) {
			p.Serve = func(ctx context.Context, do func(func()) error) error {
				for {
					select {
					case ports := <-change:
						_ = do(func() { p.Jails[0].GroupPorts = ports })
					case <-ctx.Done():
						return nil
					}
				}
			}
		}
		d := w.start()
		defer w.end(d)
		w.attackFromGroup()
		w.forget()
		change <- tcp(22, 2222)
		w.expectClosed("two ports", "2001:db8::/56 port 22", "2001:db8::/56 port 2222")
		change <- nil
		w.expectClosed("everything", "2001:db8::/56")
		w.expect("afterwards")
	})
}

// The answer about an address names the network that it is banned with, what others there did, and what is closed.
func TestGroupIsExplained(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.grouped(3)
		w.groupPorts(22)
		d := w.start()
		defer w.end(d)
		w.attack("2001:db8:0:9::1", 1)
		w.attackFromGroup()
		a, err := d.Address(t.Context(), netip.MustParsePrefix("2001:db8:0:77::1/128"))
		const want = "2001:db8::/56 is banned as a group, from port 22/tcp: 3 in it were banned before, 1 more failed; nothing is known of others in it"
		if err != nil || !slices.Contains(a.Detail, want) {
			t.Errorf("%q, %v; want %q", a.Detail, err, want)
		}
		w.groupPorts()
		if err := d.Reload(t.Context()); err != nil {
			t.Fatal(err)
		}
		a, err = d.Address(t.Context(), netip.MustParsePrefix("2001:db8:0:77::1/128"))
		if err != nil || !strings.Contains(strings.Join(a.Detail, "\n"), "as a group, from everything: 3 in it") {
			t.Errorf("%q, %v", a.Detail, err)
		}
	})
}

// damage damages the state file.
func (w *world) damage() {
	w.t.Helper()
	if err := os.WriteFile(filepath.Join(w.dir, state.FileName), []byte("no database"), 0o600); err != nil {
		w.t.Fatal(err)
	}
}
