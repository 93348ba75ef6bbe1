package main

import (
	"slices"
	"testing"

	"exile/internal/config"
	"exile/internal/daemon"
	"exile/internal/setup"
)

// A jail says which text logs it reads: all that its filters name.
func TestLogsOfJail(t *testing.T) {
	t.Parallel()
	j := &daemon.Jail{}
	watch(j, &config.Jail{TrustLogPath: true}, []*setup.Reading{{Part: &config.Part{}, Logs: []string{"/var/log/a", "/var/log/b*"}}, {Part: &config.Part{}}, {Part: &config.Part{}, Logs: []string{"/var/log/c"}}})
	if want := []string{"/var/log/a", "/var/log/b*", "/var/log/c"}; !slices.Equal(j.Info.Logs, want) {
		t.Errorf("%q, want %q", j.Info.Logs, want)
	}
}
