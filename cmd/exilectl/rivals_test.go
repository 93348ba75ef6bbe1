package main

import (
	"errors"
	"testing"

	"exile/internal/control"
)

func TestRivals(t *testing.T) {
	t.Parallel()
	jails := []control.JailStatus{{Name: "sshd", State: "running"}, {Name: "vsftpd", State: control.Simulating}}
	for name, test := range map[string]struct {
		guards []string
		err    error
		want   string
	}{
		"same": {
			[]string{"nginx-http-auth", "sshd"},
			nil,
			"x.service is active and guards what jail sshd guards, and its bans are not lifted here: first, systemctl disable --now x",
		},
		"other":      {[]string{"nginx-http-auth"}, nil, ""},
		"simulated":  {[]string{"vsftpd"}, nil, ""},
		"unreadable": {nil, errors.New("not \x1b allowed"), `x.service is active, and may guard the same services: not \x1b allowed`},
	} {
		r := rival{"x.service", func() ([]string, error) { return test.guards, test.err }, "first, "}
		if got := r.warning(jails); got != test.want {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
	}
}
