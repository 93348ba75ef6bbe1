package efficacy

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"exile/jail"
)

// small is a host with an attacker of eight guesses in two bursts, an owner with a slip, and one who guessed his way in.
func small(t *testing.T) Host {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", "small.tsv"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows, bad, err := Read(f)
	if err != nil || bad.Rows > 0 {
		t.Fatal(bad, err)
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
	text, err := json.Marshal(Run([]Host{small(t), {Name: "quiet"}}, MainRules()))
	if err != nil {
		t.Fatal(err)
	}
	want := `{"hosts":[` +
		`{"name":"small","attempts":20,"detectors":{` +
		`"adaptive":{"prevented":0.5,"bans":5,"worst":7,"false_bans":0,"denied":0},` +
		`"bound":{"prevented":0.9,"bans":3,"worst":1,"false_bans":1,"denied":1},` +
		`"threshold 5/10m/10m":{"prevented":0.05,"bans":12,"worst":12,"false_bans":0,"denied":0}}},` +
		`{"name":"quiet","attempts":0,"detectors":{` +
		`"adaptive":{"prevented":0,"bans":0,"worst":0,"false_bans":0,"denied":0},` +
		`"bound":{"prevented":0,"bans":0,"worst":0,"false_bans":0,"denied":0},` +
		`"threshold 5/10m/10m":{"prevented":0,"bans":0,"worst":0,"false_bans":0,"denied":0}}}]}`
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
	rows, bad, err := Read(&text)
	if err != nil || bad.Rows > 0 {
		t.Fatal(bad, err)
	}
	for i := range rows {
		if a, b := h.Rows[i], rows[i]; !a.Start.Equal(b.Start) || !a.Last.Equal(b.Last) || a.Addr != b.Addr || a.User != b.User ||
			a.Guesses != b.Guesses || a.Success != b.Success || a.Unknown != b.Unknown || a.Method != b.Method {
			t.Fatalf("row %d: wrote %+v, read %+v", i, a, b)
		}
	}
}

// What is no attempt is left out and told of, by its line; a file of nothing else is no data.
func TestReadLeavesOut(t *testing.T) {
	t.Parallel()
	const good = "1\t2\t192.0.2.1\troot\t1\t0\t0\tpw\n"
	for _, line := range []string{
		"x", "1\t2", "x\t2\t192.0.2.1\troot\t1\t0\t0\tpw", "NaN\t2\t192.0.2.1\troot\t1\t0\t0\tpw",
		"1\tx\t192.0.2.1\troot\t1\t0\t0\tpw", "1\t2\thost\troot\t1\t0\t0\tpw", "1\t2\t192.0.2.1\troot\t-1\t0\t0\tpw",
		"1\t2\t192.0.2.1\troot\tone\t0\t0\tpw", "1e300\t2\t192.0.2.1\troot\t1\t0\t0\tpw", "-1\t2\t192.0.2.1\troot\t1\t0\t0\tpw",
		"1\t2\t192.0.2.1\troot\t99999999\t0\t0\tpw", "1\t2\t\troot\t1\t0\t0\tpw",
	} {
		if _, _, err := Read(strings.NewReader(line + "\n")); err == nil || !strings.Contains(err.Error(), "line 1") {
			t.Errorf("%q: error %v, want one that names the line", line, err)
		}
		rows, bad, err := Read(strings.NewReader(good + line + "\n" + good))
		if err != nil || len(rows) != 2 || bad.Rows != 1 || bad.Line != 2 || !strings.Contains(bad.Error(), "line 2") {
			t.Errorf("%q between others: %d rows, %v, %v", line, len(rows), bad, err)
		}
	}
	if _, _, err := Read(strings.NewReader(good + strings.Repeat("x", maxLine+1))); err == nil || !strings.Contains(err.Error(), "line 2") {
		t.Errorf("an endless line: %v", err)
	}
}

// Whatever the order, and where columns are missing, the attempts are the same.
func TestReadTakes(t *testing.T) {
	t.Parallel()
	const text = "\r\n5.5\t\t::ffff:192.0.2.1\r\nstart\tlast_fail\taddress\n3\t4\t192.0.2.2\troot\n\n1\t\tfe80::1%eth0\ta b\t\t1\t\tpublickey\textra\n"
	rows, bad, err := Read(strings.NewReader(text))
	want := []Row{
		{Start: time.Unix(1, 0), Last: time.Unix(1, 0), Addr: netip.MustParseAddr("fe80::1"), User: "a b", Success: true, Method: "publickey"},
		{Start: time.Unix(3, 0), Last: time.Unix(4, 0), Addr: netip.MustParseAddr("192.0.2.2"), User: "root"},
		{Start: time.UnixMilli(5500), Last: time.UnixMilli(5500), Addr: netip.MustParseAddr("192.0.2.1")},
	}
	if diff := cmp.Diff(want, rows, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" || err != nil || bad.Rows > 0 {
		t.Errorf("%v, %v (-want +got):\n%s", bad, err, diff)
	}
}

func TestLoadDirRefuses(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{"": "", "x.tsv.gz": "no gzip", "y.tsv": "nothing like it\n", "z.tsv.gz": "\x1f\x8b\x08\x00"} {
		dir := t.TempDir()
		if name != "" {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := LoadDir(dir, func(error) {}); err == nil || !strings.Contains(err.Error(), filepath.Join(dir, name)) {
			t.Errorf("%q: error %v, want one that names the file", name, err)
		}
	}
}

// An empty file is a host without attempts.
func TestLoadDirTakesEmpty(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, name := range []string{"a.tsv", "b.tsv.gz"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	hosts, err := LoadDir(dir, func(err error) { t.Error(err) })
	if err != nil || len(hosts) != 2 || len(hosts[0].Rows)+len(hosts[1].Rows) > 0 {
		t.Errorf("%v, %v", hosts, err)
	}
}

func TestLoadDirTakesPlainAndZipped(t *testing.T) {
	t.Parallel()
	hosts, err := LoadDir("testdata", func(err error) { t.Error(err) })
	if err != nil || len(hosts) != 1 || hosts[0].Name != "small" || len(hosts[0].Rows) != len(small(t).Rows) {
		t.Errorf("%d hosts, %v", len(hosts), err)
	}
	dir := t.TempDir()
	var zipped bytes.Buffer
	w := gzip.NewWriter(&zipped)
	if err := errors.Join(WriteTSV(w, small(t).Rows), w.Close(), os.WriteFile(filepath.Join(dir, "a.tsv.gz"), zipped.Bytes(), 0o600)); err != nil {
		t.Fatal(err)
	}
	if hosts, err = LoadDir(dir, func(err error) { t.Error(err) }); err != nil || len(hosts) != 1 || hosts[0].Name != "a" || len(hosts[0].Rows) != len(small(t).Rows) {
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

// Whoever is in a network that is banned is prevented, however wide it is.
func TestReplayPreventsInNetworks(t *testing.T) {
	t.Parallel()
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, network := range []string{"192.0.2.0/24", "2001:db8:1::/48", "2001:db8:1:100::/56", "2001:db8:1:101::/64"} {
		p := netip.MustParsePrefix(network)
		first, second := p.Addr().Next(), p.Addr().Next().Next()
		h := Host{Rows: []Row{{Start: start, Last: start, Addr: first}, {Start: start.Add(time.Minute), Last: start.Add(time.Minute), Addr: second}}}
		if got, _ := Replay(h, whole(p), attempts); got.Prevented != 0.5 {
			t.Errorf("a ban of %s prevents %v of two attempts", network, got.Prevented)
		}
	}
}

// whole is a detector that bans a network at once.
type whole netip.Prefix

func (w whole) Observe(_ jail.Attempt, out []jail.Verdict) []jail.Verdict {
	return append(out, jail.Verdict{Prefix: netip.Prefix(w), Duration: time.Hour})
}

func (whole) Forget(netip.Prefix) {}
func (whole) ForgetAll()          {}
