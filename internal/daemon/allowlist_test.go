package daemon_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"exile/internal/daemon"
)

// listed is an allowlist that is as the test says.
type listed struct{ trouble atomic.Pointer[error] }

func (*listed) Protected() []string { return []string{"host.example (192.0.2.1)"} }

func (l *listed) Trouble() error {
	if err := l.trouble.Load(); err != nil {
		return *err
	}
	return nil
}

func (l *listed) turns(err error) { l.trouble.Store(&err) }

// TestAllowlist: a jail whose ignoreip does not work is reported as long as that lasts, also across a reload, and without a source of
// information about units.
func TestAllowlist(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l listed
		w := newWorld(t)
		w.change = func(p *daemon.Plan) { p.Jails[0].Allowlist = &l }
		d := w.start()
		defer w.end(d)
		time.Sleep(time.Minute)
		w.expect("well")
		l.turns(errors.New("host name office.example: no answer"))
		time.Sleep(10 * time.Second)
		w.expect("no answer", "degraded allowlist:sshd")
		if got := w.remedy("allowlist:sshd"); !strings.Contains(got, "host name office.example: no answer") {
			t.Errorf("remedy %q", got)
		}
		w.public([]string{"allowlist:sshd"}, "office.example")
		var many []error
		for i := range 9 {
			many = append(many, fmt.Errorf("host name h%d.example has no address", i))
		}
		l.turns(errors.Join(many...))
		time.Sleep(time.Hour)
		w.expect("still") // nothing new
		if got := w.remedy("allowlist:sshd"); !strings.Contains(got, "h4.example has no address; and 4 more") {
			t.Errorf("remedy %q", got)
		}
		if err := d.Reload(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		w.expect("reloaded", "reloaded ")
		jails, err := d.Jails(t.Context())
		if err != nil || !slices.Equal(jails[0].Protected, []string{"host.example (192.0.2.1)"}) {
			t.Errorf("%v, protected are %q", err, jails[0].Protected)
		}
		l.turns(nil)
		time.Sleep(10 * time.Second)
		w.expect("ended", "recovered allowlist:sshd")
		l.turns(errors.New("gone"))
		time.Sleep(10 * time.Second)
		w.expect("again", "degraded allowlist:sshd")
		w.change = func(*daemon.Plan) {}
		if err := d.Reload(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		w.expect("it protects nobody by name", "recovered allowlist:sshd", "reloaded ")
	})
}
