package metrics

import (
	"context"
	"errors"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"exile/internal/control"
	"exile/internal/control/controltest"
)

var update = flag.Bool("update", false, "write the expected pages anew")

// collector shows every metric, each with a different value.
func collector() *Collector {
	var f controltest.Fake
	f.Set(control.Status{
		State: "degraded", Degraded: []string{"guessing:alice", "guessing:root", "journal-suppressed"}, Backend: "nftables", Started: time.Unix(1_700_000_000, 0),
		Entries: 1001, Unbans: 1002, Evicted: 1010, Repairs: 1003, Gaps: 1004, Suppressed: 1005, Skipped: 1006, Undated: 1011, KernelErrors: 1007,
		DiskErrors: 1008, ReloadFailures: 1009, LastEntry: time.UnixMicro(1_700_000_100_250_000), Lag: 3 * time.Millisecond,
		Instead:    map[string]control.Reason{"guessing:alice": {Word: "guessing"}, "guessing:root": {Word: "guessing"}},
		LastRepair: time.UnixMicro(1_700_000_050_500_000), Dropped: map[string]uint64{"exile4": 1010, "exile6": 1011},
		Blocklists: []control.Blocklist{
			{Name: "bad", Updated: time.Unix(1_700_000_000, 0), Ranges: 1012, Dropped: 1013, Enforced: true}, {Name: "worse", Ranges: 1014},
		},
	}, []control.JailStatus{
		{
			Name: "sshd", Failing: 21, Failures: 22, Spared: 23, Evicted: 24, Denied: 30, Leaked: 31,
			Origins: map[control.Origin]uint64{control.OriginJournal: 25, control.OriginManual: 26},
			Lines:   map[string]uint64{"failure": 27, "success": 28, "other": 29},
		},
		{Name: "a \"quoted\"\\\nname\xff"},
	}, nil, nil)
	c := New(Config{
		Reader: &f, Version: "1.2.3",
		Dropped: map[string]func() uint64{"bus": func() uint64 { return 31 }, "journal": func() uint64 { return 32 }},
	})
	for _, d := range []time.Duration{time.Millisecond, 1_000_001, 700 * time.Millisecond, 2 * time.Hour, 0} {
		c.Announce(control.Event{Kind: control.BanNew, Latency: d})
	}
	c.Announce(control.Event{Kind: control.BanRemoved, Latency: time.Second})
	return c
}

// get requests the page.
func get(t *testing.T, accept string) (kind, page string) {
	t.Helper()
	kind, text, err := collector().page(t.Context(), accept)
	if err != nil {
		t.Fatal(err)
	}
	return kind, string(text)
}

func TestPage(t *testing.T) {
	t.Parallel()
	for file, tt := range map[string]struct{ accept, kind string }{
		"page.txt":         {"*/*", typeText},
		"page.openmetrics": {"application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5", typeOpen},
	} {
		kind, page := get(t, tt.accept)
		if kind != tt.kind {
			t.Errorf("%s: type %q, want %q", file, kind, tt.kind)
		}
		got := strings.ReplaceAll(page, runtime.Version(), "GOVERSION")
		name := filepath.Join("testdata", file)
		if *update {
			if err := os.WriteFile(name, []byte(got), 0o666); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", file, diff)
		}
	}
}

// promtool runs Prometheus's own checker in the folder of the rules.
func promtool(t *testing.T, stdin string, args ...string) {
	t.Helper()
	path, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("SKIPPED, NOTHING WAS TESTED: promtool is not here (make deps)")
	}
	cmd := exec.CommandContext(t.Context(), path, args...)
	cmd.Dir, cmd.Stdin = monitoring, strings.NewReader(stdin)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%q: %v\n%s", cmd.Args, err, out)
	}
}

const monitoring = "../../docs/monitoring"

func TestPromtool(t *testing.T) {
	t.Parallel()
	_, page := get(t, "")
	promtool(t, page, "check", "metrics")
	promtool(t, "", "check", "rules", "alerts.yaml")
	promtool(t, "", "test", "rules", "alerts_test.yaml")
	promtool(t, "", "check", "rules", "fail2ban.yaml")
	promtool(t, "", "test", "rules", "fail2ban_test.yaml")
}

// TestDocuments checks that the page has every metric named by the dashboard and the alerts.
func TestDocuments(t *testing.T) {
	t.Parallel()
	_, page := get(t, "")
	for _, file := range []string{"alerts.yaml", "alerts_test.yaml", "fail2ban.yaml", "fail2ban_test.yaml", "grafana.json"} {
		data, err := os.ReadFile(filepath.Join(monitoring, file))
		if err != nil {
			t.Fatal(err)
		}
		names := regexp.MustCompile(`exile_[a-z_]+`).FindAllString(string(data), -1)
		if len(names) < 5 {
			t.Errorf("%s names only %q", file, names)
		}
		slices.Sort(names)
		for _, name := range slices.Compact(names) {
			if !regexp.MustCompile(`(?m)^` + name + `[ {]`).MatchString(page) {
				t.Errorf("%s names %s, which is not on the page", file, name)
			}
		}
	}
}

// TestDashboardSaysWhatItIsWorth checks that the dashboard shows the same values as exilectl statistics.
func TestDashboardSaysWhatItIsWorth(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile(filepath.Join(monitoring, "grafana.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{
		"exile_jail_failures_total", "exile_dropped_packets_total", "exile_jail_protected_total", "exile_jail_logins_denied_total",
	} {
		if !strings.Contains(string(data), name) {
			t.Errorf("the dashboard does not show %s", name)
		}
	}
}

// deaf is a daemon that never answers.
type deaf struct{ control.Reader }

func (deaf) Status(ctx context.Context) (control.Status, error) {
	<-ctx.Done()
	return control.Status{}, ctx.Err()
}

// half answers one question but not the other.
type half struct{ control.Reader }

func (half) Jails(context.Context) ([]control.JailStatus, error) {
	return nil, errors.New("exiled is stopping")
}

func TestUnavailable(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for name, r := range map[string]control.Reader{"deaf": deaf{}, "half": half{new(controltest.Fake)}} {
		a := New(Config{Reader: r}).answer(ctx, request{method: "GET", path: "/metrics"}, nil)
		if !strings.HasPrefix(a.status, "503 ") || strings.Contains(string(a.body), "exile_") {
			t.Errorf("%s: status %q and %q", name, a.status, a.body)
		}
	}
}

// TestLabels: a label has the name that the records use, or stands for something that no record has.
func TestLabels(t *testing.T) {
	t.Parallel()
	known := map[string]bool{
		"goversion": true, "to": true, "le": true, // the metrics' own
		"set": true, // what a Status has its dropped packets by
	}
	for _, r := range control.Records() {
		for _, f := range reflect.VisibleFields(reflect.TypeOf(r)) {
			known[f.Tag.Get("json")] = true
		}
	}
	_, page := get(t, "")
	for _, m := range regexp.MustCompile(`[{,]([a-z_]+)="`).FindAllStringSubmatch(page, -1) {
		if !known[m[1]] {
			t.Errorf("no record has a %s", m[1])
		}
	}
}
