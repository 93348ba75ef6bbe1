package daemon_test

import (
	"context"
	"errors"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"exile/internal/daemon"
)

// The command takes 3 s. It ignores 192.0.2.1, does not ignore 192.0.2.2, and fails for 192.0.2.3.
func TestIgnoreCommand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.jails = func() []*daemon.Jail {
			j := w.jail("sshd", nil)
			j.Ignored = func(ctx context.Context, a netip.Addr) (bool, error) {
				time.Sleep(3 * time.Second)
				if a == netip.MustParseAddr("192.0.2.3") {
					return false, errors.New("exit status 127")
				}
				return a == netip.MustParseAddr("192.0.2.1"), nil
			}
			return []*daemon.Jail{j}
		}
		d := w.start()
		for _, a := range []string{"192.0.2.1", "192.0.2.2", "192.0.2.3"} {
			w.attack(a, 3)
		}
		time.Sleep(3 * time.Second)
		w.expect("three attackers", "protected ignorecommand", "ban 192.0.2.2/32 offence 1", "ban 192.0.2.3/32 offence 1")
		w.expectBanned("three attackers", "192.0.2.2/32", "192.0.2.3/32")

		w.attack("192.0.2.4", 3)
		w.end(d) // while the question is open: it is asked again
		d = w.start()
		defer w.end(d)
		time.Sleep(4 * time.Second)
		w.expect("restarted", "ban 192.0.2.4/32 offence 1")
	})
}

// A command that does not answer, or does not get its turn, delays a ban by ten seconds, however many are waiting.
func TestIgnoreCommandIsSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.jails = func() []*daemon.Jail {
			j := w.jail("sshd", nil)
			j.Ignored = func(ctx context.Context, _ netip.Addr) (bool, error) {
				<-ctx.Done()
				return false, context.Cause(ctx)
			}
			return []*daemon.Jail{j}
		}
		d := w.start()
		defer w.end(d)
		w.attack("192.0.2.1", 3)
		time.Sleep(9*time.Second - time.Millisecond) // a second has passed
		w.expect("before the time")
		time.Sleep(time.Millisecond)
		w.expect("after it", "ban 192.0.2.1/32 offence 1")
	})
}
