package daemon_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"exile/internal/control"
)

// Very many bans that end together make few entries in the journal and single signals on the bus; few bans are announced one by one on both. What
// the journal did not take before a crash is announced by the next process, again as a sum.
func TestManyEndsAreSummed(t *testing.T) {
	for name, many := range map[string]int{"few": 50, "many": manyBans} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.keepMany(many, time.Hour)
				d := w.start()
				w.forget()
				if n, err := d.Unban(t.Context(), "", netip.Prefix{}); n != many || err != nil {
					t.Fatalf("Unban: %d, %v", n, err)
				}
				synctest.Wait()
				sums := 0
				for _, e := range w.journal {
					if e.Kind == control.BansRemoved {
						sums += e.Count
						if e.Ban.Jail != "sshd" || e.Reason != "flush" {
							t.Errorf("the sum is of jail %q, reason %q", e.Ban.Jail, e.Reason)
						}
					}
				}
				if single := len(w.journal); many == 50 && (single != many || sums != 0) || many != 50 && (single > 100 || sums != many) {
					t.Errorf("the journal got %d entries that tell of %d in sums, of %d bans", single, sums, many)
				}
				unbans := slices.DeleteFunc(slices.Clone(w.told), func(s string) bool { return !strings.HasPrefix(s, "unban") })
				if len(unbans) != many {
					t.Errorf("%d were told one by one, want %d: %s", len(unbans), many, fmt.Sprint(unbans[:min(3, len(unbans))]))
				}
				w.hand()
				w.end(d)
			})
		})
	}
}
