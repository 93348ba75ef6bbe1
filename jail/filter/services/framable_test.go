package services

import (
	"bytes"
	"slices"
	"strings"
	"testing"
)

const framableFile = `description: a test
source: a test
patterns:
  - {name: first, kind: failure, match: '^(?P<user>\S+) from <ADDR>', framable: WORD}
  - {name: second, kind: failure, match: '^no <ADDR>$'}
samples:
  - {line: bob from 192.0.2.1, pattern: first, address: 192.0.2.1, user: bob}
  - {line: no 192.0.2.1, pattern: second, address: 192.0.2.1}
  - {line: 'yes', pattern: none}
`

// A pattern with which clients can have others banned is read only if the file says that this is known, and until somebody accepts that the
// filter says so.
func TestFramableWord(t *testing.T) {
	t.Parallel()
	for word, accepted := range map[string]bool{"found": false, "accepted": true} {
		s, err := Parse("test.yaml", bytes.ReplaceAll([]byte(framableFile), []byte("WORD"), []byte(word)))
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(s.Risk(), "pattern first") || s.Accepted() != accepted {
			t.Errorf("%s: accepted is %t, %q", word, s.Accepted(), s.Risk())
		}
	}
	for _, word := range []string{"yes", "''"} {
		if _, err := Parse("test.yaml", bytes.ReplaceAll([]byte(framableFile), []byte("WORD"), []byte(word))); err == nil {
			t.Errorf("framable: %s loads", word)
		}
	}
}

// A file may say the same of the whole filter, with the reason.
func TestFramableFilter(t *testing.T) {
	t.Parallel()
	const rest = `description: a test
source: a test
patterns: [{name: second, kind: failure, match: '^no <ADDR>$'}]
samples: [{line: no 192.0.2.1, pattern: second, address: 192.0.2.1}, {line: 'yes', pattern: none}]
`
	for head, want := range map[string]bool{
		"":                                       true,
		"framable: found\nbecause: of that\n":    true,
		"framable: accepted\nbecause: of that\n": true,
		"framable: found\n":                      false,
		"because: of that\n":                     false,
		"framable: refused\nbecause: of that\n":  false,
	} {
		s, err := Parse("test.yaml", []byte(head+rest))
		if (err == nil) != want {
			t.Errorf("%q: %v", head, err)
		}
		if err == nil && (s.Accepted() == strings.Contains(head, "found") || (s.Risk() == "of that") != (head != "")) {
			t.Errorf("%q: accepted is %t, %q", head, s.Accepted(), s.Risk())
		}
	}
}

// TestShippedFramable: the filters that ship and with which jails do not read by themselves are known, and say why.
func TestShippedFramable(t *testing.T) {
	t.Parallel()
	var risky []string
	for _, name := range Names() {
		s := load(t, name)
		if s.Risk() != s.because {
			t.Errorf("%s has a risk that the file does not explain", name)
		}
		if s.Risk() != "" {
			risky = append(risky, name)
		}
		if s.Accepted() != (s.Risk() == "") {
			t.Errorf("%s: accepted is %t", name, s.Accepted())
		}
	}
	if want := []string{"mariadb", "murmur", "phpmyadmin", "redis", "zimbra"}; !slices.Equal(risky, want) {
		t.Errorf("%q are framable, want %q", risky, want)
	}
}
