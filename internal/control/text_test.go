package control

import (
	"errors"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

// FuzzQuoteName: whatever name an attacker uses, people can read it and type it.
func FuzzQuoteName(f *testing.F) {
	for _, name := range []string{"root", "", `"`, `"root"`, "\xff", "a\x1b[2J", "ünï", "a\nb", strings.Repeat("x", MaxText+1), "\u202eabc", "-f"} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		text := QuoteName(name)
		if !utf8.ValidString(text) || strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
			t.Errorf("%q is quoted as %q", name, text)
		}
		if got, err := ParseName(text); len(name) <= MaxText && (got != name || err != nil) {
			t.Errorf("%q is quoted as %q and read as %q, %v", name, text, got, err)
		}
	})
}

func TestParseNameRefuses(t *testing.T) {
	t.Parallel()
	for _, text := range []string{`"`, `"a`, `"a"b`, `"\q"`, "a\x1bb", "a\xff", strings.Repeat("x", MaxText+1), `"` + strings.Repeat("x", 4*MaxText) + `"`} {
		if name, err := ParseName(text); !errors.Is(err, ErrInvalid) {
			t.Errorf("%q is read as %q, %v", text, name, err)
		}
	}
}
