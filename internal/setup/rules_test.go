package setup

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"exile/internal/config"
	"exile/internal/replay"
	"exile/journal"
)

// TestLinesAlone: who counts as fail2ban does sees each line once. A failure that slapd logs just before its connection's address counts.
func TestLinesAlone(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "exile.yaml")
	if err := os.WriteFile(file, []byte("jails:\n  slapd:\n    enabled: yes\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load(config.Sources{File: file})
	if err != nil {
		t.Fatal(err)
	}
	var readers []Reader
	for i := range cfg.Jails {
		if c := &cfg.Jails[i]; c.Name == "slapd" {
			readers = append(readers, Reader{Jail: c, Reads: OnlyJournal(c), Lines: true})
		}
	}
	rules, err := Rules(cfg, readers, Host{Admins: func([]string) ([]string, error) { return nil, nil }})
	if err != nil {
		t.Fatal(err)
	}
	run := replay.New(rules)
	for i, text := range []string{
		"conn=1000 op=0 RESULT tag=97 err=49 qtime=0.000010 etime=0.000100 text=",
		"conn=1000 fd=12 ACCEPT from IP=192.0.2.1:4000 (IP=0.0.0.0:389)",
	} {
		run.Observe(rules.Jails, &journal.Entry{
			Time: time.Unix(1_700_000_000, int64(i)*1000), PID: 7, Unit: "slapd.service", Identifier: "slapd", Transport: "syslog", Message: []byte(text),
		})
	}
	if n := run.Count().Failures; n != 1 {
		t.Errorf("%d failures of one", n)
	}
}
