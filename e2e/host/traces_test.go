package host_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"exile/e2e/host"
)

// victimEnv makes this program boot a host, say so, and wait to be killed.
const victimEnv = "EXILE_E2E_VICTIM"

func victim() int {
	h, err := host.Boot(context.Background(), host.Options{Name: "victim"})
	if err != nil {
		fmt.Println(err)
		return 1
	}

	fmt.Println("booted", strings.Split(h.Path(""), "/")[2])
	select {}
}

// TestKilled kills a process that has booted a host: everything of the host goes with it but a cgroup, which the next Boot
// removes.
func TestKilled(t *testing.T) {
	t.Parallel()
	available(t)
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), victimEnv+"=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, _ := bufio.NewReader(out).ReadString('\n')
	if err := errors.Join(cmd.Process.Kill(), cmd.Wait()); err != nil && !strings.Contains(err.Error(), "killed") {
		t.Fatal(err)
	}
	fields := strings.Fields(line)
	if len(fields) < 2 || fields[0] != "booted" {
		t.Fatalf("the victim says %q", line)
	}
	eventually(t, "PID 1 of the killed process's host is gone", func() bool {
		_, err := os.Readlink("/proc/" + fields[1] + "/ns/net") // a zombie has none
		return errors.Is(err, fs.ErrNotExist)
	})
	boot(t, host.Options{})
	left, err := filepath.Glob(fmt.Sprintf("/sys/fs/cgroup/*/exile-e2e-%d-*", cmd.Process.Pid))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %q, %v", left, err)
	}
}

// TestTraces compares what is mounted and linked here before, while and after a host runs.
func TestTraces(t *testing.T) {
	t.Parallel()
	before := outer(t)
	h := boot(t, host.Options{})
	if diff := cmp.Diff(before, outer(t)); diff != "" {
		t.Errorf("a running host shows outside (-before +now):\n%s", diff)
	}
	if err := h.Close(); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff(before, outer(t)); diff != "" {
		t.Errorf("a host left traces (-before +now):\n%s", diff)
	}
}

// outer is what this process's own namespaces contain. /proc/self is the main thread, which may be in an attacker's network for a moment.
func outer(t *testing.T) string {
	t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var all []string
	for _, name := range []string{"/proc/thread-self/mountinfo", "/proc/thread-self/net/dev_mcast", "/proc/thread-self/net/if_inet6", "/proc/thread-self/net/route"} {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, string(data))
	}
	hostname, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(append(all, hostname), "\n")
}

// TestSilence bans an address by hand: the harness can tell a silent host from one that refuses.
func TestSilence(t *testing.T) {
	t.Parallel()
	h := boot(t, host.Options{})
	banned := netip.MustParseAddr("198.51.100.7")
	a, err := h.Attacker(banned)
	if err != nil {
		t.Fatal(err)
	}
	run(t, h, "ip", "route", "add", "blackhole", banned.String()+"/32")
	if err := a.Silent(t.Context()); err != nil {
		t.Errorf("a banned address: %v", err)
	}
	if _, err := a.SSH(t.Context(), []string{"-F", "none", "-o", "ConnectTimeout=3"}, "wrong", "true"); !errors.Is(err, host.ErrUnreachable) {
		t.Errorf("guess from a banned address: %v", err)
	}
	run(t, h, "ip", "route", "del", "blackhole", banned.String()+"/32")
	if err := a.Silent(t.Context()); err == nil {
		t.Error("silence for an address that is banned no more")
	}
	run(t, h, "systemctl", "stop", "ssh")
	if err := a.Silent(t.Context()); err == nil {
		t.Error("a refusal is silence")
	}
	if _, err := a.Banner(t.Context()); err == nil || errors.Is(err, host.ErrUnreachable) {
		t.Errorf("banner of a host without sshd: %v", err)
	}
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for range 6000 {
		if is() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Error("not so after a minute:", what)
}
