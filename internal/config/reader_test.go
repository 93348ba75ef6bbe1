package config

import (
	"os"
	"testing"
)

// TestReader: what changes in any file is in force at once, a mistake is reported as long as it is there, and files that stay as they are
// are parsed once.
func TestReader(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	r := Reader{Sources: Sources{Root: root}}
	first := readAgain(t, &r, "sshd")
	if again := readAgain(t, &r, "sshd"); again != first {
		t.Error("the same files were parsed again")
	}
	const dropIn = "/etc/exile/exile.yaml.d/10.yaml"
	write(t, root, "/etc/exile/exile.yaml", "jails: {web: {enabled: true, filter: vsftpd}}")
	readAgain(t, &r, "sshd", "web")
	write(t, root, dropIn, "jails: {web: {enabled: false}}")
	readAgain(t, &r, "sshd")
	write(t, root, dropIn, "jails: {web: {enabled: fals}}")
	for range 2 {
		if cfg, err := r.Load(); err == nil || cfg != nil {
			t.Error("a mistake is not reported")
		}
	}
	if err := os.Remove(root + dropIn); err != nil {
		t.Fatal(err)
	}
	readAgain(t, &r, "sshd", "web")
}

func readAgain(t *testing.T, r *Reader, enabled ...string) *Config {
	t.Helper()
	cfg, err := r.Load()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, j := range cfg.Jails {
		if j.Enabled {
			names = append(names, j.Name)
		}
	}
	if len(names) != len(enabled) {
		t.Errorf("enabled are %q, want %q", names, enabled)
	}
	return cfg
}
