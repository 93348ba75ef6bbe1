package dbusapi_test

import (
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/godbus/dbus/v5"
	"github.com/google/go-cmp/cmp"

	"exile/internal/control"
	"exile/internal/control/controltest"
)

// busctl runs systemd's own client on the host's bus, and returns what it printed.
func (h *host) busctl(t *testing.T, nobody bool, args ...string) (string, error) {
	t.Helper()
	path, err := exec.LookPath("busctl")
	if err != nil {
		t.Skip("SKIPPED, NOT TESTED: busctl is not installed")
	}
	cmd := exec.CommandContext(t.Context(), path, append([]string{"--address=" + h.bus.Address, "--no-pager"}, args...)...)
	if nobody && os.Geteuid() == 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	}
	out, err := cmd.CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

func manager(member string, args ...string) []string {
	return append([]string{"call", "org.exile1", "/org/exile1", "org.exile1.Manager", member}, args...)
}

// polkit is an authority that answers as told and remembers what it was asked.
type polkit struct {
	answer func(action string, flags uint32) (authorized, challenge bool)
	asked  chan string
}

type subject struct {
	Kind    string
	Details map[string]dbus.Variant
}

type result struct {
	Authorized, Challenge bool
	Details               map[string]string
}

// CheckAuthorization is called by godbus.
func (p *polkit) CheckAuthorization(s subject, action string, _ map[string]string, flags uint32, _ string) (result, *dbus.Error) {
	p.asked <- s.Kind + " " + action
	yes, challenge := p.answer(action, flags)
	return result{yes, challenge, map[string]string{}}, nil
}

func (h *host) startPolkit(t *testing.T, answer func(string, uint32) (bool, bool)) *polkit {
	t.Helper()
	conn, err := dbus.Connect(h.bus.Address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	p := &polkit{answer, make(chan string, 100)}
	const path, name = "/org/freedesktop/PolicyKit1/Authority", "org.freedesktop.PolicyKit1"
	if err := conn.Export(p, path, name+".Authority"); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.RequestName(name, 0); err != nil {
		t.Fatal(err)
	}
	return p
}

var banArgs = manager("Ban", "sstst", "sshd", "203.0.113.9", "0", "", "0")

func TestWithoutPolkitOnlyRootMay(t *testing.T) {
	t.Parallel()
	h := start(t)
	for _, args := range [][]string{banArgs, manager("ListBans", "ssut", "", "", "0", "0"), manager("Subscribe"), manager("Reload")} {
		if out, err := h.busctl(t, true, args...); err == nil || !strings.Contains(out, "Access denied") {
			t.Errorf("nobody: %s = %q, %v", args[4], out, err)
		}
	}
	if got := h.fake.Commands(); len(got) > 0 {
		t.Errorf("the daemon was asked %q", got)
	}
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED, NOT TESTED as root: we are not")
	}
	if out, err := h.busctl(t, false, banArgs...); err != nil {
		t.Errorf("root: %s, %v", out, err)
	}
}

func TestPolkitDecides(t *testing.T) {
	t.Parallel()
	h := start(t)
	p := h.startPolkit(t, func(action string, flags uint32) (bool, bool) {
		switch action {
		case "org.exile1.inspect":
			return true, false
		case "org.exile1.ban": // a password would do
			return flags == 1, flags == 0
		}
		return false, false
	})
	tests := []struct {
		args []string
		want string // in what busctl says; empty: success
		asks string
	}{
		{manager("ListBans", "ssut", "", "", "0", "0"), "", "org.exile1.inspect"},
		{append([]string{"--allow-interactive-authorization=false"}, banArgs...), "Interactive authentication required: ", "org.exile1.ban"},
		{append([]string{"--allow-interactive-authorization=true"}, banArgs...), "", "org.exile1.ban"},
		{manager("Unban", "sst", "", "192.0.2.7", "0"), "Access denied", "org.exile1.unban"},
		{manager("Flush", "st", "", "0"), "Access denied", "org.exile1.unban-all"},
		{manager("Pause", "tt", "1", "0"), "Access denied", "org.exile1.manage"},
		{manager("Report", "sssbt", "sshd", "192.0.2.1", "u", "false", "0"), "Access denied", "org.exile1.report"},
		{
			[]string{"set-property", "org.exile1", "/org/freedesktop/LogControl1", "org.freedesktop.LogControl1", "LogLevel", "s", "debug"},
			"Access denied", "org.exile1.manage",
		},
	}
	for _, tt := range tests {
		out, err := h.busctl(t, true, tt.args...)
		if (err == nil) != (tt.want == "") || !strings.Contains(out, tt.want) {
			t.Errorf("%q = %q, %v; want %q", tt.args, out, err, tt.want)
		}
		if got := <-p.asked; got != "system-bus-name "+tt.asks {
			t.Errorf("%q asked for %q, want %q", tt.args, got, tt.asks)
		}
	}
	want := []string{`ban sshd 203.0.113.9/32 0s permanent=false force=false ""`}
	if diff := cmp.Diff(want, h.fake.Commands()); diff != "" {
		t.Errorf("the daemon was asked (-want +got):\n%s", diff)
	}
}

// named returns what a daemon says that is degraded because of somebody.
func named(t *testing.T, f *controltest.Fake) (control.Status, []control.JailStatus, []control.Ban, []control.Host) {
	t.Helper()
	jails, err := f.Jails(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return control.Status{
		State: "degraded", Degraded: []string{"guessing:alice"}, Remedies: []string{"Somebody guesses passwords of alice from 127.0.0.1."},
		Instead: map[string]control.Reason{"guessing:alice": {Word: "guessing", Remedy: "Ask."}},
	}, jails, nil, nil
}

// What everybody may ask for names nobody.
func TestDescribeNamesNobody(t *testing.T) {
	t.Parallel()
	h := start(t)
	h.fake.Set(named(t, h.fake))
	out, err := h.busctl(t, true, manager("Describe")...)
	if err != nil || !strings.Contains(out, "guessing") {
		t.Errorf("Describe = %q, %v", out, err)
	}
	if strings.Contains(out, "alice") || strings.Contains(out, "127.0.0") {
		t.Errorf("nobody sees %s", out)
	}
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED, NOT TESTED as root: we are not")
	}
	if out, err := h.busctl(t, false, manager("Describe")...); err != nil || !strings.Contains(out, "guessing:alice") {
		t.Errorf("root sees %s, %v", out, err)
	}
}

// Everybody may read properties, so they must not have addresses.
func TestPropertiesShowNoAddresses(t *testing.T) {
	t.Parallel()
	onEachBus(t, func(t *testing.T, h *host) {
		h.fake.Set(named(t, h.fake))
		for _, object := range [][2]string{{"/org/exile1", "org.exile1.Manager"}, {"/org/exile1/jail/sshd", "org.exile1.Jail"}} {
			out, err := h.busctl(t, true, "call", "org.exile1", object[0], "org.freedesktop.DBus.Properties", "GetAll", "s", object[1])
			if err != nil || !strings.Contains(out, "NBanned") {
				t.Errorf("GetAll %s = %q, %v", object[1], out, err)
			}
			if strings.Contains(out, "192.0.2.") || strings.Contains(out, "2001:db8") || strings.Contains(out, "127.0.0") || strings.Contains(out, "alice") {
				t.Errorf("properties of %s have addresses: %s", object[1], out)
			}
		}
	})
}

// What an admin of systemd types must work.
func TestBusctl(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED, NOT TESTED: only root may without polkit")
	}
	h := start(t)
	logControl := []string{"org.exile1", "/org/freedesktop/LogControl1", "org.freedesktop.LogControl1", "LogLevel"}
	tests := []struct{ args, want []string }{
		{[]string{"tree", "org.exile1"}, []string{"/org/exile1/jail/sshd", "/org/exile1/jail/web_2d1", "/org/freedesktop/LogControl1"}},
		{[]string{"introspect", "org.exile1", "/org/exile1"}, []string{"org.freedesktop.DBus.ObjectManager", ".NBanned", "emits-change", ".BanNew"}},
		{manager("ListBans", "ssut", "", "", "1", "0"), []string{`a(ssttuusb)s 1 "sshd" "192.0.2.7" `}},
		{manager("GetJail", "s", "web-1"), []string{`o "/org/exile1/jail/web_2d1"`}},
		{manager("GetJail", "s", "x\x1b[2J"), []string{"No such jail"}},
		{manager("Ban", "sstst", "", "192.0.2.0/33", "0", "", "0"), []string{"neither an address nor a network"}},
		{manager("Ban", "sstst", "", "192.0.2.1", "0", "", "8"), []string{"Unknown flags 0x8."}},
		{manager("Ban", "ss", "", "192.0.2.1"), []string{`Ban takes "sstst", not "ss".`}},
		{manager("Nonsense"), []string{"Unknown method"}},
		{[]string{"call", "org.exile1", "/org/exile1", "org.freedesktop.DBus.Properties", "GetAll", "s", ""}, []string{`"NBanned" t 3`}},
		{[]string{"call", "org.exile1", "/org/exile1/jail/sshd", "org.freedesktop.DBus.Properties", "GetAll", "s", ""}, []string{`"Name" s "sshd"`}},
		{[]string{"call", "org.exile1", "/org/exile1/jail/nope", "org.exile1.Jail", "Describe"}, []string{"Unknown object"}},
		{[]string{"call", "org.exile1", "/org/exile1", "org.nope", "Describe"}, []string{"Unknown interface"}},
		{[]string{"get-property", "org.exile1", "/org/exile1", "org.exile1.Manager", "Nope"}, []string{"Unknown property"}},
		{[]string{"set-property", "org.exile1", "/org/exile1", "org.exile1.Manager", "State", "s", "x"}, []string{"read-only"}},
		{append([]string{"get-property"}, logControl...), []string{`s "info"`}},
		{append(append([]string{"set-property"}, logControl...), "s", "debug"), []string{""}},
		{append([]string{"get-property"}, logControl...), []string{`s "debug"`}},
		{append(append([]string{"set-property"}, logControl...), "s", "loud"), []string{"Invalid log level"}},
		{append(append([]string{"set-property"}, logControl...), "u", "1"), []string{`of type "s", not "u"`}},
		{[]string{"call", "org.exile1", "/", "org.freedesktop.DBus.Peer", "Ping"}, []string{""}},
	}
	for _, tt := range tests {
		out, _ := h.busctl(t, false, tt.args...)
		for _, want := range tt.want {
			if !strings.Contains(out, want) || want == "" && out != "" {
				t.Errorf("busctl %q = %q, want %q", tt.args, out, want)
			}
		}
	}
	if h.level.Level() >= 0 {
		t.Errorf("log level is %v after it was set to debug", h.level.Level())
	}
}

// A caller that waits for polkit does not keep root waiting, about whom polkit is not asked.
func TestWaitingForPolkitDoesNotShutRootOut(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED, NOT TESTED: needs root and nobody")
	}
	h := start(t)
	release := make(chan struct{})
	p := h.startPolkit(t, func(string, uint32) (bool, bool) { <-release; return true, false })
	done := make(chan string)
	go func() {
		out, _ := h.busctl(t, true, append([]string{"--allow-interactive-authorization=true"}, banArgs...)...)
		done <- out
	}()
	<-p.asked
	if out, err := h.busctl(t, false, manager("Unban", "sst", "", "192.0.2.7", "0")...); err != nil {
		t.Errorf("root, while another waits: %s, %v", out, err)
	}
	close(release)
	if out := <-done; !strings.HasPrefix(out, "t ") {
		t.Errorf("the other: %s", out)
	}
}
