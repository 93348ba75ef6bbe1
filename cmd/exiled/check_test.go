package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"exile/firewall/firewalltest"
	"exile/internal/config"
)

// TestCheck: what a start would refuse is an error, what it would be degraded by or warn of is a line, and nothing is made.
func TestCheck(t *testing.T) {
	t.Parallel()
	ns := firewalltest.New(t)
	enter(t, ns)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	head := fmt.Sprintf("nat64_prefixes: []\nstate: %s\njournal: %s\n", filepath.Join(dir, "state"), filepath.Join(dir, "journal"))
	for name, c := range map[string]struct {
		config, refused string
		doubts          []string
	}{
		"nothing": {config: head + "jails: {sshd: {enabled: no}}\n"},
		"doubts": {
			config: head + "ignoreip: file:/root/friends\nignorecommand: /nowhere/ask <ip>\njails:\n  sshd: {enabled: no}\n" +
				"  web: {filter: sshd, units: [], logpath: /nowhere/web.log, trust_logpath: yes}\n",
			doubts: []string{
				"Cannot run the ignorecommand; addresses are banned as if it said no jail=web program=/nowhere/ask",
				"Some entries of ignoreip are not protected jail=web",
				"exiled.service does not see this folder (ProtectHome=, PrivateTmp=) jail=web path=/root/friends",
				"A log cannot be read source=text:web",
			},
		},
		"no journal": {config: head, doubts: []string{"A log cannot be read source=journal"}},
		"mistake":    {config: head + "maxretyr: 1\n", refused: "c.yaml:4: "},
		"state":      {config: "state: " + filepath.Join(dir, "file", "state"), refused: "c.yaml:1: state: exiled cannot write to "},
	} {
		path := filepath.Join(dir, "c.yaml")
		if err := os.WriteFile(path, []byte(c.config), 0o600); err != nil {
			t.Fatal(err)
		}
		var said strings.Builder
		err := check(t.Context(), options{config: path, bus: "none", check: true}, &said)
		if (err != nil) != (c.refused != "") || err != nil && !strings.Contains(err.Error(), c.refused) {
			t.Errorf("%s: %v, want %q", name, err, c.refused)
		}
		var doubts []string
		for line := range strings.Lines(said.String()) {
			line, _, _ = strings.Cut(strings.TrimPrefix(line, "Warning: "), " error=")
			doubts = append(doubts, strings.TrimSpace(line))
		}
		if diff := cmp.Diff(c.doubts, doubts); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", name, diff)
		}
	}
	if left := ns.Exec(t, "sh", "-c", "nft list tables; ipset list -n; ls "+dir); strings.TrimSpace(left) != "c.yaml\nfile" {
		t.Errorf("left are:\n%s", left)
	}
}

// TestUsualState: what the user of the daemon does in the usual folder is no mistake in the configuration.
func TestUsualState(t *testing.T) {
	t.Parallel()
	for dir, refused := range map[string]bool{usualState: false, usualState + "/\x00": false, usualState + "s/\x00": true} {
		cfg, err := config.Parse("", nil)
		if err != nil {
			t.Fatal(err)
		}
		cfg.StateDir = dir
		if err := checkState(cfg); (err != nil) != refused {
			t.Errorf("%q: %v", dir, err)
		}
	}
}
