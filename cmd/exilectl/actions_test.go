package main

import (
	"testing"
	"time"

	"exile/internal/actions"
)

// TestActionsWarning: what the status of the daemon says of actions.
func TestActionsWarning(t *testing.T) {
	t.Parallel()
	now := time.Unix(1, 0)
	fine := actions.ActionStatus{Name: "fine", LastSuccess: now}
	for name, test := range map[string]struct {
		running bool
		status  actions.Status
		want    string
	}{
		"stopped": {false, actions.Status{}, "there are actions for bans, and exiled-actions.service does not run: systemctl start exiled-actions.service"},
		"unknown": {true, actions.Status{}, ""},
		"fine":    {true, actions.Status{Actions: []actions.ActionStatus{fine}}, ""},
		"failing": {
			true,
			actions.Status{Problems: []string{"x"}, Actions: []actions.ActionStatus{{Name: "a", LastFailure: now}, fine, {Name: "b\x1b", LastFailure: now}}},
			`failing actions: a, b\x1b; see exilectl actions`,
		},
		"mistake": {true, actions.Status{Problems: []string{"x"}, Actions: []actions.ActionStatus{fine}}, "1 problem with actions; see exilectl actions"},
	} {
		if got := actionsWarning(test.running, &test.status); got != test.want {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
	}
}
