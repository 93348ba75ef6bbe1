package config

import (
	"net/netip"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// TestPack: what was packed is the same configuration, with the origins of its values, although it depends on which file is
// the later one.
func TestPack(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	write(t, root, "/etc/exile/exile.yaml", "jails: {sshd: {detection: adaptive}}\n")
	write(t, root, "/etc/exile/exile.yaml.d/10-a.yaml", "# ünïcode\nbantime: 3h\n")
	c, err := Load(Sources{Root: root})
	if err != nil {
		t.Fatal(err)
	}
	packed, err := c.Pack()
	if err != nil {
		t.Fatal(err)
	}
	again, err := Unpack(packed)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(c, again, cmpopts.IgnoreUnexported(Config{}, Jail{}), cmpopts.EquateComparable(netip.Prefix{})); diff != "" {
		t.Errorf("(-loaded +unpacked):\n%s", diff)
	}
	want := filepath.Join(root, "/etc/exile/exile.yaml.d/10-a.yaml:2")
	if got := again.Origin("sshd", "bantime"); got != want {
		t.Errorf("bantime is from %s, want %s", got, want)
	}
	if again.Jails[0].Escalation.Increment {
		t.Error("bantime in a later file no longer means what the tutorial says")
	}
	for _, bad := range []string{"", "{", `{"files":[{"name":"x","text":"maxretyr: 1"}]}`} {
		if _, err := Unpack([]byte(bad)); err == nil {
			t.Errorf("%q is a configuration", bad)
		}
	}
}

// TestPackaged: what packages bring is not asked what the administrator wrote.
func TestPackaged(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	write(t, root, "/usr/lib/exile/exile.yaml", "maxretry: 7\n")
	write(t, root, "/etc/exile/exile.yaml", "broken: [\n")
	write(t, root, "/etc/exile/exile.yaml.d/10-a.yaml", "broken: [\n")
	c, err := Load(Sources{Root: root, Packaged: true})
	if err != nil || jailNamed(t, c, "sshd").MaxRetry != 7 {
		t.Errorf("%+v, %v", c, err)
	}
}

// TestTooMuch: the files together are bounded, because they are kept.
func TestTooMuch(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	for _, name := range []string{"a", "b", "c", "d", "e"} {
		write(t, root, "/etc/exile/exile.yaml.d/"+name+".yaml", strings.Repeat("#\n", maxFile/2))
	}
	if _, err := Load(Sources{Root: root}); err == nil || !strings.Contains(err.Error(), "together") {
		t.Errorf("got %v", err)
	}
}
