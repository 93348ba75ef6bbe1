package services

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestWords: the list of words that an expression has, and that no line is passed over that it matches.
func TestWords(t *testing.T) {
	t.Parallel()
	for expr, want := range map[string]string{
		`^a (?i:nikto|nmap scripting engine|sqlmap) z`: "nikto z|nmap scripting engine|sqlmap z",
		`^a [^"]*(?i:php\d?|phtml|phar) z`:             "phar z|php|php z|phtml z",
		`^a (?:env|git/|s[hv]n) z`:                     "env z|git/ z|shn z|svn z",
		`^a (?i:ask|sky) z`:                            "ask z|sky z",
		`^a (?:ab|abcd) z`:                             "",
		`^a (?:abc)?(?:def|ghi) z`:                     "abcdef z|abcghi z|def z|ghi z",
		`^a (?:ab|.*) z`:                               "",
		`^a (?:ab|cd)`:                                 "",
		`^a \d\d\d z`:                                  "",
		`^a (?:[a-z]bc|def) z`:                         "",
		`^a (?:éab|abc) z`:                             "",
	} {
		m, err := newMatcher(expr)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		if m.words != nil {
			got = slices.Concat(m.words.byFirst[:]...)
		}
		slices.Sort(got)
		if diff := cmp.Diff(want, strings.Join(got, "|")); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", expr, diff)
		}
	}
}

// TestWordsIn: a word is found at both ends, in any case, and as the letters that fold to it.
func TestWordsIn(t *testing.T) {
	t.Parallel()
	m, err := newMatcher(`(?i:ask|nikto/)`)
	if err != nil {
		t.Fatal(err)
	}
	for line, want := range map[string]bool{
		"ask": true, "x NIKTO/": true, "niKTo/ x": true, "ni": false, "nikto": false, "nikto?": false, "as": false, "aSk": true,
		"a\u017fk": true, "as\u212a": true, "": false, "a": false, "nikt\xef/": false, "nnikto/": true, "AAASK": true,
	} {
		if got := m.words.in([]byte(line)); got != want {
			t.Errorf("%q: %t, want %t", line, got, want)
		}
	}
}

// FuzzWords: whatever an expression matches has one of its words.
func FuzzWords(f *testing.F) {
	f.Add(`(?i:nikto|sq?map|[kx]ey)+`, "NIKTO")
	f.Add(`a(?:b|cd)?(?i:efg|\x{e9})`, "acdEFG")
	f.Fuzz(func(t *testing.T, expr, line string) {
		if len(expr) > 200 || regexp.MustCompile(`<[A-Z]+>`).MatchString(expr) {
			return
		}
		m, err := newMatcher(expr)
		if err != nil {
			return
		}
		if m.re.MatchString(line) && !m.may([]byte(line)) {
			t.Errorf("%s matches %q, which is passed over", expr, line)
		}
	})
}
