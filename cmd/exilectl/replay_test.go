package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestReplay runs the scenarios of the verb that runs the daemon's program: both programs of this tree, side by side, with no daemon.
func TestReplay(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if out, err := exec.Command("go", "build", "-o", dir+"/", "exile/cmd/exiled", "exile/cmd/exilectl").CombinedOutput(); err != nil {
		t.Fatalf("build the programs: %v\n%s", err, out)
	}
	t.Run("long", func(t *testing.T) {
		t.Parallel()
		replayMany(t, filepath.Join(dir, "exilectl"))
	})
	testscript.Run(t, testscript.Params{
		Dir: "testdata/replay", RequireExplicitExec: true, UpdateScripts: os.Getenv("UPDATE_SCRIPTS") != "",
		Setup: func(env *testscript.Env) error {
			env.Setenv("PATH", dir+string(os.PathListSeparator)+env.Getenv("PATH"))
			env.Setenv("TZ", "UTC")
			return nil
		},
		Condition: func(name string) (bool, error) {
			if name == "root" {
				return os.Geteuid() == 0, nil
			}
			_, err := os.Stat(journalTool)
			return err == nil, nil // [journal-remote]
		},
	})
}

// replayMany replays so many logs that their names together are longer than an argument of a program may be, 128 KiB.
func replayMany(t *testing.T, exilectl string) {
	name := strings.Repeat("l", 200)
	dir := t.TempDir()
	line := "2025-11-20T10:00:00+00:00 host sshd[100]: Failed password for root from 192.0.2.1 port 4000 ssh2\n"
	if err := os.WriteFile(filepath.Join(dir, name), []byte(line), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "exile.yaml"), []byte("maxretry: 3\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exilectl, append([]string{"replay", "--json=short", "--config=exile.yaml"}, slices.Repeat([]string{"--logfile=" + name}, 800)...)...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil || !bytes.HasPrefix(out, []byte(`{"entries":800,`)) {
		t.Errorf("%v: %s", err, out[:min(len(out), 500)])
	}
}
