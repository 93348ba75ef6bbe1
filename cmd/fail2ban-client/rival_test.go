package main

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"exile/dbusapi/dbustest"
)

// packages is where internal/tools/fail2ban.sh has put the packages of Debian, unpacked.
const packages = "/var/cache/exile/fail2ban"

// asked is how many commands fail2ban is asked again: each starts Python.
const asked = 30

// TestRecording: same.txt is what fail2ban's client says; UPDATE_GOLDEN=1 writes it, and otherwise its start is compared. The server runs in a
// folder of the test, without actions.
func TestRecording(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("SKIPPED, NOTHING IS COMPARED WITH fail2ban: -short")
	}
	client, n := rival(t), 0
	if os.Getenv("UPDATE_GOLDEN") != "" {
		same(t, "same.txt", play(t, "commands.txt", client))
		return
	}
	got := play(t, "commands.txt", func(args []string) (string, string, int) {
		if n++; n > asked {
			return "", "", 0
		}
		return client(args)
	})
	end := strings.Join(strings.SplitAfter(got, "$ ")[:asked+1], "")
	if want := read(t, "same.txt"); !strings.HasPrefix(want, end) {
		t.Errorf("fail2ban says\n%s\nand the recording\n%s", end, want)
	}
}

// rival starts fail2ban's server, and returns what runs its client.
func rival(t *testing.T) func(args []string) (string, string, int) {
	t.Helper()
	root := filepath.Join(packages, "trixie")
	if _, err := os.Stat(root); err != nil {
		t.Skipf("SKIPPED, NOTHING IS COMPARED WITH fail2ban: %v; run internal/tools/fail2ban.sh as root", err)
	}
	dir, err := os.MkdirTemp("", "f2b") // a socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	for name, text := range map[string]string{
		"a.log": "", "b.log": "", "jail.conf": strings.ReplaceAll(read(t, "jail.conf"), "DIR", dir),
		"filter.d/any.conf": "[Definition]\nfailregex = ^failure from <HOST>$\n",
		"fail2ban.conf": "[Definition]\nloglevel = INFO\nlogtarget = STDOUT\nsyslogsocket = auto\nsocket = " + dir + "/sock\npidfile = " + dir +
			"/pid\ndbfile = None\n[Thread]\n",
	} {
		if err := errors.Join(os.MkdirAll(filepath.Join(dir, "filter.d"), 0o755), os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	python := func(program string, args ...string) *exec.Cmd {
		argv := append([]string{filepath.Join(root, "usr/bin", program), "-c", dir, "-s", dir + "/sock", "-p", dir + "/pid"}, args...)
		cmd := exec.CommandContext(t.Context(), "/usr/bin/python3", argv...)
		cmd.Env = append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1", "PYTHONPATH="+filepath.Join(root, "usr/lib/python3/dist-packages"))
		return cmd
	}
	client := func(args []string) (string, string, int) {
		cmd := python("fail2ban-client", args...)
		var out, log bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &log
		err := cmd.Run()
		if _, exited := errors.AsType[*exec.ExitError](err); err != nil && !exited {
			t.Fatal(err)
		}
		return strings.ReplaceAll(out.String(), dir, "/DIR"), strings.ReplaceAll(log.String(), dir, "/DIR"), cmd.ProcessState.ExitCode()
	}
	server := python("fail2ban-server", "-f", "start")
	var log bytes.Buffer
	server.Stdout, server.Stderr = &log, &log
	if err := dbustest.Spawn(server); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = server.Process.Kill()
		_ = server.Wait()
		if t.Failed() {
			t.Log(log.String())
		}
	})
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		if out, _, _ := client([]string{"status"}); strings.Contains(out, "Number of jail:\t4") {
			return client
		}
		if time.Now().After(end) {
			t.Fatal("fail2ban's server does not start")
		}
	}
}
