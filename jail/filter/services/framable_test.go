package services

import (
	"bytes"
	"slices"
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
// filter says so. No filter that ships has one.
func TestFramableWord(t *testing.T) {
	t.Parallel()
	for word, want := range map[string][]string{"found": {"first"}, "accepted": nil} {
		s, err := Parse("test.yaml", bytes.ReplaceAll([]byte(framableFile), []byte("WORD"), []byte(word)))
		if err != nil {
			t.Fatal(err)
		}
		if got := s.Framable(); !slices.Equal(got, want) {
			t.Errorf("%s: got %v, want %v", word, got, want)
		}
	}
	for _, word := range []string{"yes", "''"} {
		if _, err := Parse("test.yaml", bytes.ReplaceAll([]byte(framableFile), []byte("WORD"), []byte(word))); err == nil {
			t.Errorf("framable: %s loads", word)
		}
	}
	for _, name := range Names() {
		if data, err := Shipped(name); err != nil || bytes.Contains(data, []byte("framable")) {
			t.Errorf("%s: framable, or %v", name, err)
		}
	}
}
