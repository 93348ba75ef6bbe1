package e2e

import (
	"fmt"
	"strings"
	"testing"
)

// TestStalledJournal: exiled is killed while thousands of its announcements wait for a stalled journald, although the disk
// has what came after them. In the end the journal tells of every ban.
func TestStalledJournal(t *testing.T) {
	t.Parallel()
	g := boot(t, config("ipset"))
	ctx := limit(t, patience)
	inside(t, g, "systemctl", "kill", "-s", "STOP", "systemd-journald")
	const n, batches = 2000, 2 // more than fit into a socket
	for batch := range batches {
		var bans strings.Builder
		for i := range n {
			fmt.Fprintf(&bans, `{"address":"203.0.%d.%d","jail":"sshd","until_usec":null}`+"\n", batch*8+i/250, i%250)
		}
		if _, err := g.Feed(ctx, bans.String(), "exilectl", "import", "-q"); err != nil {
			t.Fatal(err)
		}
	}
	inside(t, g, "systemctl", "kill", "-s", "KILL", "exiled")
	inside(t, g, "systemctl", "kill", "-s", "CONT", "systemd-journald")
	eventually(t, "every ban is told", func() bool { return len(announced(t, g)) == n*batches })
}
