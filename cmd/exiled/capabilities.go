package main

import (
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"
)

// keepCapabilities hands our capabilities on to no program that we start: neither an ignorecommand nor journalctl needs
// them. We keep them. It works on all threads, as any of them may start a program; a program with cgo cannot do that.
func keepCapabilities() error {
	_, _, errno := syscall.AllThreadsSyscall(unix.SYS_PRCTL, unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0)
	if errno != 0 {
		return fmt.Errorf("clear ambient capabilities: %w", errno)
	}
	return nil
}
