package control_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"exile/internal/control"
)

// Users who may read the system journal may ask for its contents, but change nothing.
func TestGate(t *testing.T) {
	t.Parallel()
	const journal, adm, users = 101, 4, 100
	gate := control.Gate{Readers: []uint32{journal, adm}}
	for name, tt := range map[string]struct {
		peer                     control.Peer
		public, inspect, command bool
	}{
		"root":                {control.Peer{UID: 0}, true, true, true},
		"somebody":            {control.Peer{UID: 1000, Groups: []uint32{users}}, true, false, false},
		"somebody alone":      {control.Peer{UID: 1000}, true, false, false},
		"reads the journal":   {control.Peer{UID: 1000, Groups: []uint32{users, journal}}, true, true, false},
		"an administrator":    {control.Peer{UID: 1000, Groups: []uint32{adm}}, true, true, false},
		"not known, overflow": {control.Peer{UID: 65534, Groups: []uint32{65534}}, true, false, false},
	} {
		for _, method := range control.Actions() {
			want := tt.command
			a, ok := control.ActionOf(method)
			switch a {
			case control.Public:
				want = tt.public
			case control.MayInspect:
				want = tt.inspect
			}
			if got := gate.Opens(tt.peer, a); got != want || !ok {
				t.Errorf("%s: %s: %t, want %t", name, method, got, want)
			}
		}
	}
	if a, ok := control.ActionOf("Nope"); ok {
		t.Errorf("a method that is not listed needs %q", a)
	}
	if (control.Gate{}).Opens(control.Peer{UID: 1000, Groups: []uint32{0}}, control.MayInspect) {
		t.Error("a gate that knows no group opens")
	}
}

// Everybody may see the status, but nobody's address and no account in it.
func TestPublicStatus(t *testing.T) {
	t.Parallel()
	nobody := control.Reason{Word: "guessing", Remedy: "See sudo exilectl status."}
	s := control.Status{
		Version: "1", Degraded: []string{"guessing:alice", "guessing:root", "journal-gap", "max-startups:sshd", "state-failed"},
		Remedies: []string{"alice from ::1", "root from ::1", "Look.", "Most come from ::1."}, // one is missing
		Instead: map[string]control.Reason{
			"guessing:alice": nobody, "guessing:root": nobody, "max-startups:sshd": {Word: "max-startups:sshd", Remedy: "Ban them."},
		},
	}
	want := control.Status{
		Version: "1", Degraded: []string{"guessing", "journal-gap", "max-startups:sshd", "state-failed"},
		Remedies: []string{nobody.Remedy, "Look.", "Ban them.", ""},
	}
	if diff := cmp.Diff(want, s.Public()); diff != "" {
		t.Errorf("public (-want +got)\n%s", diff)
	}
	if len(s.Degraded) != 5 || s.Degraded[0] != "guessing:alice" {
		t.Errorf("the status itself is changed: %q", s.Degraded)
	}
}

// A refusal says what to do.
func TestDenied(t *testing.T) {
	t.Parallel()
	for a, want := range map[control.Action]string{
		control.MayInspect: "use sudo, or join the group systemd-journal",
		control.MayBan:     "org.exile1.ban: use sudo",
	} {
		if got := control.Denied(a); !strings.HasSuffix(got, want) {
			t.Errorf("%s: %q, want %q", a, got, want)
		}
	}
}
