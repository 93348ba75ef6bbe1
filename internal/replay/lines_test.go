package replay_test

import (
	"bytes"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"exile/internal/replay"
	"exile/jail/filter"
	"exile/journal"
	"exile/journal/textlog"
)

// TestLines: what fail2ban would have done with the logs in testdata/lines. The bans in their comments ("# ban ADDRESS SECONDS": the line that
// decides it, by its time) are what Debian's fail2ban 1.0.2 made of them, with maxretry 3 and findtime 10 minutes.
func TestLines(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/lines/*.log")
	if err != nil || len(files) == 0 {
		t.Fatalf("no logs: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var want []string
			for line := range strings.Lines(string(text)) {
				if ban, ok := strings.CutPrefix(line, "# ban "); ok {
					want = append(want, strings.TrimSpace(ban))
				}
			}
			if diff := cmp.Diff(want, bansByLines(t, text)); diff != "" {
				t.Errorf("bans (-fail2ban +replay):\n%s", diff)
			}
		})
	}
}

// bansByLines returns the bans of a log, when they are of no consequence.
func bansByLines(t *testing.T, text []byte) (bans []string) {
	t.Helper()
	f, err := filter.New("sshd", filter.Options{})
	if err != nil {
		t.Fatal(err)
	}
	l := &replay.Lines{Filter: f, SSHD: true, MaxRetry: 3, FindTime: 10 * time.Minute, BanTime: time.Hour}
	for line := range bytes.Lines(text) {
		if line[0] == '#' {
			continue
		}
		p := textlog.ParseLine(bytes.TrimSuffix(line, []byte("\n")), textlog.Reference{Now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)})
		e := journal.Entry{Time: p.Time, Identifier: string(p.Identifier), PID: p.PID, Message: p.Message}
		if addr, _, ban := l.Observe(&e, func(netip.Addr) bool { return true }); ban {
			bans = append(bans, addr.String()+" "+strconv.FormatInt(p.Time.Unix(), 10))
		}
	}
	return bans
}
