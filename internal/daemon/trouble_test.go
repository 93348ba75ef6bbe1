package daemon_test

import (
	"errors"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"exile/firewall/firewalltest"
	"exile/internal/control"
	"exile/internal/daemon"
	"exile/internal/state"
)

func TestKernelTroubleIsRepaired(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		d := w.start()
		defer w.end(d)
		broken := true
		w.kernel.Fail = func(firewalltest.Verb) error {
			if broken {
				return errors.New("no buffer space available")
			}
			return nil
		}
		w.attack("192.0.2.1", 3)
		w.expect("kernel refuses", "degraded backend-failed", "ban 192.0.2.1/32 offence 1")
		broken = false
		w.hand()
		time.Sleep(time.Minute)
		w.expectBanned("kernel recovered", "192.0.2.1/32")
		w.expect("kernel recovered", "recovered backend-failed")
		w.kernel.Flush()
		w.hand()
		time.Sleep(time.Minute)
		w.expectBanned("somebody flushed", "192.0.2.1/32")
		w.expect("somebody flushed", "repaired 1")
	})
}

// refusing is a store on a full disk.
type refusing struct {
	daemon.Store
	full *bool
}

func (r refusing) Commit(b state.Batch) error {
	if *r.full {
		return state.ErrFull
	}
	return r.Store.Commit(b)
}

func TestFullDiskDoesNotStopBanning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		full := true
		w.store = func(s daemon.Store) daemon.Store { return refusing{s, &full} }
		d := w.start()
		defer w.end(d)
		w.attack("192.0.2.1", 3)
		w.expectBanned("disk full", "192.0.2.1/32")
		full = false
		w.hand()
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if !slices.Contains(w.told, "recovered state-failed") || !slices.Contains(w.told, "ban 192.0.2.1/32 offence 1") {
			t.Errorf("told %q", w.told)
		}
	})
}

// losing is a store whose file was lost, on a disk that is too full to write all of it at first.
type losing struct {
	daemon.Store
	lost, refused *bool
}

func (l losing) Commit(b state.Batch) error {
	if !*l.lost {
		*l.lost = true
		return state.ErrSetAside
	}
	return l.Store.Commit(b)
}

func (l losing) Replace(c state.Contents) error {
	if !*l.refused {
		*l.refused = true
		return state.ErrFull
	}
	return l.Store.Replace(c)
}

// If the file is lost while the daemon runs, everything is written again, even if that fails at first.
func TestLostFileIsWrittenAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		var lost, refused bool
		w.store = func(s daemon.Store) daemon.Store { return losing{s, &lost, &refused} }
		d := w.start()
		if _, err := d.Ban(t.Context(), control.BanRequest{Prefix: netip.MustParsePrefix("192.0.2.7/32"), Duration: time.Hour}); err != nil {
			t.Fatal(err)
		}
		w.attack("192.0.2.2", 3)
		time.Sleep(time.Minute)
		w.end(d)
		if !refused {
			t.Fatal("the disk was never full: nothing was tested")
		}
		if diff := cmp.Diff([]string{"192.0.2.2/32", "192.0.2.7/32"}, w.outcome().Disk); diff != "" {
			t.Errorf("on disk (-want +got)\n%s", diff)
		}
	})
}
