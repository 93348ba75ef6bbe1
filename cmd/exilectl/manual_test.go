package main

import (
	"os"
	"regexp"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// exilectl(1) mentions every verb and every option, in its short form and in its long one.
func TestManualHasEveryVerb(t *testing.T) {
	t.Parallel()
	const file = "../../docs/man/exilectl.1"
	page, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	has := func(what, pattern string) {
		if !regexp.MustCompile(pattern).Match(page) {
			t.Errorf("%s does not have %s", file, what)
		}
	}
	options := func(cmd *cobra.Command) {
		cmd.LocalNonPersistentFlags().VisitAll(func(f *pflag.Flag) {
			short, long := `Fl `+regexp.QuoteMeta(f.Shorthand)+`\b`, `Fl -`+regexp.QuoteMeta(f.Name)+`\b`
			if f.Name == "help" {
				return
			}
			if f.Shorthand == "" {
				short = long
			}
			has("the long form of --"+f.Name, `(?m)^\.(It|Fl) .*-`+regexp.QuoteMeta(f.Name)+`\b`)
			has("--"+f.Name+" of "+cmd.Name(), `(?m)^\.It (Ic `+cmd.Name()+`\b|Fl ).*(`+short+`|`+long+`)`)
		})
	}
	root := newRootCommand()
	for _, cmd := range root.Commands() {
		has(cmd.Name(), `(?m)^\.It Ic `+regexp.QuoteMeta(cmd.Name())+`\b`)
		options(cmd)
	}
	root.PersistentFlags().VisitAll(func(f *pflag.Flag) {
		has("--"+f.Name, `(?m)^\.It Fl .*-`+regexp.QuoteMeta(f.Name)+`\b`)
	})
}
