package efficacy

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// small is a host with an attacker of eight guesses in two bursts, an owner with a slip, and one who guessed his way in.
func small(t *testing.T) Host {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", "small.tsv"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows, err := Read(f)
	if err != nil {
		t.Fatal(err)
	}
	return Host{Name: "small", Rows: rows}
}

func TestReplayCountsAttempts(t *testing.T) {
	t.Parallel()
	got := Run([]Host{small(t)}, Rules()[:2]).Hosts[0]
	want := HostReport{Name: "small", Attempts: 8 + 12, Detectors: map[string]Result{
		// The first attempt of the attacker, and of the one who guessed his way in, is all that reaches the host.
		"bound": {Prevented: 18. / 20, Bans: 3, Worst: 1, FalseBans: 1, Denied: 1, Attempts: 20, Legit: 1, Logins: 2},
		// The fifth attempt bans for ten minutes and prevents the sixth; the second burst comes later. The other makes eleven
		// attempts of six guesses, one an hour: each is a ban, and prevents nothing.
		"threshold 5/10m/10m": {Prevented: 1. / 20, Bans: 12, Worst: 12, Attempts: 20, Legit: 1, Logins: 2},
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestReportIsOneJSONDocument(t *testing.T) {
	t.Parallel()
	text, err := json.Marshal(Run([]Host{small(t)}, Rules()[:1]))
	if err != nil {
		t.Fatal(err)
	}
	want := `{"hosts":[{"name":"small","attempts":20,"detectors":{"bound":{"prevented":0.9,"bans":3,"worst":1,"false_bans":1,"denied":1}}}]}`
	if diff := cmp.Diff(want, string(text)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestSyntheticReadsBack(t *testing.T) {
	t.Parallel()
	h := Synthetic(1)
	var text bytes.Buffer
	if err := WriteTSV(&text, h.Rows); err != nil {
		t.Fatal(err)
	}
	rows, err := Read(&text)
	if err != nil {
		t.Fatal(err)
	}
	for i := range rows {
		if a, b := h.Rows[i], rows[i]; !a.Start.Equal(b.Start) || !a.Last.Equal(b.Last) || a.Addr != b.Addr || a.User != b.User ||
			a.Guesses != b.Guesses || a.Success != b.Success || a.Unknown != b.Unknown || a.Method != b.Method {
			t.Fatalf("row %d: wrote %+v, read %+v", i, a, b)
		}
	}
}

func TestReadRefuses(t *testing.T) {
	t.Parallel()
	for _, line := range []string{
		"", "1\t2\t192.0.2.1\troot\t1\t0\t0", "x\t2\t192.0.2.1\troot\t1\t0\t0\tpw", "NaN\t2\t192.0.2.1\troot\t1\t0\t0\tpw",
		"1\tx\t192.0.2.1\troot\t1\t0\t0\tpw", "1\t2\thost\troot\t1\t0\t0\tpw", "1\t2\t192.0.2.1\troot\t-1\t0\t0\tpw",
		"1\t2\t192.0.2.1\troot\tone\t0\t0\tpw", "1e300\t2\t192.0.2.1\troot\t1\t0\t0\tpw",
	} {
		if _, err := Read(strings.NewReader(line + "\n")); err == nil || !strings.Contains(err.Error(), "line 1") {
			t.Errorf("%q: error %v, want one that names the line", line, err)
		}
	}
	dir := t.TempDir()
	if _, err := LoadDir(dir); err == nil {
		t.Error("an empty folder was taken for data")
	}
	if err := os.WriteFile(filepath.Join(dir, "x.tsv.gz"), []byte("no gzip"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadDir(dir); err == nil || !strings.Contains(err.Error(), "x.tsv.gz") {
		t.Errorf("error %v, want one that names the file", err)
	}
}

func TestLoadDirTakesPlainAndZipped(t *testing.T) {
	t.Parallel()
	hosts, err := LoadDir("testdata")
	if err != nil || len(hosts) != 1 || hosts[0].Name != "small" || len(hosts[0].Rows) != len(small(t).Rows) {
		t.Errorf("%d hosts, %v", len(hosts), err)
	}
	dir := t.TempDir()
	var zipped bytes.Buffer
	w := gzip.NewWriter(&zipped)
	if err := errors.Join(WriteTSV(w, small(t).Rows), w.Close(), os.WriteFile(filepath.Join(dir, "a.tsv.gz"), zipped.Bytes(), 0o600)); err != nil {
		t.Fatal(err)
	}
	if hosts, err = LoadDir(dir); err != nil || len(hosts) != 1 || hosts[0].Name != "a" || len(hosts[0].Rows) != len(small(t).Rows) {
		t.Errorf("%d hosts, %v", len(hosts), err)
	}
}

func TestReplaceKeepsTheText(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "x.md")
	write := func(text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("before\n" + beginTable + "old\n" + endTable + "after\n")
	if err := Replace(path, "new\n"); err != nil {
		t.Fatal(err)
	}
	got, _ := os.ReadFile(path)
	if want := "before\n" + beginTable + "new\n" + endTable + "after\n"; string(got) != want {
		t.Errorf("got %q, want %q", got, want)
	}
	write("no marks\n")
	if err := Replace(path, "new\n"); err == nil {
		t.Error("a document without marks was accepted")
	}
}
