package main

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"exile/internal/config"
)

// TestNamed: the logs of enabled jails may be opened, also those that only a filter names, as soon as the files say so and as long as they
// do. A mistake changes nothing, and is reported once.
func TestNamed(t *testing.T) {
	t.Parallel()
	root, warnings := t.TempDir(), 0
	n := &named{warn: func(error) { warnings++ }, reader: config.Reader{Sources: config.Sources{Root: root}}}
	for _, c := range []struct {
		text string
		want []string
		warn int
	}{
		{"jails: {web: {filter: vsftpd, logpath: [/var/log/web/*.log]}, ftp: {enabled: fals}}", nil, 1},
		{"", nil, 1},
		{"jails: {web: {enabled: true, filter: vsftpd, logpath: [/var/log/web/*.log]}}", []string{"/var/log/web/*.log"}, 1},
		{"jails: {web: {enabled: true, filter: vsftpd, logpath: [/var/log/web/*.log]}, ftp: {enabled: fals}}", []string{"/var/log/web/*.log"}, 2},
		{"jails: {web: {enabled: false, filter: vsftpd, logpath: [/var/log/web/*.log]}}", nil, 2},
		{"jails: {vsftpd: {enabled: true}}", []string{"/var/log/vsftpd.log"}, 2},
		{"jails: {sshd: {logpath: [/var/log/secure]}}", []string{"/var/log/secure"}, 2},
		{"jails: {sshd: {enabled: false}}", nil, 2},
	} {
		write(t, filepath.Join(root, "etc/exile/exile.yaml"), c.text)
		for range 2 {
			if got := n.patterns(); !slices.Equal(got, c.want) || warnings != c.warn {
				t.Errorf("with %s: logs %q, want %q; %d warnings", c.text, got, c.want, warnings)
			}
		}
	}
}

// TestNotASocket: what is started by hand says what it is.
func TestNotASocket(t *testing.T) {
	t.Parallel()
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	if err := run(null); err == nil {
		t.Error("it listens on /dev/null")
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
