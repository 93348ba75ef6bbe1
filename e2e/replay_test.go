package e2e

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"exile/e2e/host"
	"exile/e2e/target"
)

// TestReplay: what a host's own journal says happened is what a replay of that journal says, after attacks of two families, a ban that ended and
// one that followed, a restart, and rotations.
func TestReplay(t *testing.T) {
	t.Parallel()
	g := boot(t, "backend: nftables\njails:\n  sshd:\n    maxretry: 4\n    findtime: 10m\n    bantime: 8s\n    bantime.increment: yes\n")
	four, six := attacker(t, g, families["IPv4"].attacker), attacker(t, g, families["IPv6"].attacker)
	guess(t, four, 3)
	lastGuess(t, g, four)
	banned(t, g, four, 1)
	inside(t, g, "journalctl", "--rotate")
	guess(t, six, 2)
	inside(t, g, "systemctl", "restart", "exiled")
	guess(t, six, 1)
	inside(t, g, "journalctl", "--rotate")
	lastGuess(t, g, six)
	banned(t, g, six, 1)
	eventually(t, "the ban ends", func() bool {
		return four.Silent(t.Context()) != nil
	})
	guess(t, four, 3)
	lastGuess(t, g, four)
	banned(t, g, four, 2)
	inside(t, g, "journalctl", "--sync")

	var rep struct {
		Attempts, Prevented, Passed int
		Bans                        []struct {
			Address, Jail string
			At, Until     time.Time
			Attempts      int
		}
	}
	if err := json.Unmarshal([]byte(inside(t, g, "exilectl", "replay", "--json=short")), &rep); err != nil {
		t.Fatal(err)
	}
	var replayed []string
	for _, b := range rep.Bans {
		replayed = append(replayed, fmt.Sprint(b.Address, " ", b.Jail, " ", b.At.UnixMicro(), " ", b.Until.UnixMicro(), " ", b.Attempts))
	}
	if lived := bansOf(t, g); len(lived) != 3 || !slices.Equal(replayed, lived) {
		t.Errorf("the replay has the bans\n%s\nand the journal\n%s", strings.Join(replayed, "\n"), strings.Join(lived, "\n"))
	}
	if rep.Attempts != 12 || rep.Prevented != 0 || rep.Passed != 12 { // what was prevented is not in the journal
		t.Errorf("%d attempts, %d prevented, %d let through; want 12, 0 and 12", rep.Attempts, rep.Prevented, rep.Passed)
	}
	onTrial(t, g, six)
}

// onTrial: a jail on trial shuts nobody out, also when its time is over, until somebody ends that; what it would have done is known.
func onTrial(t *testing.T, g *target.Target, a *host.Attacker) {
	t.Helper()
	inside(t, g, "exilectl", "trial", "sshd", "1s")
	guess(t, a, 6)
	inside(t, g, "journalctl", "--sync")
	var stands struct {
		Over                      bool
		Attempts, Bans, Prevented int
	}
	eventually(t, "the trial is over", func() bool {
		if err := json.Unmarshal([]byte(inside(t, g, "exilectl", "trial", "sshd", "--json=short")), &stands); err != nil {
			t.Fatal(err)
		}
		return stands.Over
	})
	if stands.Attempts < 6 || stands.Bans == 0 {
		t.Errorf("the trial says %+v", stands)
	}
	inside(t, g, "systemctl", "restart", "exiled")
	if got := inside(t, g, "exilectl", "status"); !strings.Contains(got, "of jail sshd is over since") {
		t.Errorf("the status is %s", got)
	}
	guess(t, a, 1)
	if got := inside(t, g, "exilectl", "trial", "--end", "sshd"); !strings.Contains(got, "Jail sshd bans") {
		t.Errorf("the end of the trial: %s", got)
	}
}

// bansOf are the bans that exiled announced to the journal.
func bansOf(t *testing.T, g *target.Target) (bans []string) {
	t.Helper()
	for line := range strings.Lines(inside(t, g, "exilectl", "history", "--json=short")) {
		var e struct {
			Kind string
			Ban  struct {
				Jail, Address string
				Since         int64 `json:"since_usec"`
				Until         int64 `json:"until_usec"`
				Failures      int
			}
		}
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatal(err)
		}
		if b := &e.Ban; e.Kind == "ban" {
			bans = append(bans, fmt.Sprint(b.Address, " ", b.Jail, " ", b.Since, " ", b.Until, " ", b.Failures))
		}
	}
	return bans
}
