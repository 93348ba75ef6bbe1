package e2e

import (
	"strings"
	"testing"

	"exile/e2e/host"
	"exile/e2e/target"
)

// guard are the properties of exiled.service that decide whether it can work.
var guard = []string{"User=exile", "SupplementaryGroups=systemd-journal", "StateDirectory=exile", "AmbientCapabilities=CAP_NET_ADMIN"}

// TestRefuse: when exiled cannot work, one line says why and names the remedy, and nothing is left half done.
func TestRefuse(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name       string
		config     string
		mode       string   // of the configuration file; readable if empty
		properties []string // of the unit; guard if nil
		want       []string // words of the line
	}{
		{name: "bad YAML", config: "jails: [\n", want: []string{"bad.yaml:", "yaml"}},
		{name: "unknown key", config: "jails:\n  sshd:\n    maxretyr: 4\n", want: []string{"bad.yaml:3", "maxretyr", "maxretry"}},
		{name: "unknown jail", config: "jails:\n  sshdd: {}\n", want: []string{"bad.yaml:2", "sshdd"}},
		{name: "impossible bantime", config: "jails:\n  sshd:\n    bantime: -5m\n", want: []string{"bad.yaml:3", "bantime"}},
		{name: "bantime in words", config: "defaults:\n  bantime: soon\n", want: []string{"bad.yaml:2", "bantime", "soon"}},
		{name: "unreadable file", config: "{}\n", mode: "0600", want: []string{"bad.yaml", "permission denied"}},
		{
			name: "no CAP_NET_ADMIN", config: "backend: ipset\n", want: []string{"CAP_NET_ADMIN"},
			properties: []string{"User=exile", "SupplementaryGroups=systemd-journal", "StateDirectory=exile"},
		},
		{
			name: "no CAP_NET_ADMIN, any backend", config: "backend: auto\n", want: []string{"CAP_NET_ADMIN"},
			properties: []string{"User=exile", "SupplementaryGroups=systemd-journal", "StateDirectory=exile"},
		},
	}
	g := off(t, "{}\n")
	inside(t, g, "systemd-sysusers")
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			refuse(t, g, tt.config, tt.mode, tt.properties, tt.want)
		})
	}
}

func refuse(t *testing.T, g *target.Target, config, mode string, properties, want []string) {
	t.Helper()
	if mode == "" {
		mode = "0644"
	}
	if properties == nil {
		properties = guard
	}
	if _, err := g.Feed(t.Context(), config, "install", "-m", mode, "/dev/stdin", "/etc/bad.yaml"); err != nil {
		t.Fatal(err)
	}
	args := []string{"systemd-run", "--quiet", "--wait", "--pipe", "--collect", "--property=RuntimeMaxSec=120"}
	for _, p := range properties {
		args = append(args, "--property="+p)
	}
	cmd := g.Command(limit(t, patience), append(args, "/usr/lib/exile/exiled", "--bus=none", "--config=/etc/bad.yaml")...)
	out, err := cmd.CombinedOutput()
	if err == nil || cmd.ProcessState.ExitCode() > 2 {
		t.Errorf("exit status %v, want 1 or 2", err)
	}
	said := strings.TrimSpace(string(out))
	if strings.Contains(said, "\n") || said == "" {
		t.Errorf("exiled does not say exactly one line:\n%s", said)
	}
	for _, word := range want {
		if !strings.Contains(said, word) {
			t.Errorf("exiled does not say %q:\n%s", word, said)
		}
	}
	clean(t, g)
}

// clean checks that the kernel has nothing of exile's.
func clean(t *testing.T, g *target.Target) {
	t.Helper()
	for _, ask := range [][]string{
		{"ipset", "list", "-n"},
		{"nft", "list", "ruleset"},
		{"ip", "-4", "route", "show", "table", "all", "type", "blackhole"},
		{"ip", "-6", "route", "show", "table", "all", "type", "blackhole"},
	} {
		if got := inside(t, g, ask...); got != "" {
			t.Errorf("%q finds:\n%s", ask, got)
		}
	}
}

// TestUnit lets systemd verify the installed unit files on the host, with everything that they name in place.
func TestUnit(t *testing.T) {
	t.Parallel()
	if err := host.Available(); err != nil {
		t.Skip("SKIPPED, NOTHING WAS TESTED:", err)
	}
	g := off(t, "{}\n")
	inside(t, g, "systemd-sysusers")
	if got := inside(t, g, "sh", "-c", "systemd-analyze verify --man=no /usr/lib/systemd/system/exiled* 2>&1"); got != "" {
		t.Errorf("systemd-analyze verify says:\n%s", got)
	}
	if got := inside(t, g, "sh", "-c", "journalctl --update-catalog && journalctl --dump-catalog 2929576456a04afc970b3018a1aa88c1"); !strings.Contains(got, "has been banned") {
		t.Errorf("the catalog has no entry for a ban:\n%s", got)
	}
}
