package e2e

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"exile/e2e/host"
	"exile/e2e/target"
)

// mistakes are mistakes in a configuration: how to make each, what exile says about it, and how to correct it.
var mistakes = []struct{ name, make, says, correct string }{
	{
		"YAML", "cp /etc/exile/exile.yaml /etc/good.yaml; printf 'jails:\\n  sshd: [\\n' >/etc/exile/exile.yaml", "/etc/exile/exile.yaml:2: not YAML",
		"cat /etc/good.yaml >/etc/exile/exile.yaml",
	},
	{"root's file", "chmod 600 /etc/exile/exile.yaml", "run chmod o+r /etc/exile/exile.yaml", "chmod o+r /etc/exile/exile.yaml"},
	{"root's folder", "chmod 700 /etc/exile", "run chmod o+rx /etc/exile", "chmod o+rx /etc/exile"},
	{
		"contradiction", "mkdir /etc/exile/exile.yaml.d; printf 'backend: route\\nport: ssh\\n' >/etc/exile/exile.yaml.d/10-port.yaml",
		"/etc/exile/exile.yaml.d/10-port.yaml:2: port: backend: route cannot", "rm -r /etc/exile/exile.yaml.d",
	},
	{
		"state", "mkdir /etc/exile/exile.yaml.d; echo 'state: /etc/exile/state' >/etc/exile/exile.yaml.d/10-state.yaml",
		"/etc/exile/exile.yaml.d/10-state.yaml:1: state:", "rm -r /etc/exile/exile.yaml.d",
	},
}

// TestMistake: started with a mistake in the configuration, exiled guards the host as before, says what is wrong as long as
// it is, and takes the files once they are corrected, without help.
func TestMistake(t *testing.T) {
	t.Parallel()
	g := boot(t, config("nftables"))
	kept := attacker(t, g, "198.51.100.81")
	inside(t, g, "exilectl", "ban", "--duration=1h", kept.Addr.String())
	for i, m := range mistakes {
		inside(t, g, "sh", "-ec", m.make)
		if i == 0 {
			reboot(t, g, []*host.Attacker{kept})
		} else {
			inside(t, g, "systemctl", "restart", "exiled.service")
		}
		mistaken(t, g, m.says, "in force is the last configuration that worked")
		silent(t, kept)
		a := attacker(t, g, fmt.Sprintf("198.51.100.%d", 91+i))
		guess(t, a, 3)
		lastGuess(t, g, a)
		banned(t, g, a, 1)
		if _, err := g.Run(limit(t, patience), "exilectl", "reload"); err == nil {
			t.Errorf("%s: a reload takes it", m.name)
		}
		if _, err := g.Run(limit(t, patience), "exilectl", "check-config"); err == nil || !strings.Contains(err.Error(), m.says) {
			t.Errorf("%s: check-config does not say %q: %v", m.name, m.says, err)
		}
		corrected(t, g, m.correct)
	}
	checked(t, g)
	inside(t, g, "sh", "-ec", "echo 'port: ssh port' >>/etc/exile/exile.yaml; rm /var/lib/exile/configuration.json")
	inside(t, g, "systemctl", "restart", "exiled.service")
	mistaken(t, g, "/etc/exile/exile.yaml:7: port:", "in force is the packaged configuration")
	silent(t, kept)
	corrected(t, g, "sed -i '$d' /etc/exile/exile.yaml")
	if starts := inside(t, g, "systemctl", "show", "-p", "NRestarts", "--value", "exiled.service"); starts != "0" {
		t.Errorf("exiled was started again %s times", starts)
	}
}

// checked runs with the daemon's rights and finds no mistake where there is none; then a file that is not read, and a jail
// without a unit.
func checked(t *testing.T, g *target.Target) {
	t.Helper()
	inside(t, g, "touch", "/etc/exile/exile.yml")
	said := inside(t, g, "exilectl", "check-config")
	for _, words := range []string{"Read /etc/exile/exile.yaml.", "Ignored /etc/exile/exile.yml: ", "The configuration is valid."} {
		if !strings.Contains(said, words) {
			t.Errorf("check-config does not say %q:\n%s", words, said)
		}
	}
	if strings.Contains(said, "Warning") {
		t.Errorf("check-config warns:\n%s", said)
	}
	feed(t, g, lost, "/etc/exile/exile.yaml.d/lost.yaml")
	if said := inside(t, g, "exilectl", "check-config"); !strings.Contains(said, "Warning: No unit of the jail exists jail=lost") {
		t.Errorf("a jail without a unit:\n%s", said)
	}
	inside(t, g, "rm", "-r", "/etc/exile/exile.yml", "/etc/exile/exile.yaml.d")
}

// mistaken checks that systemd and exilectl name the mistake right after the start.
func mistaken(t *testing.T, g *target.Target, says ...string) {
	t.Helper()
	exilectl := waitStatus(t, g, 3)
	systemd := inside(t, g, "systemctl", "show", "-p", "ActiveState", "-p", "StatusText", "exiled.service")
	for _, words := range append(says, "config-invalid") {
		if !strings.Contains(systemd, words) || !strings.Contains(systemd, "ActiveState=active") {
			t.Errorf("systemd does not say %q:\n%s", words, systemd)
		}
		if !strings.Contains(exilectl, words) {
			t.Errorf("exilectl does not say %q:\n%s", words, exilectl)
		}
	}
}

// corrected corrects the mistake and waits until all is well.
func corrected(t *testing.T, g *target.Target, how string) {
	t.Helper()
	inside(t, g, "sh", "-ec", how)
	within(t, patience, "the files are in force after "+how, func() bool {
		_, err := g.Run(limit(t, patience), "exilectl", "status")
		return err == nil
	})
}

// TestCannotStart: where no configuration helps, systemd and exilectl say why, to questions and to commands, and exiled
// starts by itself once it can.
func TestCannotStart(t *testing.T) {
	t.Parallel()
	g := boot(t, config("nftables"))
	inside(t, g, "systemctl", "stop", "exiled.service")
	feed(t, g, config("nftables")+"state: /var/lib/other\n", "/etc/other.yaml")
	inside(t, g, "systemd-run", "--quiet", "--unit=other.service", "--property=Type=notify", "--property=StateDirectory=other", "/usr/lib/exile/exiled", "--bus=none",
		"--config=/etc/other.yaml")
	const why = "another exiled is running in this network namespace"
	if _, err := g.Run(limit(t, patience), "systemctl", "start", "exiled.service"); err == nil {
		t.Error("a second exiled starts")
	}
	if said := inside(t, g, "systemctl", "show", "-p", "StatusText", "exiled.service"); !strings.Contains(said, "=Cannot start: ") || !strings.Contains(said, why) {
		t.Errorf("systemd says %q", said)
	}
	for _, verb := range []string{"status", "ban 203.0.113.9"} {
		out, err := g.Run(limit(t, patience), "sh", "-c", "exilectl "+verb+" 2>&1")
		if err == nil || !strings.Contains(out, "exiled does not start: ") || !strings.Contains(out, why) {
			t.Errorf("exilectl %s says %q, %v", verb, out, err)
		}
	}
	within(t, patience, "a start that fails again lasts", func() bool {
		said := inside(t, g, "systemctl", "show", "-p", "SubState", "-p", "StatusText", "exiled.service")
		return strings.Contains(said, "SubState=start") && strings.Contains(said, "StatusText=Cannot start: ")
	})
	if out, err := g.Run(limit(t, patience), "sh", "-c", "exilectl status 2>&1"); err == nil || !strings.Contains(out, why) {
		t.Errorf("while it waits exilectl says %q, %v", out, err)
	}
	before := restarts(t, g)
	if _, err := g.Run(limit(t, patience), "systemctl", "restart", "exiled.service"); err == nil {
		t.Error("a second exiled starts")
	}
	if after := restarts(t, g); after > before+1 { // systemd may start it again by itself before it reads the command
		t.Errorf("systemctl restart waited for %d starts", after-before)
	}
	inside(t, g, "systemctl", "stop", "other.service")
	within(t, patience, "exiled has started", func() bool {
		_, err := g.Run(limit(t, patience), "exilectl", "status")
		return err == nil
	})
}

// restarts is how often systemd has started exiled by itself since somebody did.
func restarts(t *testing.T, g *target.Target) int {
	t.Helper()
	n, err := strconv.Atoi(inside(t, g, "systemctl", "show", "-P", "NRestarts", "exiled.service"))
	if err != nil {
		t.Fatal(err)
	}
	return n
}
