package firewall_test

import (
	"errors"
	"net"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"testing/synctest"

	"exile/firewall"
	"exile/firewall/firewalltest"
)

func TestLock(t *testing.T) {
	t.Parallel()
	here, there := firewalltest.New(t), firewalltest.New(t)
	first, err := firewall.Acquire(here.FD)
	if err != nil {
		t.Fatal(err)
	}
	if l, err := firewall.Acquire(here.FD); !errors.Is(err, firewall.ErrHeld) {
		t.Errorf("second lock: %v, %v; want ErrHeld", l, err)
	}
	other, err := firewall.Acquire(there.FD)
	if err != nil {
		t.Errorf("lock of another namespace: %v", err)
	} else {
		other.Close()
	}
	first.Close()
	again, err := firewall.Acquire(here.FD)
	if err != nil {
		t.Fatalf("lock after Close: %v", err)
	}
	again.Close()
}

// TestAwait: what is held is tried again until it is free, for a fifth of a second; other errors are told at once.
func TestAwait(t *testing.T) {
	t.Parallel()
	held, other := errors.New("held"), errors.New("other")
	for _, tt := range []struct {
		answers []error // the last for ever
		calls   int
		want    error
	}{
		{[]error{nil}, 1, nil},
		{[]error{other, nil}, 1, other},
		{[]error{held, held, nil}, 3, nil},
		{[]error{held, other, nil}, 2, other},
		{[]error{held}, 21, held},
	} {
		synctest.Test(t, func(t *testing.T) {
			calls := 0
			err := firewall.Await(held, func() error {
				calls++
				return tt.answers[min(calls, len(tt.answers))-1]
			})
			if calls != tt.calls || !errors.Is(err, tt.want) {
				t.Errorf("%v: %d calls and %v, want %d and %v", tt.answers, calls, err, tt.calls, tt.want)
			}
		})
	}
}

// TestLockIgnoresStrangers has an unprivileged user bind the name first: that must not keep the daemon from starting.
func TestLockIgnoresStrangers(t *testing.T) {
	t.Parallel()
	if os.Getenv("EXILE_TEST_SQUAT") != "" {
		squat(t)
		return
	}
	ns := firewalltest.New(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	binary, err := os.Open(self) // by number, because the stranger may not enter the test's folder
	if err != nil {
		t.Fatal(err)
	}
	defer binary.Close()
	cmd := exec.Command("/proc/self/fd/3", "-test.run=^TestLockIgnoresStrangers$")
	cmd.Env = []string{"EXILE_TEST_SQUAT=1"}
	cmd.ExtraFiles = []*os.File{binary}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	ns.Do(t, cmd.Start)
	defer func() { in.Close(); _ = cmd.Wait() }()
	if line := make([]byte, 6); !reads(out, line) || string(line) != "bound\n" {
		t.Fatalf("the stranger says %q", line)
	}
	l, err := firewall.Acquire(ns.FD)
	if err != nil {
		t.Fatalf("lock beside a stranger's socket: %v", err)
	}
	l.Close()
}

func reads(r interface{ Read([]byte) (int, error) }, buf []byte) bool {
	n, err := r.Read(buf)
	return err == nil && n == len(buf)
}

// squat holds the name until standard input ends.
func squat(t *testing.T) {
	l, err := net.Listen("unix", "@org.exile1.firewall")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, _ = os.Stdout.WriteString("bound\n")
	_, _ = os.Stdin.Read(make([]byte, 1))
}
