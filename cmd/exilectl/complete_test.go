package main

import (
	"bytes"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The completions that are installed are the ones that the command would print; with UPDATE set they are written.
func TestShippedCompletions(t *testing.T) {
	t.Parallel()
	for shell, name := range map[string]string{"bash": "exilectl.bash", "zsh": "_exilectl", "fish": "exilectl.fish"} {
		var want bytes.Buffer
		root := newRootCommand()
		root.SetOut(&want)
		root.SetArgs([]string{"completion", shell})
		if err := root.Execute(); err != nil {
			t.Fatal(err)
		}
		file := "../../units/completions/" + name
		if os.Getenv("UPDATE") != "" {
			if err := os.WriteFile(file, want.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		got, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want.String(), string(got)); diff != "" {
			t.Errorf("%s (-printed +shipped), UPDATE=1 writes it:\n%s", file, diff)
		}
	}
}
