package host

import (
	"fmt"
	"runtime"

	"golang.org/x/sys/unix"
)

// upper is where a cell keeps its host's files, in a private mount namespace.
const upper = "/mnt"

// cell is a thread with its own mount namespace, in which a tmpfs holds what the host writes. Processes that it starts
// inherit the namespace and die with the thread.
type cell struct {
	work chan func()
}

func newCell() (*cell, error) {
	c := &cell{work: make(chan func())}
	ready := make(chan error)
	onThread(func() {
		err := privateMounts()
		ready <- err
		if err != nil {
			return
		}
		for f := range c.work {
			f()
		}
	})
	if err := <-ready; err != nil {
		return nil, err
	}
	return c, nil
}

// do runs f on the cell's thread.
func (c *cell) do(f func() error) error {
	done := make(chan error)
	c.work <- func() { done <- f() }
	return <-done
}

func (c *cell) close() { close(c.work) }

func privateMounts() error {
	if err := unix.Unshare(unix.CLONE_FS | unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("make mount namespace: %w", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	if err := unix.Mount("tmpfs", upper, "tmpfs", 0, "mode=755"); err != nil {
		return fmt.Errorf("mount tmpfs: %w", err)
	}
	return nil
}

// onThread runs f on a thread of its own, which ends with f, and its namespaces with it.
func onThread(f func()) {
	go func() {
		runtime.LockOSThread()
		if unix.Gettid() != unix.Getpid() {
			f()
			return // still locked: this ends the thread
		}
		// The main thread cannot end. Keep it busy, so that f gets another one.
		done := make(chan struct{})
		onThread(func() { defer close(done); f() })
		<-done
		runtime.UnlockOSThread()
	}()
}
