package daemon_test

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"exile/firewall"
	"exile/internal/daemon"
	"exile/journal"
)

// ssh is the port that the jail of leaky closes.
var ssh = firewall.Port{Proto: 6, Number: 22}

// leaky is a world whose jail closes a port, and cuts connections. open are the connections that exist.
func leaky(t *testing.T, open func() ([]firewall.Spared, error)) *world {
	w := newWorld(t)
	jails := w.jails
	w.jails = func() []*daemon.Jail {
		all := jails()
		all[0].Ports = []firewall.Port{ssh}
		return all
	}
	w.change = func(p *daemon.Plan) {
		p.Kill = func(context.Context, []firewall.Key, []firewall.Spared) error { return nil }
		p.Connections = func(context.Context, []netip.Addr) ([]firewall.Spared, error) { return open() }
	}
	return w
}

// connected is a connection of 192.0.2.1 to a port.
func connected(port uint16) func() ([]firewall.Spared, error) {
	c := firewall.Spared{Remote: netip.MustParseAddrPort("192.0.2.1:4000"), Local: netip.AddrPortFrom(netip.MustParseAddr("198.51.100.1"), port)}
	return func() ([]firewall.Spared, error) { return []firewall.Spared{c}, nil }
}

func unconnected() ([]firewall.Spared, error) { return nil, nil }

// leaking returns the remedy for leaks of the jail sshd, or nothing, and how many entries leaked.
func leaking(t *testing.T, d *running) (remedy string, n uint64) {
	t.Helper()
	s, err := d.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for i, reason := range s.Degraded {
		if reason == "leaking:sshd" {
			remedy = s.Remedies[i]
		}
	}
	jails, err := d.Jails(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return remedy, jails[0].Leaked
}

// TestLeaks: a banned address goes on to guess. The status says so, and why.
func TestLeaks(t *testing.T) {
	for name, c := range map[string]struct {
		open   func() ([]firewall.Spared, error)
		before func(w *world, p *daemon.Plan)
		after  time.Duration // after the ban
		want   string
	}{
		"another port":       {open: connected(2222), after: 15 * time.Second, want: "port 2222, which jail sshd does not close"},
		"not dropped":        {open: connected(22), after: 15 * time.Second, want: "port 22 although it is closed"},
		"no connection":      {open: unconnected, after: 15 * time.Second, want: "through a proxy"},
		"behind a proxy":     {open: unconnected, before: func(_ *world, p *daemon.Plan) { p.Jails[0].Proxied = true }, after: 15 * time.Second, want: "at the proxy, with an action"},
		"cannot be listed":   {open: func() ([]firewall.Spared, error) { return nil, errors.New("no inet_diag") }, after: 15 * time.Second, want: "no inet_diag"},
		"nobody can list":    {open: unconnected, before: func(_ *world, p *daemon.Plan) { p.Connections = nil }, after: 15 * time.Second, want: "cannot be listed"},
		"open before":        {open: connected(22), before: func(_ *world, p *daemon.Plan) { p.Kill = nil }, after: 3 * time.Minute, want: "kill_connections: yes"},
		"all traffic closed": {open: connected(80), before: func(_ *world, p *daemon.Plan) { p.Jails[0].Ports = nil }, after: 15 * time.Second, want: "port 80 although it is closed"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := leaky(t, c.open)
				change := w.change
				w.change = func(p *daemon.Plan) {
					change(p)
					if c.before != nil {
						c.before(w, p)
					}
				}
				d := w.start()
				defer w.end(d)
				w.attack("192.0.2.1", 3)
				w.pass(c.after)
				w.attack("192.0.2.1", 4)
				if remedy, n := leaking(t, d); remedy != "" || n != 4 {
					t.Errorf("after four: %d leaked, %q", n, remedy)
				}
				w.attack("192.0.2.1", 1)
				if remedy, n := leaking(t, d); n != 5 || !strings.Contains(remedy, c.want) || !strings.Contains(remedy, "192.0.2.1") {
					t.Errorf("after five: %d leaked, %q, want %q", n, remedy, c.want)
				}
				w.pass(11 * time.Minute)
				if remedy, _ := leaking(t, d); remedy != "" {
					t.Errorf("much later: %q", remedy)
				}
			})
		})
	}
}

// TestLeaksRemoved: another program has removed the bans. They are compared at once, and the status says so.
func TestLeaksRemoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := leaky(t, unconnected)
		d := w.start()
		defer w.end(d)
		w.attack("192.0.2.1", 3)
		w.pass(15 * time.Second)
		if err := w.kernel.Destroy(t.Context()); err != nil { // nobody hears of it
			t.Fatal(err)
		}
		w.attack("192.0.2.1", 4)
		if left := w.kernel.Bans(); len(left) > 0 {
			t.Errorf("four entries leaked: the kernel holds %v", left)
		}
		w.attack("192.0.2.1", 1)
		w.expectBanned("five entries leaked", "192.0.2.1/32")
		w.pass(15 * time.Second)
		w.attack("192.0.2.1", 5)
		if remedy, _ := leaking(t, d); !strings.Contains(remedy, "another program had removed") {
			t.Errorf("the status says %q", remedy)
		}
	})
}

// TestNoLeak: entries of banned addresses that are none of the ban's fault.
func TestNoLeak(t *testing.T) {
	for name, c := range map[string]struct {
		change func(p *daemon.Plan)
		late   time.Duration // how late the entries are read
		after  time.Duration
		leaked uint64
		do     func(w *world, d *running) error
	}{
		"on their way":       {after: 0},
		"PAM takes its time": {after: 3 * time.Second, leaked: 7},
		"connected before":   {after: time.Minute, change: func(p *daemon.Plan) { p.Kill = nil }, leaked: 7},
		"simulated":          {after: time.Minute, change: func(p *daemon.Plan) { p.Jails[0].Simulate = true }},
		"read late":          {after: time.Minute, late: time.Hour},
		"paused":             {after: time.Minute, do: func(w *world, d *running) error { return d.Pause(w.t.Context(), time.Hour) }},
		"a pause was": {after: time.Minute, do: func(w *world, d *running) error {
			return errors.Join(d.Pause(w.t.Context(), time.Hour), d.Pause(w.t.Context(), 0))
		}},
		"the firewall is new":   {after: time.Minute, do: func(w *world, d *running) error { return d.ResetFirewall(w.t.Context()) }},
		"the plan is new":       {after: time.Minute, do: func(w *world, d *running) error { return d.Reload(w.t.Context()) }},
		"lines of other things": {after: time.Minute, do: func(w *world, _ *running) error { w.said("Connection closed"); return nil }},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := leaky(t, unconnected)
				change := w.change
				w.change = func(p *daemon.Plan) {
					change(p)
					if c.change != nil {
						c.change(p)
					}
				}
				w.wrong = -c.late
				d := w.start()
				defer w.end(d)
				w.attack("192.0.2.1", 3)
				time.Sleep(c.after)
				if c.do != nil {
					if err := c.do(w, d); err != nil {
						t.Fatal(err)
					}
				}
				var batch []journal.Entry
				if name != "lines of other things" {
					batch = w.guesses("192.0.2.1", 7)
					w.source.live <- batch
				}
				synctest.Wait()
				if remedy, n := leaking(t, d); remedy != "" || n != c.leaked {
					t.Errorf("%d leaked, %q; want %d, and nothing", n, remedy, c.leaked)
				}
			})
		})
	}
}
