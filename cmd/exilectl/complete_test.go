package main

import (
	"bytes"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The installed completions are those that cobra makes, made safe; with UPDATE set they are rewritten.
func TestShippedCompletions(t *testing.T) {
	t.Parallel()
	root := newRootCommand()
	for name, write := range map[string]func(io.Writer) error{
		"exilectl.bash": func(w io.Writer) error { return root.GenBashCompletionV2(w, true) },
		"_exilectl":     root.GenZshCompletion,
		"exilectl.fish": func(w io.Writer) error { return root.GenFishCompletion(w, true) },
	} {
		var made bytes.Buffer
		if err := write(&made); err != nil {
			t.Fatal(err)
		}
		want := withoutEval(made.String())
		file := "../../units/completions/" + name
		if os.Getenv("UPDATE") != "" {
			if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		got, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, string(got)); diff != "" {
			t.Errorf("%s (-made +shipped), UPDATE=1 writes it:\n%s", file, diff)
		}
	}
}

// withoutEval makes fish quote what was typed: cobra strips the quotes and evaluates it, so that completing the next word
// would run a name chosen by an attacker.
func withoutEval(script string) string {
	return strings.Replace(script, "set -l args (commandline -opc)", "set -l args (string escape -- (commandline -opc))", 1)
}

func TestWordsForAShell(t *testing.T) {
	t.Parallel()
	for _, safe := range []string{"oracle", "j.doe", "web-1", "a_b", "me@example.org", "0"} {
		if !plainWord(safe) {
			t.Errorf("%q is not offered", safe)
		}
	}
	for _, other := range []string{
		"", "-rf", "--all", "$(reboot)", "(reboot)", "`id`", "a;b", "a b", "a\tb", `"\xff"`, "*", "~root", "a=b", "a#", "\u00e9", "a:b", "%1", "+1",
	} {
		if plainWord(other) {
			t.Errorf("%q is offered", other)
		}
	}
}
