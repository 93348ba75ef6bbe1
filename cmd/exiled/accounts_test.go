package main

import (
	"context"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"exile/internal/accounts"
	"exile/internal/daemon"
	"exile/jail"
	"exile/jail/adaptive"
)

// A ban of a group closes the ports on which sshd listens, and port 22 while these are unknown.
func TestGroupPortsAreSSHDs(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	helper, passwd := filepath.Join(dir, "accounts.json"), filepath.Join(dir, "passwd")
	if err := os.WriteFile(passwd, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		list string
		want []uint16
	}{
		{"", []uint16{22}},
		{`{"version":1,"accounts":[],"locked":[],"sshd":{"ports":[2222,22],"begin":10,"full":100}}`, []uint16{2222, 22}},
		{`{"version":1,"accounts":[],"locked":[]}`, []uint16{22}},
		{`{"version":1,"accounts":[],"locked":[],"sshd":{"ports":[],"begin":10,"full":100}}`, []uint16{22}},
	} {
		if tt.list != "" {
			if err := os.WriteFile(helper, []byte(tt.list), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		g := gate{new(daemon.Jail)}
		if err := newAcquaintance(helper, passwd).add(g); err != nil {
			t.Fatal(err)
		}
		var got []uint16
		for _, port := range g.jail.GroupPorts {
			got = append(got, port.Number)
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s: ports %v, want %v", tt.list, got, tt.want)
		}
	}
}

// A detector knows the accounts at once, and within seconds when the helper's list comes, changes, breaks or goes.
func TestAccountsAreFollowed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	helper, passwd := filepath.Join(dir, "accounts.json"), filepath.Join(dir, "passwd")
	write := func(path, text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(passwd, "root:x:0:0::/root:/bin/sh\nalice:x:1:1::/:/bin/sh\n")
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		d, mail := adaptive.New(adaptive.Default()), adaptive.New(adaptive.Default())
		a := newAcquaintance(helper, passwd)
		for _, d := range []acquainted{{d, true}, {mail, false}} {
			if err := a.add(d); err != nil {
				t.Fatal(err)
			}
		}
		var loop sync.Mutex // one at a time, as the daemon's
		var trouble error
		go a.follow(ctx,
			func(change func()) error { loop.Lock(); defer loop.Unlock(); change(); return nil },
			func(_ accounts.List, err error) { loop.Lock(); defer loop.Unlock(); trouble = err })
		for i, step := range []struct {
			what   string
			do     func()
			locked bool // whether root is a name of attackers
			bad    bool
		}{
			{"no list", func() {}, false, false},
			{"a list", func() { write(helper, `{"version":1,"accounts":["alice","root"],"locked":["root"]}`) }, true, false},
			{"root can", func() { write(helper, `{"version":1,"accounts":["alice","root"],"locked":[]}`) }, false, false},
			{"root cannot", func() { write(helper, `{"version":1,"accounts":["root"],"locked":["root"]}`) }, true, false},
			{"a broken list changes nothing", func() { write(helper, "x") }, true, true},
			{"the list is gone", func() { _ = os.Remove(helper) }, false, false},
		} {
			step.do()
			time.Sleep(time.Minute)
			synctest.Wait()
			loop.Lock()
			var bans, others []jail.Verdict
			for j := range byte(3) { // three strangers fail on root
				from := netip.AddrFrom4([4]byte{192, byte(10*i) + j, 0, 1})
				bans = d.Observe(jail.Attempt{Time: time.Now(), Addr: from, User: "root", Guesses: 1}, bans)
				others = mail.Observe(jail.Attempt{Time: time.Now(), Addr: from, User: "root", Guesses: 1}, others)
			}
			if len(others) > 0 {
				t.Errorf("%s: a service that is not sshd bans for a name that cannot log in through sshd", step.what)
			}
			if banned := len(bans) > 0; banned != step.locked || (trouble != nil) != step.bad {
				t.Errorf("%s: banned %t, want %t; trouble: %v", step.what, banned, step.locked, trouble)
			}
			d.ForgetName("root")
			loop.Unlock()
		}
	})
}
