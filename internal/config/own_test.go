package config

import (
	"strings"
	"testing"
)

// A jail does not read with a filter with which clients can have others banned, unless somebody accepted that.
func TestParseWith(t *testing.T) {
	t.Parallel()
	const filter = `description: a test
source: a test
patterns: [{name: first, kind: failure, match: '^.* from <ADDR>', framable: found}]
samples: [{line: bob from 192.0.2.1, pattern: first, address: 192.0.2.1}, {line: 'yes', pattern: none}]
`
	const on, off = "jails: {own: {enabled: true, logpath: [/var/log/own.log]}}", "jails: {own: {enabled: false}}"
	accepted := strings.ReplaceAll(filter, "found", "accepted")
	for _, test := range []struct{ text, filter, want string }{
		{on, filter, "filters.d/own.yaml: with the pattern first, whoever is read can have others banned"},
		{on, accepted, ""},
		{off, filter, ""},
	} {
		_, err := ParseWith("test.yaml", []byte(test.text), map[string]string{"own": test.filter})
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want %q", test.text, err, test.want)
		}
	}
}
