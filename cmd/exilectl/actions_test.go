package main

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"exile/internal/actions"
	"exile/internal/config"
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

// TestStrays: jails that an action names and that do not exist are found, with the line.
func TestStrays(t *testing.T) {
	t.Parallel()
	cfg, err := config.Parse("exile.yaml", []byte("jails: {vsftpd: {enabled: no}}\n"))
	if err != nil {
		t.Fatal(err)
	}
	var all []*actions.Action
	for file, text := range map[string]string{
		"a.yaml": "program: /bin/a\n", "b.yaml": "jails: [sshd, vsftpd, recidive, manual]\nprogram: /bin/b\n",
		"c.yaml": "program: /bin/c\njails:\n  - sshd\n  - sshhd\n",
	} {
		a, err := actions.Parse(file, []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, a)
	}
	if diff := cmp.Diff([]string{`c.yaml:3: jails: there is no jail "sshhd"`}, strays(cfg, all)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}
