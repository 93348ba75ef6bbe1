package control_test

import (
	"strings"
	"testing"

	"exile/internal/control"
)

// Who may read the system journal may ask for what is in it, and change nothing.
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
