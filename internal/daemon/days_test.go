package daemon_test

import (
	"fmt"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"exile/internal/control"
	"exile/internal/daemon"
	"exile/journal"
)

// login is a login from an address, now.
func (w *world) login(addr string) {
	e := w.guess(addr)
	e.Message = []byte("Accepted password for alice from " + addr + " port 4000 ssh2")
	w.source.live <- []journal.Entry{e}
	end := e
	w.seq++
	end.Position.Seqnum, end.Message = w.seq, []byte("Disconnected from user alice "+addr+" port 4000") // or it would be protected
	w.source.live <- []journal.Entry{end}
	synctest.Wait()
}

func (w *world) status() control.Status {
	w.t.Helper()
	s, err := w.d.Status(w.t.Context())
	if err != nil {
		w.t.Error(err)
	}
	return s
}

// The bubble begins at midnight of 2000-01-01.
func date(n int) time.Time { return time.Date(2000, 1, n, 0, 0, 0, 0, time.UTC) }

// What got through, what was prevented and who was hit is counted by day, once, also across a crash.
func TestDays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.jails = func() []*daemon.Jail {
			return []*daemon.Jail{w.jail("sshd", allowList{netip.MustParsePrefix("198.51.100.0/24")})}
		}
		w.kernel.Packets = map[string]uint64{"exile4": 1000} // of an earlier run: not ours
		d := w.start()
		w.attack("192.0.2.1", 3)
		w.attack("198.51.100.1", 3)
		w.kernel.Packets["exile4"] += 40
		w.hand()
		time.Sleep(2 * time.Hour)
		w.login("192.0.2.1") // an owner was kept out: once, however often he comes
		w.login("192.0.2.1")
		w.login("192.0.2.200")
		w.kernel.Packets = map[string]uint64{"exile4": 2, "exile6": 1} // the rules were made anew
		w.hand()
		time.Sleep(time.Minute)
		synctest.Wait()
		time.Sleep(time.Until(date(2)) + time.Hour)
		w.attack("192.0.2.9", 1)
		want := []control.Day{
			{Date: date(1), Passed: 6, Dropped: 43, Bans: 1, Protected: 1, Denied: 1},
			{Date: date(2), Passed: 1},
		}
		s := w.status()
		if diff := cmp.Diff(want, s.Days); diff != "" {
			t.Errorf("days (-want +got)\n%s", diff)
		}
		if diff := cmp.Diff(map[string]uint64{"exile4": 42, "exile6": 1}, s.Dropped); diff != "" {
			t.Errorf("dropped (-want +got)\n%s", diff)
		}
		jails, err := d.Jails(t.Context())
		if err != nil || jails[0].Denied != 1 || jails[0].Spared != 1 {
			t.Errorf("jails: %+v, %v; want 1 denied and 1 spared", jails, err)
		}
		time.Sleep(10 * time.Second)
		w.end(d)
		d = w.start()
		w.login("192.0.2.1") // still no news
		w.attack("192.0.2.9", 1)
		want[1].Passed++
		if diff := cmp.Diff(want, w.status().Days); diff != "" {
			t.Errorf("days after a restart (-want +got)\n%s", diff)
		}
		if err := d.Reload(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.attack("192.0.2.9", 1)
		want[1].Passed++
		want[1].Bans++
		if diff := cmp.Diff(want, w.status().Days); diff != "" {
			t.Errorf("days after a reload (-want +got)\n%s", diff)
		}
		time.Sleep(35 * 24 * time.Hour)
		w.attack("192.0.2.9", 1)
		if days := w.status().Days; len(days) != 1 || days[0].Passed != 1 {
			t.Errorf("35 days later: %+v, want today alone", days)
		}
		w.end(d)
	})
}

// Addresses that are forgotten because there are too many are counted, for exile_jail_evicted_total.
func TestEvictedAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		d := w.start()
		defer w.end(d)
		var batch []journal.Entry
		for i := range 1003 {
			batch = append(batch, w.guess(fmt.Sprintf("10.0.%d.%d", i/250, i%250)))
		}
		w.source.live <- batch
		w.pass(time.Second)
		jails, err := d.Jails(t.Context())
		if err != nil || len(jails) != 1 || jails[0].Failing != 1000 || jails[0].Evicted != 3 {
			t.Errorf("jails %+v, %v; want 1000 failing and 3 evicted", jails, err)
		}
	})
}
