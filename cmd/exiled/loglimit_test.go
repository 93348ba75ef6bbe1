package main

import (
	"os"
	"path/filepath"
	"testing"
)

// TestLimitOf: how many lines per minute journald takes from sshd, according to the files of a host.
func TestLimitOf(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		files map[string]string
		links map[string]string
		want  uint64
	}{
		"nothing is set":   {nil, nil, 20_000},
		"comments":         {map[string]string{"etc/systemd/journald.conf": "[Journal]\n#RateLimitBurst=5\n"}, nil, 20_000},
		"a number":         {map[string]string{"etc/systemd/journald.conf": "[Journal]\nRateLimitBurst = 500\n"}, nil, 1000},
		"off by the time":  {map[string]string{"etc/systemd/journald.conf": "[Journal]\nRateLimitIntervalSec=0\n"}, nil, 0},
		"off by the lines": {map[string]string{"etc/systemd/journald.conf.d/x.conf": "[Journal]\nRateLimitBurst=0\n"}, nil, 0},
		"a time":           {map[string]string{"etc/systemd/journald.conf": "[Journal]\nRateLimitIntervalSec=2min\nRateLimitBurst=500"}, nil, 250},
		"a later drop-in": {map[string]string{
			"etc/systemd/journald.conf": "RateLimitBurst=1", "etc/systemd/journald.conf.d/10.conf": "RateLimitBurst=2",
			"run/systemd/journald.conf.d/20.conf": "RateLimitBurst=300",
		}, nil, 600},
		"one of the same name": {map[string]string{
			"usr/lib/systemd/journald.conf.d/20.conf": "RateLimitBurst=2", "etc/systemd/journald.conf.d/20.conf": "RateLimitBurst=300",
		}, nil, 600},
		"the unit's own": {
			map[string]string{"etc/systemd/journald.conf": "RateLimitBurst=1"},
			map[string]string{"burst:sshd.service": "1000000", "interval:sshd.service": "30000000"},
			2_000_000,
		},
		"another unit's": {nil, map[string]string{"burst:cron.service": "5", "interval:cron.service": "30000000"}, 20_000},
		"nonsense":       {nil, map[string]string{"burst:ssh.service": "many", "interval:ssh.service": "30000000"}, 20_000},
	} {
		root := t.TempDir()
		for path, text := range c.files {
			write(t, filepath.Join(root, path), func(path string) error { return os.WriteFile(path, []byte(text), 0o600) })
		}
		for what, to := range c.links {
			write(t, filepath.Join(root, "run/systemd/units/log-rate-limit-"+what), func(path string) error { return os.Symlink(to, path) })
		}
		if got := limitOf(root, []string{"ssh.service", "sshd.service"}).perMinute(); got != c.want {
			t.Errorf("%s: %d a minute, want %d", name, got, c.want)
		}
	}
}

func write(t *testing.T, path string, do func(path string) error) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := do(path); err != nil {
		t.Fatal(err)
	}
}
