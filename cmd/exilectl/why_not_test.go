package main

import (
	"strings"
	"testing"
)

// TestSenderRemedy: nobody is told to have a jail believe what any user can log.
func TestSenderRemedy(t *testing.T) {
	t.Parallel()
	for unit, want := range map[string]string{
		"sshd-copy.service": "units:", "user@1000.service": "nothing", "session-3.scope": "nothing", "": "nothing",
	} {
		if got := senderRemedy(unit); !strings.Contains(got, want) {
			t.Errorf("of unit %q: %q, want %q", unit, got, want)
		}
	}
}
