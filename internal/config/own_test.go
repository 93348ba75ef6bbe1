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
		{on, filter, "a client could have others banned with the filter own: whoever is read can have others banned with the pattern first"},
		{strings.ReplaceAll(on, "enabled", "framable: accepted, enabled"), filter, ""},
		{strings.ReplaceAll(on, "enabled", "framable: refused, enabled"), filter, "write jails: {own: {framable: accepted}} in a drop-in"},
		{strings.ReplaceAll(on, "enabled", "framable: yes, enabled"), filter, `"yes" is not one of accepted, refused`},
		{on, accepted, ""},
		{off, filter, ""},
	} {
		_, err := ParseWith("test.yaml", []byte(test.text), map[string]string{"own": test.filter})
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want %q", test.text, err, test.want)
		}
	}
}

// TestOneLogInTwoForms: a line that is read in two forms would count twice, so no log of a jail may be that of two such filters, by its name or by a
// pattern.
func TestOneLogInTwoForms(t *testing.T) {
	t.Parallel()
	const filter = `description: a test
source: a test
form: FORM
logpath: [LOG]
patterns: [{name: first, kind: failure, match: '^from <ADDR>$'}]
samples: [{line: from 192.0.2.1, pattern: first, address: 192.0.2.1}, {line: 'yes', pattern: none}]
`
	made := func(form, log string) string {
		return strings.NewReplacer("FORM", form, "LOG", "'"+log+"'").Replace(filter)
	}
	for _, c := range []struct {
		form, one, two string
		refused        bool
	}{
		{"syslog", "/var/log/a.log", "/var/log/a.log", true},
		{"syslog", "/var/log/*.log", "/var/log/a.log", true},
		{"syslog", "/var/log/a.log", "/var/log/[ab].log", true},
		{"syslog", "/var/log/a/*.log", "/var/log/a.log", false},
		{"line", "/var/log/*.log", "/var/log/a.log", false},
	} {
		_, err := ParseWith("test.yaml", []byte("jails: {web: {enabled: true, filter: [one, two]}}"),
			map[string]string{"one": made("line", c.one), "two": made(c.form, c.two)})
		if (err != nil) != c.refused || err != nil && !strings.Contains(err.Error(), "read the same log in different forms") {
			t.Errorf("line %s and %s %s: %v", c.one, c.form, c.two, err)
		}
	}
}
