package textlog

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"exile/journal"
)

// TestDocker: of what Docker's json-file driver writes, the text and the time are read; what goes on with a line that was too long is not a line,
// also after a restart in the middle of it, and the two outputs do not confuse each other.
func TestDocker(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 16<<10)
	lines := []string{
		`{"log":"192.0.2.1 - - \"GET /\" 401\n","stream":"stdout","time":"2026-11-30T15:04:05.123456789Z"}`,
		`{"log":"` + long + `","stream":"stdout","time":"2026-11-30T15:04:06Z"}`,
		`{"log":"an error\n","stream":"stderr","time":"2026-11-30T15:04:06Z"}`,
		`{"log":"192.0.2.99 forged\n","stream":"stdout","time":"2026-11-30T15:04:07Z"}`,
		`{"log":"a \u003cb\u003e \\n {\"log\":\"no\"}\r\n","stream":"stdout","attrs":{"log":"no"},"time":"2026-11-30T15:04:08Z"}`,
		`not an object`,
		`{"log":"after that one is left out\n","stream":"stdout","time":"2026-11-30T15:04:09Z"}`,
		`{"log":"last\n","stream":"stdout","time":"2026-11-30T15:04:10Z"}`,
	}
	want := []string{
		`05.123 6 192.0.2.1 - - "GET /" 401`, "06.000 6 " + long, "06.000 3 an error", `08.000 6 a <b> \n {"log":"no"}`, "10.000 6 last",
	}
	path := filepath.Join(t.TempDir(), "0a1b-json.log")
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	entries := func(from journal.Start) (texts []string, at []journal.Position) {
		source, err := New(Config{Paths: []string{path}, Form: FormDocker, Location: time.UTC})
		ok(t, err)
		err = source.Follow(t.Context(), from, func(b journal.Batch) error {
			for _, e := range b.Entries {
				texts = append(texts, fmt.Sprintf("%s %s %s", e.Time.UTC().Format("05.000"), e.Fields["PRIORITY"], e.Message))
				at = append(at, e.Position)
			}
			if b.CaughtUp {
				return os.ErrClosed
			}
			return nil
		})
		if err == nil {
			t.Fatal("it ended")
		}
		return texts, at
	}
	got, at := entries(journal.Start{})
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("(-want +got):\n%s", diff)
	}
	for i := range at[:len(at)-1] {
		again, _ := entries(journal.Start{Resume: at[i]})
		if diff := cmp.Diff(want[i+1:], again); diff != "" {
			t.Errorf("after %q (-want +got):\n%s", want[i], diff)
		}
	}
}
