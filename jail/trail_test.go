package jail_test

import (
	"net/netip"
	"runtime"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"exile/jail"
	"exile/jail/adaptive"
	"exile/jail/filter"
	"exile/journal"
)

// newAdaptiveJail is a jail with a detector that does not know the entries behind its verdicts.
func newAdaptiveJail(t *testing.T) *jail.Jail {
	t.Helper()
	f, err := filter.New("sshd", filter.Options{})
	if err != nil {
		t.Fatal(err)
	}
	cfg := tutorial()
	cfg.Detection = jail.Adaptive
	j, err := jail.New(cfg, f, nil, adaptive.New(adaptive.Default()))
	if err != nil {
		t.Fatal(err)
	}
	return j
}

// TestEvidence: a decision of either detector names the entries that led to it, and no others.
func TestEvidence(t *testing.T) {
	t.Parallel()
	var want []jail.Trace
	lines := []struct {
		pid  int32
		line string
		rule string // of evidence
	}{
		{5, "Failed password for root from 192.0.2.10 port 4001 ssh2", "failed"},
		{6, "Failed password for root from 198.51.100.7 port 4002 ssh2", ""},
		{7, "Invalid user x from 192.0.2.10 port 4003", "invalid-user"},
		{7, "Failed password for invalid user x from 192.0.2.10 port 4003 ssh2", ""}, // the same guess
		{8, "message repeated 2 times: [ Failed password for root from 192.0.2.10 port 4004 ssh2]", "failed"},
		{9, "Connection closed by authenticating user root 192.0.2.10 port 4005 [preauth]", "gave-up"},
	}
	cfg := tutorial()
	cfg.MaxRetry = 5
	detectors := map[string]*jail.Jail{"threshold": newJail(t, cfg, nil), "adaptive": newAdaptiveJail(t)}
	got := map[string][]jail.Decision{}
	for i, l := range lines {
		at := time.Duration(i) * time.Second
		for name, j := range detectors {
			got[name] = append(got[name], j.Observe(entry(at, l.pid, l.line))...)
		}
		if l.rule != "" {
			want = append(want, jail.Trace{Time: start.Add(at), Rule: l.rule, Position: journal.Position{
				SeqnumID: journal.ID{1}, Seqnum: uint64(i + 1), Realtime: uint64(start.Add(at).UnixMicro()),
			}})
		}
	}
	for name, decisions := range got {
		if len(decisions) != 1 {
			t.Errorf("%s: decided %v, want one ban", name, decisions)
			continue
		}
		if diff := cmp.Diff(want, decisions[0].Evidence); diff != "" {
			t.Errorf("%s: evidence (-want +got):\n%s", name, diff)
		}
	}
}

// TestEvidenceOfAForgivenSlip: what a login took back led to nothing.
func TestEvidenceOfAForgivenSlip(t *testing.T) {
	t.Parallel()
	j := newAdaptiveJail(t)
	j.Observe(entry(0, 5, "Failed password for root from 192.0.2.10 port 4000 ssh2"))
	j.Observe(entry(time.Second, 5, "Accepted password for root from 192.0.2.10 port 4000 ssh2"))
	j.Observe(entry(2*time.Second, 5, "Disconnected from user root 192.0.2.10 port 4000"))
	var got []jail.Decision
	for i := 3; len(got) == 0 && i < 100; i++ { // the points of who logged in count a fifth
		got = j.Observe(entry(time.Duration(i)*time.Second, int32(i+10), "Failed password for root from 192.0.2.10 port 4001 ssh2"))
	}
	if len(got) != 1 || len(got[0].Evidence) != 16 {
		t.Fatalf("decided %v, want a ban with the last 16 entries", got)
	}
	if first := got[0].Evidence[0].Time; first.Before(start.Add(3 * time.Second)) {
		t.Errorf("the evidence begins at %v, before the login", first)
	}
}

// TestEvidenceOfSeveral: each of the decisions of one moment has the entries of its own address.
func TestEvidenceOfSeveral(t *testing.T) {
	t.Parallel()
	cfg := tutorial()
	cfg.MaxRetry = 5
	for name, j := range map[string]*jail.Jail{"threshold": newJail(t, cfg, nil), "adaptive": newAdaptiveJail(t)} {
		for i := range 10 { // only PAM tells, which is believed when nothing better came
			addr := []string{"192.0.2.10", "198.51.100.7"}[i%2]
			at := time.Duration(i) * time.Second
			j.Observe(entry(at, int32(i+5), "pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost="+addr+"  user=root"))
		}
		decisions := j.Advance(start.Add(time.Hour))
		if len(decisions) != 2 {
			t.Errorf("%s: decided %v, want two bans", name, decisions)
			continue
		}
		for i, d := range decisions {
			for n, trace := range d.Evidence {
				if want := start.Add(time.Duration(2*n+i) * time.Second); len(d.Evidence) != 5 || !trace.Time.Equal(want) {
					t.Errorf("%s: evidence against %v: %v, want five of which entry %d is of %v", name, d.Prefix, d.Evidence, n, want)
				}
			}
		}
	}
}

// TestTrailsAreBounded: a jail that many addresses attack all month remembers so many of their entries, and no more.
func TestTrailsAreBounded(t *testing.T) {
	if testing.Short() {
		t.Skip("SKIPPED: a quarter of a million lines take a second")
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	j := newAdaptiveJail(t)
	for i := range 16 * 16384 {
		addr := netip.AddrFrom4([4]byte{11, byte(i % 16384 >> 8), byte(i), 1})
		j.ObserveAttempt(jail.Attempt{Time: start.Add(time.Duration(i) * 9 * time.Second), Addr: addr, Guesses: 1, User: "root", Rule: "failed"})
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if used := int64(after.HeapAlloc) - int64(before.HeapAlloc); used > 5_600_000 {
		t.Errorf("the jail takes %d bytes", used)
	} else {
		t.Logf("%.1f MB", float64(used)/1e6)
	}
	runtime.KeepAlive(j)
}
