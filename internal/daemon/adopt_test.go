package daemon_test

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"exile/firewall"
	"exile/firewall/firewalltest"
	"exile/internal/control"
	"exile/internal/daemon"
)

// endless is a kernel that has another ban at the first look, without knowing its end.
type endless struct {
	*firewalltest.Fake
	more firewall.Ban
}

func (e *endless) List(ctx context.Context) ([]firewall.Ban, error) {
	bans, err := e.Fake.List(ctx)
	if e.more.Prefix.IsValid() {
		bans = append(bans, e.more)
	}
	e.more = firewall.Ban{}
	return bans, err
}

// A state file that was damaged while no daemon ran costs no ban: the kernel has them all, with their ends.
func TestDamagedStateIsRebuilt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		d := w.start()
		w.attack("192.0.2.1", 3)
		forEver := control.BanRequest{Prefix: netip.MustParsePrefix("192.0.2.2/32"), Permanent: true}
		if _, err := d.Ban(t.Context(), forEver); err != nil {
			t.Fatal(err)
		}
		w.end(d)
		w.damage()
		w.told = nil
		w.backend = &endless{w.kernel, firewall.Ban{Key: firewall.Key{Prefix: netip.MustParsePrefix("192.0.2.3/32")}, Until: time.Unix(0, 0)}}
		d = w.start()
		w.expectBanned("damaged", "192.0.2.1/32", "192.0.2.2/32", "192.0.2.3/32")
		w.expect("damaged", "degraded state-set-aside")
		w.end(d)
		d = w.start()
		defer w.end(d)
		w.expectBanned("restarted", "192.0.2.1/32", "192.0.2.2/32", "192.0.2.3/32")
		time.Sleep(2 * time.Hour)
		w.expectBanned("an hour was served, and is not served again", "192.0.2.2/32")
		w.attack("192.0.2.1", 3)
		if !slices.Contains(w.told, "ban 192.0.2.1/32 offence 1") {
			t.Errorf("told %q; want the first offence that is known of one who was found banned", w.told)
		}
	})
}

// Only the state knows what was flushed. If it is damaged afterwards, the log leads to the bans again, and the remedy says so.
func TestDamagedStateAfterFlush(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		d := w.start()
		w.attack("192.0.2.1", 3)
		if n, err := d.Unban(t.Context(), "", netip.Prefix{}); n != 1 || err != nil {
			t.Fatal(n, err)
		}
		w.expectBanned("flushed")
		w.end(d)
		w.damage()
		d = w.start()
		defer w.end(d)
		w.expectBanned("made again", "192.0.2.1/32")
		s, err := d.Status(t.Context())
		if err != nil || !slices.Equal(s.Degraded, []string{"state-set-aside"}) ||
			!strings.Contains(s.Remedies[0], "others made again from the log: bans that had been lifted may be back, lift them again") {
			t.Errorf("degraded by %q, remedy %q, %v", s.Degraded, s.Remedies, err)
		}
		if a, err := d.Address(t.Context(), netip.MustParsePrefix("192.0.2.1/32")); err != nil || strings.Contains(a.Bans[0].Reason, "kernel") {
			t.Errorf("the ban says %+v, %v", a.Bans, err)
		}
	})
}

// A ban that is lost in the state and in the kernel is made again from the log, however old it is: reading a log because the state was lost is
// not a first look.
func TestDamagedStateMakesOldBansAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.jails = func() []*daemon.Jail {
			j := w.jail("sshd", nil)
			j.LookBack, j.Length = 24*time.Hour, func(int, netip.Prefix) time.Duration { return 24 * time.Hour }
			return []*daemon.Jail{j}
		}
		d := w.start()
		w.attack("192.0.2.1", 3)
		w.end(d)
		w.damage()
		w.kernel = firewalltest.NewFake() // the host was booted
		time.Sleep(time.Hour)
		d = w.start()
		defer w.end(d)
		w.expectBanned("an hour later", "192.0.2.1/32")
		w.expectNotice("an hour later", "")
	})
}

// An address that a new configuration protects, or a host name with a new address, is unbanned: at a start, at a reload, and within a minute
// otherwise. A ban by hand stays.
func TestProtectedAreReleased(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		var allowed allowList
		w.jails = func() []*daemon.Jail { return []*daemon.Jail{w.jail("sshd", allowed)} }
		d := w.start()
		w.attack("192.0.2.1", 3)
		w.attack("192.0.2.2", 3)
		byHand := netip.MustParsePrefix("192.0.2.3/32")
		if _, err := d.Ban(t.Context(), control.BanRequest{Prefix: byHand, Duration: 24 * time.Hour}); err != nil {
			t.Fatal(err)
		}
		allowed = allowList{netip.MustParsePrefix("192.0.2.1/32"), byHand}
		if err := d.Reload(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.expectBanned("reloaded", "192.0.2.2/32", "192.0.2.3/32")
		w.end(d)
		allowed = append(allowed, netip.MustParsePrefix("192.0.2.2/32"))
		d = w.start()
		w.expectBanned("restarted", "192.0.2.3/32")
		allowed = make(allowList, 1) // the jail of this plan has the same memory
		if err := d.Reload(t.Context()); err != nil {
			t.Fatal(err)
		}
		defer w.end(d)
		w.attack("192.0.2.4", 3)
		w.expectBanned("nobody is protected", "192.0.2.3/32", "192.0.2.4/32")
		allowed[0] = netip.MustParsePrefix("192.0.2.4/32")
		w.hand()
		time.Sleep(time.Minute)
		w.expectBanned("a name has another address", "192.0.2.3/32")
	})
}
