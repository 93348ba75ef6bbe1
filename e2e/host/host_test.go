package host_test

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"exile/e2e/host"
)

func TestMain(m *testing.M) {
	host.Main()
	if os.Getenv(victimEnv) != "" {
		os.Exit(victim())
	}
	os.Exit(m.Run())
}

func boot(t *testing.T, opts host.Options) *host.Host {
	t.Helper()
	available(t)
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	h, err := host.Boot(ctx, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	})
	return h
}

func available(t *testing.T) {
	t.Helper()
	if err := host.Available(); err != nil {
		t.Skip("SKIPPED, NOTHING WAS TESTED:", err)
	}
}

func run(t *testing.T, h *host.Host, args ...string) string {
	t.Helper()
	out, err := h.Run(t.Context(), args...)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(out)
}

// TestHost boots a host and turns it off and on: its files survive, and sshd lets nobody in without the password.
func TestHost(t *testing.T) {
	t.Parallel()
	h := boot(t, host.Options{Name: "first"})
	if got := run(t, h, "systemctl", "is-system-running"); got != "running" {
		t.Errorf("system is %s:\n%s", got, run(t, h, "systemctl", "--failed"))
	}
	if got := run(t, h, "hostname"); got != "first" {
		t.Errorf("host name is %q", got)
	}
	status, err := os.ReadFile(h.Path("/proc/1/status"))
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(status), "\nCapBnd:")
	bounds, err := strconv.ParseUint(strings.Fields(after)[0], 16, 64)
	if err != nil || bounds&(1<<unix.CAP_SYS_MODULE) != 0 || bounds&(1<<unix.CAP_NET_ADMIN) == 0 {
		t.Errorf("the host's capabilities are %x (%v): it may not load modules, and must bring up its network", bounds, err)
	}
	if err := h.AddUser(t.Context(), "alice", "open sesame"); err != nil {
		t.Fatal(err)
	}
	for _, addr := range []string{"198.51.100.7", "2001:db8:bad::7"} {
		attack(t, h, netip.MustParseAddr(addr))
	}
	for name, off := range map[string]func() error{
		"reboot":    func() error { return h.PowerOff(t.Context()) },
		"power cut": func() error { h.Kill(); return nil },
	} {
		if err := off(); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if err := h.Start(t.Context()); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		attack(t, h, netip.MustParseAddr("198.51.100.7"))
	}
	if got := len(strings.Split(run(t, h, "journalctl", "--list-boots", "-q"), "\n")); got != 3 {
		t.Errorf("the journal knows %d boots, want 3", got)
	}
}

// attack makes a wrong guess and a right one, and finds the wrong one in the journal.
func attack(t *testing.T, h *host.Host, addr netip.Addr) {
	t.Helper()
	a, err := h.Attacker(addr)
	if err != nil {
		t.Fatal(err)
	}
	banner, err := a.Banner(t.Context())
	if err != nil || !strings.HasPrefix(banner, "SSH-2.0-OpenSSH") {
		t.Errorf("banner for %s: %q, %v", addr, banner, err)
	}
	if err := a.Guess(t.Context(), "alice", 1); !errors.Is(err, host.ErrDenied) {
		t.Errorf("guess from %s: %v", addr, err)
	}
	out, err := a.Login(t.Context(), "alice", "open sesame", "id", "-un")
	if err != nil || strings.TrimSpace(out) != "alice" {
		t.Errorf("login from %s: %q, %v", addr, out, err)
	}
	run(t, h, "journalctl", "--sync")
	log := run(t, h, "journalctl", "-b", "-o", "cat", "_SYSTEMD_UNIT=ssh.service", "+", "_SYSTEMD_UNIT=sshd.service")
	if want := "Failed password for alice from " + addr.String(); !strings.Contains(log, want) {
		t.Errorf("journal lacks %q:\n%s", want, log)
	}
}
