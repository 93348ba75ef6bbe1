package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestReportIntoUsersFolder: root follows no link in a folder that belongs to a user, who could have put it there.
func TestReportIntoUsersFolder(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED, NOTHING WAS TESTED: only root can give a folder away")
	}
	const nobody = 65534
	home, target := t.TempDir(), filepath.Join(t.TempDir(), "target")
	if err := os.WriteFile(target, []byte("before"), 0o600); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(home, "report.html")
	if err := os.Symlink(target, link); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{home, filepath.Dir(target)} {
		if isShared(dir) {
			t.Fatalf("%s is root's own", dir)
		}
	}
	if err := os.Chown(home, nobody, nobody); err != nil {
		t.Fatal(err)
	}
	err := writeReport(link, nil)
	if err == nil || !strings.Contains(err.Error(), "is a link in a folder that others can write to") {
		t.Errorf("writing says %v", err)
	}
	if text, err := os.ReadFile(target); string(text) != "before" {
		t.Errorf("the target of the link holds %q (%v)", text, err)
	}
}
