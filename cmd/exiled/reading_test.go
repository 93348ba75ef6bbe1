package main

import (
	"os"
	"path/filepath"
	"testing"

	"exile/internal/daemon"
)

// TestLateLog: a service that has no log yet is read from the journal, and from its log as soon as there is one.
func TestLateLog(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	log := filepath.Join(dir, "ftp.log")
	text := "nat64_prefixes: []\nstate: " + filepath.Join(dir, "state") + "\njournal: " + dir +
		"\njails: {sshd: {enabled: no}, vsftpd: {enabled: yes, logpath: [" + log + "]}}\n"
	if err := os.WriteFile(filepath.Join(dir, "exile.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	p := service(dir)
	begin(t, p)
	plan, err := p.plan(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	reads := func(plan *daemon.Plan, want string) {
		t.Helper()
		if len(plan.Sources) != 1 || plan.Sources[0].Name != want {
			t.Fatalf("it reads %+v, want %s", plan.Sources, want)
		}
	}
	reads(plan, "journal")
	if better, err := plan.Better(t.Context()); better != nil || err != nil {
		t.Errorf("without a log there is %v, %v", better, err)
	}
	if err := os.WriteFile(log, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	better, err := plan.Better(t.Context())
	if err != nil || better == nil {
		t.Fatalf("with a log there is %v, %v", better, err)
	}
	reads(better, "text:vsftpd")
	if better.Better != nil {
		t.Error("there is something better yet")
	}
}
