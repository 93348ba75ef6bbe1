package main

import (
	"os"
	"os/exec"
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
	testscript.Run(t, testscript.Params{
		Dir: "testdata/replay", RequireExplicitExec: true, UpdateScripts: os.Getenv("UPDATE_SCRIPTS") != "",
		Setup: func(env *testscript.Env) error {
			env.Setenv("PATH", dir+string(os.PathListSeparator)+env.Getenv("PATH"))
			env.Setenv("TZ", "UTC")
			return nil
		},
		Condition: func(string) (bool, error) {
			_, err := os.Stat(journalTool)
			return err == nil, nil // [journal-remote]
		},
	})
}
