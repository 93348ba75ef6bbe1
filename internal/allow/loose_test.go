package allow

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Anybody who can write to the ignorecommand, a list, or a folder above them can decide who is never banned.
func TestLoose(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED, NOT TESTED: only root's files are not loose")
	}
	dir := filepath.Join(t.TempDir(), "dir")
	file, link := filepath.Join(dir, "file"), filepath.Join(t.TempDir(), "link")
	for _, err := range []error{os.Mkdir(dir, 0o755), os.WriteFile(file, nil, 0o644), os.Symlink(file, link)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, step := range []struct {
		name   string
		change func() error
		want   string // how the message ends; empty: there is none
	}{
		{"root's", func() error { return nil }, ""},
		{"file of others", func() error { return os.Chmod(file, 0o646) }, ": others than root can write it"},
		{"file of a group", func() error { return os.Chmod(file, 0o664) }, ": others than root can write it"},
		{"folder of others", func() error { return errors.Join(os.Chmod(file, 0o644), os.Chmod(dir, 0o777)) }, "dir: others than root can write it"},
		{"as /tmp", func() error { return os.Chmod(dir, 0o777|os.ModeSticky) }, ""},
		{"somebody's", func() error { return os.Chown(file, 65534, 0) }, ": it belongs to user 65534"},
		{"root's again", func() error { return os.Chown(file, 0, 0) }, ""},
	} {
		if err := step.change(); err != nil {
			t.Fatal(err)
		}
		for _, path := range []string{file, link} {
			err := Loose(path)
			if step.want == "" && err != nil || step.want != "" && (err == nil || !strings.Contains(err.Error(), step.want)) {
				t.Errorf("%s: %v, want %q", step.name, err, step.want)
			}
		}
	}
	if err := os.Chmod(filepath.Dir(link), 0o777); err != nil || Loose(link) == nil || Loose(file) != nil {
		t.Errorf("a link that others can exchange: %v, what it leads to: %v, %v", Loose(link), Loose(file), err)
	}
	theirs, through := filepath.Join(t.TempDir(), "theirs"), filepath.Join(dir, "through")
	for _, err := range []error{
		os.Mkdir(theirs, 0o755), os.Symlink(dir, filepath.Join(theirs, "back")), os.Symlink(filepath.Join(theirs, "back"), through),
		os.Chmod(dir, 0o755), os.Lchown(theirs, 65534, 0),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := Loose(filepath.Join(through, "file")); err == nil || !strings.Contains(err.Error(), "theirs: it belongs to user 65534") {
		t.Errorf("a link that leads through somebody's folder: %v", err)
	}
	if err := os.Symlink("loop", filepath.Join(dir, "loop")); err != nil || Loose(filepath.Join(dir, "loop")) == nil {
		t.Errorf("a link to itself: %v", err)
	}
	if err := Loose(filepath.Join(dir, "missing")); err != nil {
		t.Errorf("missing: %v", err)
	}
}
