package e2e

import (
	"strings"
	"testing"
)

// ask is an ignorecommand: it writes down its capabilities, and ignores one address.
const ask = "#!/bin/sh\ngrep -h ^Cap /proc/self/status >>/var/lib/exile/asked\n[ \"$1\" = 198.51.100.8 ]\n"

// TestIgnoreCommand: an ignorecommand decides, and has none of the capabilities that exiled bans with, before and after a
// reload.
func TestIgnoreCommand(t *testing.T) {
	t.Parallel()
	g := off(t, config("ipset")+"    ignorecommand: [/usr/local/bin/ask, <ip>]\n    ignorecache: 0s\n")
	if _, err := g.Feed(t.Context(), ask, "install", "-m", "755", "/dev/stdin", "/usr/local/bin/ask"); err != nil {
		t.Fatal(err)
	}
	if err := g.Activate(limit(t, patience)); err != nil {
		t.Fatal(err)
	}
	log := func(addr string) {
		inside(t, g, "systemd-run", "-q", "--scope", "--unit=session-"+addr, "sh", "-c",
			`for n in 1 2 3 4; do logger -t sshd "Failed password for root from $1 port $n ssh2"; done`, "-", addr)
	}
	for _, addr := range []string{"198.51.100.7", "198.51.100.9"} {
		a := attacker(t, g, addr)
		log(addr)
		banned(t, g, a, 1)
		silent(t, a)
		inside(t, g, "systemctl", "reload", "exiled")
	}
	friend := attacker(t, g, "198.51.100.8")
	log("198.51.100.8")
	says(t, g, "Did not ban 198.51.100.8")
	greeted(t, friend)

	// Only the bounding set, and the set that a program inherits if its file asks for it, name a capability.
	asked := inside(t, g, "sort", "-u", "/var/lib/exile/asked")
	for _, none := range []string{"CapPrm", "CapEff", "CapAmb"} {
		if !strings.Contains(asked, none+":\t0000000000000000") || strings.Count(asked, none) != 1 {
			t.Errorf("the command has capabilities: %s of\n%s", none, asked)
		}
	}
	threads := inside(t, g, "sh", "-c", "grep -h CapAmb /proc/$(systemctl show -P MainPID exiled)/task/*/status | sort -u")
	if threads != "CapAmb:\t0000000000000000" {
		t.Errorf("threads of exiled hand capabilities on:\n%s", threads)
	}
}
