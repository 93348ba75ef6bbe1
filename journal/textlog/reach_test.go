package textlog

import (
	"os"
	"path/filepath"
	"testing"

	"exile/journal"
)

// TestReach: IsLog and IsFolder allow what a source opens for its pattern, and nothing beside it.
func TestReach(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		pattern, name string
		log, folder   bool
	}{
		{"/var/log/secure", "/var/log/secure", true, false},
		{"/var/log/secure", "/var/log/secure.1", true, false},
		{"/var/log/secure", "/var/log/secure-20261130", true, false},
		{"/var/log/secure", "/var/log/secure-20261130.gz", false, false},
		{"/var/log/secure", "/var/log/secure2", false, false},
		{"/var/log/secure", "/var/log/secure/1", false, false},
		{"/var/log/secure", "/var/log", false, true},
		{"/var/log/secure", "/var", false, false},
		{"/var/log/secure", "/", false, false},
		{"/var/log/secure", "/var/log/other", false, false},
		{"/var/log//web/../secure", "/var/log/secure", true, false},
		{"/secure", "/", false, true},
		{"/secure", "/secure", true, false},
		{"/*", "/", false, true},
		{"/var/log/web/*.log", "/var/log/web/a.log", true, false},
		{"/var/log/web/*.log", "/var/log/web/a.log.12", true, false},
		{"/var/log/web/*.log", "/var/log/web/a.log.old", false, false},
		{"/var/log/web/a.log", "/var/log/web/a.1.log", true, false},
		{"/var/log/web/a.log", "/var/log/web/a-20261130.log", true, false},
		{"/var/log/web/a.log", "/var/log/web/a-2.log", false, false},
		{"/var/log/web/*.log", "/var/log/web/sub/a.log", false, false},
		{"/var/log/web/*.log", "/var/log/web", false, true},
		{"/var/log/web/*.log", "/var/log", false, false},
		{"/var/log/*/sub/a.log", "/var/log", false, true},
		{"/var/log/*/sub/a.log", "/var/log/web", false, true},
		{"/var/log/*/sub/a.log", "/var/log/web/sub", false, true},
		{"/var/log/*/sub/a.log", "/var/log/web/other", false, false},
		{"/var/log/*/sub/a.log", "/var/log/web/sub/a.log", true, false},
		{"/var/log/*/sub/a.log", "/var/log/web/sub/a.log/x", false, false},
		{"/var/log/*/sub/a.log", "/var", false, false},
		{"/etc/[^a]asswd", "/etc/passwd", true, false},
		{"/etc[^a]shadow", "/etc/shadow", false, false},
		{"/etc/*", "/etc/.1", true, false},
		{"/etc/sh?dow", "/etc/shadow", true, false},
		{"/etc/[", "/etc/[", false, false},
		{`/etc/\*`, "/etc/shadow", false, false},
		{`/etc/\*`, "/etc/*", true, false},
	} {
		if got := IsLog(c.pattern, c.name); got != c.log {
			t.Errorf("of %s, %s is a log: %v", c.pattern, c.name, got)
		}
		if got := IsFolder(c.pattern, c.name); got != c.folder {
			t.Errorf("of %s, %s is a folder: %v", c.pattern, c.name, got)
		}
	}
}

// TestReachIsEnough: whatever a source opens for its patterns is what IsLog and IsFolder allow.
func TestReachIsEnough(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	for _, name := range []string{"web/logs/a.log", "web/logs/a.log.1", "web/logs/a-20261130.log", "mail/logs/b.log", "mail/other/c.log"} {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("line\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"*/logs/*.log", "web/logs/a.log", "*/*/[a-c].log"} {
		pattern, asked := filepath.Join(root, name), 0
		cfg := Config{Paths: []string{pattern}, Open: func(name string) (*os.File, error) {
			if asked++; !IsLog(pattern, name) && !IsFolder(pattern, name) {
				t.Errorf("%s is opened for %s", name, pattern)
			}
			return os.Open(name)
		}}
		if !cfg.Exists() {
			t.Errorf("there is no log at %s", pattern)
		}
		f := newFollower(cfg, journal.Start{}, nil)
		for _, path := range f.paths() {
			f.chain(path)
		}
		f.close()
		if len(f.files) < 2 || asked < len(f.files) {
			t.Errorf("%d files are open, %d were asked for", len(f.files), asked)
		}
	}
}

// TestExists: a log that is not there, or only in a folder of another name, is none.
func TestExists(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	for _, name := range []string{"a.log", "*.log", "*/a.log"} {
		if (Config{Paths: []string{filepath.Join(root, name)}}).Exists() {
			t.Errorf("%s exists", name)
		}
	}
}
