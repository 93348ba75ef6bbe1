package filter

import (
	"bytes"
)

// saying are words that only lines of certain rules have, and these always, by the rule. A text of the remote end may have them, too; see
// jail.Scrutiny for why that is not enough to make lines count as changed.
var saying = [...]struct{ rule, words string }{
	{"failed", "Failed password for"},
	{"invalid-user", "Invalid user "},
	{"pam", "authentication failure; "},
	{"gave-up", "authenticating user "},
	{"max-attempts", "authentication attempts exceeded"},
}

// Groups implements jail.Looker.
func (s *sshd) Groups() map[string]int {
	groups := make(map[string]int)
	for i, w := range saying {
		groups[w.rule] = i
	}
	return groups
}

// HasForm implements jail.Looker. sshd's lines begin in as many ways as there are messages.
func (s *sshd) HasForm() bool { return false }

// Look implements jail.Looker.
func (s *sshd) Look(message []byte) (group int, formed bool) {
	message = message[:min(len(message), 2*maxLine)]
	for i, w := range saying {
		if bytes.Contains(message, []byte(w.words)) {
			return i, false
		}
	}
	return -1, false
}
