package daemon_test

import (
	"fmt"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"exile/internal/daemon"
	"exile/journal"
)

// With bantime.overalljails an offence in one jail makes the ban in another longer, without it does not: the first ban lasts
// an hour, and the second of the same address, in the other jail, two or one. The restart between them changes nothing.
func TestOverallJails(t *testing.T) {
	for _, overall := range []bool{false, true} {
		t.Run(fmt.Sprint(overall), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.jails = func() (jails []*daemon.Jail) {
					for _, name := range []string{"sshd", "web"} {
						j := w.jail(name, nil)
						j.Overall, j.Accepts = overall, func(e *journal.Entry) bool { return e.Identifier == name }
						jails = append(jails, j)
					}
					return jails
				}
				w.service = "sshd"
				d := w.start()
				w.attack("192.0.2.1", 3)
				time.Sleep(time.Hour)
				w.end(d)
				d = w.start()
				defer w.end(d)
				w.told, w.service = nil, "web"
				w.hand()
				w.attack("192.0.2.1", 3)
				offence := map[bool]int{false: 1, true: 2}[overall]
				w.expect("in the other jail", fmt.Sprintf("ban 192.0.2.1/32 offence %d", offence))
				a, err := d.Address(t.Context(), netip.MustParsePrefix("192.0.2.1/32"))
				if err != nil || len(a.Bans) != 1 || a.Bans[0].Until.Sub(a.Bans[0].Since) != time.Duration(offence)*time.Hour {
					t.Errorf("bans %+v, %v; want one of %d h", a.Bans, err, offence)
				}
			})
		})
	}
}

// After dbpurgeage, two days here, an offence is forgotten, in memory and on disk, unless the address is still banned.
func TestPastIsPurged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		d := w.start()
		w.attack("192.0.2.1", 3)
		time.Sleep(47 * time.Hour)
		w.attack("192.0.2.2", 3)
		if diff := cmp.Diff(map[string]int{"192.0.2.1/32": 1, "192.0.2.2/32": 1}, w.pastOnDisk(d)); diff != "" {
			t.Errorf("after 47 hours (-want +got)\n%s", diff)
		}
		d = w.start()
		time.Sleep(2 * time.Hour)
		w.attack("192.0.2.3", 1) // something to write
		time.Sleep(time.Minute)
		if diff := cmp.Diff(map[string]int{"192.0.2.2/32": 1}, w.pastOnDisk(d)); diff != "" {
			t.Errorf("after 49 hours (-want +got)\n%s", diff)
		}
	})
}

// pastOnDisk ends a daemon and returns whose offences it left on disk.
func (w *world) pastOnDisk(d *running) map[string]int {
	w.t.Helper()
	w.end(d)
	return w.outcome().Past
}
