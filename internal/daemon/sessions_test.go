package daemon_test

import (
	"context"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"exile/internal/control"
	"exile/internal/daemon"
)

// A session that began before the log is open: failures from its address do not ban it.
func TestSessionsBeforeTheLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.change = func(p *daemon.Plan) {
			p.Sessions = func(context.Context) ([]control.Session, error) {
				time.Sleep(time.Second)
				return []control.Session{{Leader: 99, From: netip.MustParseAddr("192.0.2.1"), Since: time.Now().Add(-time.Hour)}}, nil
			}
		}
		d := w.start()
		defer w.end(d)
		time.Sleep(2 * time.Second)
		w.attack("192.0.2.1", 3)
		w.attack("192.0.2.2", 3)
		w.expect("guesses", "degraded guessing:root", "protected live session", "ban 192.0.2.2/32 offence 1")
	})
}
