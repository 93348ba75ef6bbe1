package daemon_test

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"exile/firewall"
	"exile/firewall/firewalltest"
	"exile/internal/control"
	"exile/internal/daemon"
	"exile/journal"
)

var here = netip.MustParseAddrPort("198.51.100.1:22")

// withConnections is a world whose backend can let sessions pass, and where these far ends are connected.
func withConnections(t *testing.T, ends ...string) *world {
	t.Helper()
	w := newWorld(t)
	w.jails = func() []*daemon.Jail {
		j := w.jail("sshd", nil)
		j.SpareSessions(true)
		j.Sessions().SetAdmins([]string{"admin"})
		return []*daemon.Jail{j}
	}
	w.change = func(p *daemon.Plan) {
		p.Connections = func(_ context.Context, from []netip.Addr) (list []firewall.Spared, _ error) {
			for _, end := range ends {
				if remote := netip.MustParseAddrPort(end); slices.Contains(from, remote.Addr()) {
					list = append(list, firewall.Spared{Remote: remote, Local: local(remote)})
				}
			}
			return list, nil
		}
	}
	return w
}

func local(remote netip.AddrPort) netip.AddrPort {
	if remote.Addr().Is6() {
		return netip.MustParseAddrPort("[2001:db8:ffff::1]:22")
	}
	return here
}

// says has sshd log a line, now, as the process that serves an address.
func (w *world) says(pid int32, line string) {
	e := w.guess("192.0.2.99")
	e.PID, e.Message = pid, []byte(line)
	w.source.live <- []journal.Entry{e}
	w.pass(time.Second)
}

// spares asserts what the kernel spares: connections by their far end, addresses alone.
func (w *world) spares(what string, want ...string) {
	w.t.Helper()
	synctest.Wait()
	all, err := w.kernel.Spared(w.t.Context())
	var got []string
	for _, s := range all {
		if s.Remote.Port() == 0 {
			got = append(got, s.Remote.Addr().String())
			continue
		}
		got = append(got, s.Remote.String())
		if s.Local != local(s.Remote) {
			w.t.Errorf("%s: the end here is %v", what, s.Local)
		}
	}
	if err != nil || !slices.Equal(got, want) {
		w.t.Errorf("%s: the kernel spares %q, %v; want %q", what, got, err, want)
	}
	w.hand()
}

// Guesses for other names beside a session are banned, longer each time, and the session stays connected until it ends, through a flush by
// another program and a restart.
func TestBannedBesideASession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := withConnections(t, "192.0.2.1:1000", "192.0.2.1:4000")
		d := w.start()
		w.says(10, "Accepted password for alice from 192.0.2.1 port 1000 ssh2")
		w.attack("192.0.2.1", 8)
		w.expect("eight guesses", `protected live session of "alice"`, `protected live session of "alice"`)
		w.spares("before the ban")
		w.attack("192.0.2.1", 1)
		w.expect("nine", `protected live session of "alice"`, "ban 192.0.2.1/32 offence 1")
		w.expectBanned("nine", "192.0.2.1/32")
		w.spares("nine", "192.0.2.1:1000")

		w.kernel.Flush()
		w.expect("flushed", "repaired 1")
		w.spares("flushed", "192.0.2.1:1000")
		w.end(d)
		d = w.start()
		w.spares("restarted", "192.0.2.1:1000")
		if err := d.Reload(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.spares("reloaded", "192.0.2.1:1000")
		time.Sleep(10 * time.Minute)
		w.spares("after the ban")
		w.forget()
		w.attack("192.0.2.1", 9)
		if got := w.told[len(w.told)-1]; got != "ban 192.0.2.1/32 offence 2" {
			t.Errorf("again: %s", got)
		}
		w.says(10, "Disconnected from user alice 192.0.2.1 port 1000")
		w.spares("logged out")
		w.expectBanned("logged out", "192.0.2.1/32")
		time.Sleep(58 * time.Minute)
		w.expectBanned("an hour", "192.0.2.1/32")
		time.Sleep(2 * time.Minute)
		w.expectBanned("over")
		w.end(d)
	})
}

// The ban of a network for what strangers did lets the address of a session pass, until guesses come from there.
func TestBanAroundASession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := withConnections(t, "[2001:db8::a]:1000", "[2001:db8::b]:1000")
		d := w.start()
		defer w.end(d)
		w.says(10, "Accepted password for alice from 2001:db8::a port 1000 ssh2")
		w.attack("2001:db8::bad", 3)
		w.expectBanned("a neighbour", "2001:db8::/64")
		w.spares("a neighbour", "2001:db8::a")
		w.says(11, "Accepted password for admin from 2001:db8::b port 1000 ssh2")
		w.spares("an administrator", "2001:db8::a", "2001:db8::b")
		w.forget()
		w.attack("2001:db8::a", 9)
		if got := w.told[len(w.told)-1]; got != "ban 2001:db8::/64 offence 2" {
			t.Errorf("guesses beside the session: %s", got)
		}
		w.spares("guesses beside the session", "[2001:db8::a]:1000", "2001:db8::b")
		a, err := d.Address(t.Context(), netip.MustParsePrefix("2001:db8::a/128"))
		want := []string{
			`session: of "alice" since 2000-01-01T00:00:00Z; excuses guesses for that name`,
			"session: guesses for other names: 0 of 9 within 10min",
			"session: a ban leaves its connection open",
		}
		if err != nil || !slices.Equal(a.Detail, want) || a.Protected != "" {
			t.Errorf("explained: %q, protected %q, %v; want %q", a.Detail, a.Protected, err, want)
		}
	})
}

// A ban by hand is refused if it hits an open session; with force it spares no session.
func TestBanByHandSparesNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := withConnections(t, "192.0.2.1:1000")
		d := w.start()
		defer w.end(d)
		w.says(10, "Accepted password for alice from 192.0.2.1 port 1000 ssh2")
		r := control.BanRequest{Prefix: netip.MustParsePrefix("192.0.2.0/24")}
		if _, err := d.Ban(t.Context(), r); !errors.Is(err, control.ErrProtected) {
			t.Errorf("ban of a network with a session: %v", err)
		}
		r.Force = true
		if _, err := d.Ban(t.Context(), r); err != nil {
			t.Error(err)
		}
		w.expectBanned("forced", "192.0.2.0/24")
		w.spares("forced")
	})
}

// A kernel that fails to let sessions pass is reported. The ban is made, and sessions that passed before stay connected.
func TestCannotSpare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := withConnections(t, "192.0.2.1:1000")
		d := w.start()
		defer w.end(d)
		w.says(10, "Accepted password for alice from 192.0.2.1 port 1000 ssh2")
		w.attack("192.0.2.1", 8)
		synctest.Wait() // the daemon is not at the kernel
		w.kernel.Fail = func(v firewalltest.Verb) error {
			if v == firewalltest.Spare {
				return errors.New("no memory")
			}
			return nil
		}
		w.hand()
		w.attack("192.0.2.1", 1)
		w.expectBanned("nine", "192.0.2.1/32")
		if s, err := d.Status(t.Context()); err != nil || !slices.Equal(s.Degraded, []string{"sessions-not-spared"}) {
			t.Errorf("degraded: %q, %v", s.Degraded, err)
		}
		synctest.Wait()
		w.kernel.Fail = nil
		w.hand()
		time.Sleep(time.Minute)
		w.spares("a minute later", "192.0.2.1:1000")
	})
}

// Guesses over the loopback ban nobody. They are reported with the account, but names that the host does not have are not named.
func TestGuessingOverTheLoopback(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.jails = func() []*daemon.Jail {
			return []*daemon.Jail{w.jail("sshd", allowList{netip.MustParsePrefix("127.0.0.0/8")})}
		}
		d := w.start()
		defer w.end(d)
		w.attack("127.0.0.1", 3)
		w.expect("three guesses", "degraded guessing:root", "protected ignoreip 127.0.0.0/8")
		for i := range int32(3) {
			w.says(100+i, "Failed password for invalid user hunter2 from 127.0.0.1 port 400 ssh2")
		}
		s, err := d.Status(t.Context())
		if err != nil || !slices.Equal(s.Degraded, []string{"guessing:root", "guessing:unknown-names"}) {
			t.Errorf("degraded: %q, %v", s.Degraded, err)
		}
		const remedy = "Somebody guesses passwords of root from 127.0.0.1, which is never banned: a local user. Remedy: find out which " +
			"with journalctl and loginctl, and lock the account's password if it needs none (passwd -l)."
		if s.Remedies[0] != remedy {
			t.Errorf("remedy %q", s.Remedies[0])
		}
		time.Sleep(time.Minute)
		w.public([]string{"guessing"}, "root", "unknown-names", "127.0.0.1")
		time.Sleep(8 * time.Minute)
		w.attack("127.0.0.1", 3)
		time.Sleep(9 * time.Minute)
		if s, _ := d.Status(t.Context()); !slices.Equal(s.Degraded, []string{"guessing:root"}) {
			t.Errorf("while it lasts: degraded %q", s.Degraded)
		}
		time.Sleep(2 * time.Minute)
		if s, _ := d.Status(t.Context()); len(s.Degraded) > 0 {
			t.Errorf("when it is over: degraded %q", s.Degraded)
		}
	})
}

// An attacker cannot make a reason of every name.
func TestGuessingAtManyAccounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		j := w.jail("sshd", allowList{netip.MustParsePrefix("::1/128")})
		w.jails = func() []*daemon.Jail { return []*daemon.Jail{j} }
		d := w.start()
		defer w.end(d)
		for i := range int32(20) {
			for range 3 {
				w.says(100+i, "Failed password for user"+string('a'+i)+" from ::1 port 400 ssh2")
			}
		}
		if s, err := d.Status(t.Context()); err != nil || len(s.Degraded) != 8 {
			t.Errorf("degraded: %q, %v; want 8 reasons", s.Degraded, err)
		}
	})
}
