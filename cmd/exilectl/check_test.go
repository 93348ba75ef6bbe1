package main

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// TestRunApart: the program inherits no files that this one was left with, cannot gain rights, and its output is limited;
// this process keeps its rights.
func TestRunApart(t *testing.T) {
	t.Parallel()
	left, err := unix.Open("/dev/null", unix.O_RDONLY, 0) // without O_CLOEXEC
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(left)
	const status = "grep NoNewPrivs /proc/self/status; ls /proc/self/fd"
	before, err := exec.Command("sh", "-c", "grep NoNewPrivs /proc/self/status").Output()
	if err != nil {
		t.Fatal(err)
	}
	var said head
	cmd := exec.Command("sh", "-c", status)
	cmd.Stdout = &said
	if err := runApart(cmd); err != nil {
		t.Fatal(err)
	}
	if got := strings.Fields(said.String()); strings.Join(got, " ") != "NoNewPrivs: 1 0 1 2 3" { // 3 is ls's own
		t.Errorf("it has %q", got)
	}
	if after, err := exec.Command("sh", "-c", "grep NoNewPrivs /proc/self/status").Output(); err != nil || string(after) != string(before) {
		t.Errorf("we have %q, %v, want %q", after, err, before)
	}
	cmd = exec.Command("head", "-c", "3M", "/dev/zero")
	var much head
	cmd.Stdout = &much
	if err := runApart(cmd); err != nil || len(much.text) != maxSaid {
		t.Errorf("of 3 MB it keeps %d bytes, %v", len(much.text), err)
	}
}

// TestOutOfReach: a process of the same user with the daemon's capability can trace another such process, but not a check.
func TestOutOfReach(t *testing.T) {
	t.Parallel()
	daemons := []uintptr{unix.CAP_NET_ADMIN}
	checks := capabilities()
	if os.Geteuid() != 0 || !slices.Contains(checks, unix.CAP_NET_BROADCAST) {
		t.Skip("SKIPPED, NOT TESTED: to give capabilities takes root who has them")
	}
	for _, c := range []struct {
		capabilities []uintptr
		reached      bool
	}{{daemons, true}, {checks, false}} {
		cmd := asNobody(c.capabilities, "sh", "-c", "echo started; read line")
		end, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		started, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if _, err := started.Read(make([]byte, 1)); err != nil {
			t.Error(err)
		}
		out, err := asNobody(daemons, "cat", fmt.Sprintf("/proc/%d/maps", cmd.Process.Pid)).CombinedOutput()
		if (err == nil) != c.reached || !c.reached && !strings.Contains(string(out), "denied") {
			t.Errorf("with the capabilities %v: %v, %.200s", c.capabilities, err, out)
		}
		_ = end.Close()
		_ = cmd.Wait() // read fails at the end
	}
}

func asNobody(capabilities []uintptr, argv ...string) *exec.Cmd {
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}, AmbientCaps: capabilities}
	return cmd
}
