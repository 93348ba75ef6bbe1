package daemon_test

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"exile/internal/control"
	"exile/internal/daemon"
	"exile/journal"
)

// door is what the daemon finds when it looks who is connected to the service.
type door struct {
	mu sync.Mutex // it looks from a goroutine of its own
	is control.Startups
}

// opens connects n times from an address, from the port first on.
func (d *door) opens(addr string, first, n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for i := range n {
		d.is.From = append(d.is.From, netip.AddrPortFrom(netip.MustParseAddr(addr), uint16(first+i)))
	}
}

func (d *door) closes() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.is.From = nil
}

func (d *door) look(context.Context) (*control.Startups, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	seen := d.is
	return &seen, nil
}

// crowded is a world with a service that refuses others from ten connections on.
func crowded(t *testing.T, s *service, known bool, grace time.Duration) (*world, *door) {
	w := watched(t, s)
	door := &door{is: control.Startups{Begin: 10, Full: 100, Grace: grace, Known: known}}
	change := w.change
	w.change = func(p *daemon.Plan) {
		change(p)
		p.Jails[0].Startups = door.look
	}
	return w, door
}

// said has the service log a line without an address.
func (w *world) said(message string) {
	e := w.guess("192.0.2.1")
	e.Message = []byte(message)
	w.source.live <- []journal.Entry{e}
}

// TestMaxStartups: while so many connections wait for a login that owners may be refused, the status says so, who holds most connections, and
// what helps.
func TestMaxStartups(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, door := crowded(t, &service{is: control.Service{Exists: true}}, true, 0)
		d := w.start()
		defer w.end(d)
		time.Sleep(time.Second) // between the looks
		door.opens("192.0.2.9", 1, 9)
		w.said("error: beginning MaxStartups throttling") // by PerSourceMaxStartups
		time.Sleep(time.Minute)
		w.expect("nine are none too many")
		door.opens("2001:db8::1", 1, 2)
		door.opens("2001:db8::2", 1, 2)
		door.opens("198.51.100.1", 1, 3)
		door.opens("198.51.100.2", 1, 1)
		time.Sleep(time.Minute)
		w.expect("seventeen", "degraded max-startups:sshd")
		remedy := w.remedy("max-startups:sshd")
		for _, words := range []string{
			"17 connections", "from 10 on", "100 on", "192.0.2.9 (9), 2001:db8::/64 (4), 198.51.100.1 (3). ", "PerSourceMaxStartups", "LoginGraceTime",
		} {
			if !strings.Contains(remedy, words) {
				t.Errorf("remedy %q, want %q in it", remedy, words)
			}
		}
		time.Sleep(time.Minute)
		w.public([]string{"max-startups:sshd"}, "192.0.2.9", "2001:db8::", "198.51.100.1")
		time.Sleep(time.Hour)
		w.expect("it lasts")
		door.closes()
		time.Sleep(time.Minute)
		w.expect("over", "recovered max-startups:sshd")
	})
}

// TestSessionsAreNoStartups: an open session does not wait for a login, whether the log shows it or the grace time is over.
func TestSessionsAreNoStartups(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, door := crowded(t, &service{is: control.Service{Exists: true}}, true, 2*time.Minute)
		d := w.start()
		defer w.end(d)
		time.Sleep(time.Second) // between the looks
		for i := range 20 {
			w.said(fmt.Sprintf("Accepted password for alice from 192.0.2.1 port %d ssh2", 1000+i))
		}
		door.opens("192.0.2.1", 1000, 20)
		time.Sleep(2 * time.Minute)
		w.expect("twenty sessions")
		door.opens("192.0.2.2", 1000, 20)
		time.Sleep(time.Minute)
		w.expect("others", "degraded max-startups:sshd")
		time.Sleep(3 * time.Minute)
		w.expect("still there, they are logged in", "recovered max-startups:sshd")
	})
}

// TestUnknownStartups: if the limits are unknown, the log shows that they are reached.
func TestUnknownStartups(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := service{is: control.Service{Exists: true}}
		w, door := crowded(t, &s, false, 0)
		d := w.start()
		defer w.end(d)
		time.Sleep(time.Second) // between the looks
		w.said("error: beginning MaxStartups throttling")
		time.Sleep(time.Minute)
		door.opens("192.0.2.9", 1, 50)
		time.Sleep(time.Minute)
		w.expect("fifty may be allowed")
		w.said("drop connection #50 from [192.0.2.9]:5 on [203.0.113.1]:22 past MaxStartups")
		time.Sleep(time.Minute)
		w.expect("they are not", "degraded max-startups:sshd")
		time.Sleep(time.Hour)
		w.expect("it lasts")
		door.closes()
		time.Sleep(time.Minute)
		w.expect("over", "recovered max-startups:sshd")
	})
}

// TestInstancesHaveNoStartups: an sshd that a socket starts for each connection has no limit.
func TestInstancesHaveNoStartups(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, door := crowded(t, &service{is: control.Service{Exists: true, Accepted: 50}}, true, 0)
		d := w.start()
		defer w.end(d)
		time.Sleep(time.Second) // between the looks
		door.opens("192.0.2.9", 1, 50)
		time.Sleep(2 * time.Minute)
		w.expect("fifty instances")
	})
}
