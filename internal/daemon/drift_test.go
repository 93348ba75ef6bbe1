package daemon_test

import (
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"exile/internal/daemon"
	"exile/jail"
)

// drifting is a filter whose service's lines have changed if the test says so.
type drifting struct{ changed atomic.Bool }

func (*drifting) Parse([]byte) jail.Event { return jail.Event{} }

func (f *drifting) Drift() jail.Drift {
	if !f.changed.Load() {
		return jail.Drift{}
	}
	return jail.Drift{Filter: "vsftpd", Line: "new \x1b[31m for \"root\" from 192.0.2.7"}
}

// TestDrift: lines that have changed are a reason for being degraded as long as that lasts. The example is quoted, and is not for everybody.
func TestDrift(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f drifting
		w := newWorld(t)
		w.change = func(p *daemon.Plan) {
			j, err := jail.New(jail.Config{
				Name: "sshd", Detection: jail.Threshold, MaxRetry: 3, FindTime: time.Minute, BanTime: time.Hour, IPv4Prefix: 32, IPv6Prefix: 64,
				MaxTracked: 1000,
			}, &f, nil, nil)
			if err != nil {
				t.Fatal(err)
			}
			p.Jails[0].Jail.Jail = j
		}
		d := w.start()
		defer w.end(d)
		time.Sleep(time.Minute)
		w.expect("well")
		f.changed.Store(true)
		time.Sleep(10 * time.Second)
		w.expect("changed", "degraded drift:sshd")
		const example = `new \x1b[31m for \"root\" from 192.0.2.7`
		if got := w.remedy("drift:sshd"); !strings.Contains(got, example) || !strings.Contains(got, "match --filter=vsftpd") {
			t.Errorf("remedy %q", got)
		}
		w.public([]string{"drift:sshd"}, "192.0.2.7", "root")
		f.changed.Store(false)
		time.Sleep(10 * time.Second)
		w.expect("ended", "recovered drift:sshd")
	})
}
