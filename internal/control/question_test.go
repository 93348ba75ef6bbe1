package control_test

import (
	"testing"

	"exile/internal/control"
)

// TestIsQuestion: what changes nothing may be asked again, whoever may ask it.
func TestIsQuestion(t *testing.T) {
	t.Parallel()
	for method, want := range map[string]bool{
		"Describe": true, "ListBans": true, "GetTrial": true, "ExportStateByFileDescriptor": true,
		"Ban": false, "Unban": false, "Report": false, "TryConfiguration": false, "Reload": false, "Flush": false, "NoSuchMethod": false,
	} {
		if got := control.IsQuestion(method); got != want {
			t.Errorf("IsQuestion(%q) = %v, want %v", method, got, want)
		}
	}
}
