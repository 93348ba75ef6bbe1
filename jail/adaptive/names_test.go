package adaptive

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

// Names are told apart by all of what was sent, and shown by the part that is kept.
func TestLongNames(t *testing.T) {
	t.Parallel()
	s := newScene()
	long := strings.Repeat("x", 64)
	for i := range byte(50) {
		s.fail(addr4(198, 51, i, 1), fmt.Sprintf("%s%d", long, i), true)
	}
	s.wants(t)
	s.fail(addr4(20, 0, 0, 1), long+"7", true)
	s.fail(addr4(203, 0, 113, 1), long+"7", true)
	s.wants(t, "203.0.113.1/32 1h")
	if got := s.Names(s.now); len(got) != 1 || got[0].Name != long || got[0].Hosts != 3 {
		t.Errorf("attack names %+v", got)
	}
	if !s.ForgetName(long) || s.ForgetName(long) {
		t.Error("what Names shows is forgotten once")
	}
	if !s.ForgetName(long+"8") || s.ForgetName(long+"8") {
		t.Error("a name that was never shown is forgotten once")
	}
}

// What one address tried as a name may be somebody's password: it is kept nowhere.
func TestNamesAreHashed(t *testing.T) {
	t.Parallel()
	s := newScene()
	s.fail(addr4(192, 0, 2, 1), "correct horse", true)
	for net := range byte(3) {
		s.fail(addr4(20, net, 0, 1), "oracle", true)
	}
	s.fail(addr4(20, 0, 0, 1), "correct horse", true)
	data := snapshotOf(t, s.Detector)
	if bytes.Contains(data, []byte("correct horse")) || !bytes.Contains(data, []byte("oracle")) {
		t.Error("the snapshot holds a name that is no attack name, or lacks one")
	}
	other := newScene()
	if err := other.Restore(snapshotVersion, data); err != nil {
		t.Fatal(err)
	}
	other.fail(addr4(20, 1, 4, 1), "correct horse", true)
	other.wants(t, "20.1.4.1/32 1h")
}

// A name that was found to be like no account is looked at again when there are others.
func TestStrangeNames(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		hire func(*scene)
	}{
		{"account", func(s *scene) { s.SetAccounts([]string{"oracles"}, nil) }},
		{"login", func(s *scene) { s.login(addr4(203, 0, 113, 77), "oracles", "publickey", 0) }},
	} {
		s := newScene()
		for net := range byte(4) {
			s.fail(addr4(20, net, 0, 1), "oracle", true)
		}
		s.wants(t, "20.2.0.1/32 1h", "20.3.0.1/32 30d")
		c.hire(s)
		s.fail(addr4(20, 4, 0, 1), "oracle", true)
		s.wants(t, "20.2.0.1/32 1h", "20.3.0.1/32 30d")
		if got := s.Names(s.now); len(got) != 0 {
			t.Errorf("%s: attack names %+v", c.name, got)
		}
	}
}
