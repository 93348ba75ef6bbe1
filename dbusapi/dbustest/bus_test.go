package dbustest

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A program survives the thread of the goroutine that had it started.
func TestSpawn(t *testing.T) {
	t.Parallel()
	cmd := exec.Command("sleep", "600")
	thread, started, over := make(chan int, 1), make(chan error), make(chan struct{})
	var start func()
	start = func() {
		runtime.LockOSThread() // so that the thread ends with the goroutine
		if unix.Gettid() == unix.Getpid() {
			defer runtime.UnlockOSThread()
			go start() // on another thread, since the main one does not end and is taken as long as we wait
			<-over
			return
		}
		thread <- unix.Gettid()
		started <- Spawn(cmd)
	}
	go start()
	if err := <-started; err != nil {
		t.Fatal(err)
	}
	defer close(over)
	task := fmt.Sprintf("/proc/self/task/%d", <-thread)
	for _, err := os.Stat(task); !errors.Is(err, fs.ErrNotExist); _, err = os.Stat(task) {
		time.Sleep(time.Millisecond)
	}
	_ = cmd.Process.Signal(syscall.SIGTERM) // too late if it was killed
	_ = cmd.Wait()
	if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || status.Signal() != syscall.SIGTERM {
		t.Errorf("it ended before: %v", cmd.ProcessState)
	}
}
