package main

import (
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"
)

// keepCapabilities keeps our capabilities from the programs that we start: neither an ignorecommand nor journalctl needs them. It works on all
// threads, because any of them may start a program; a program with cgo cannot do that.
func keepCapabilities() error {
	return ambient(unix.PR_CAP_AMBIENT_CLEAR_ALL, 0)
}

// keepRight keeps CAP_NET_ADMIN from the programs that we start. Together with the restrictions that exilectl sets for a check it keeps the daemon away from them.
func keepRight() error { return ambient(unix.PR_CAP_AMBIENT_LOWER, unix.CAP_NET_ADMIN) }

func ambient(change, capability uintptr) error {
	_, _, errno := syscall.AllThreadsSyscall(unix.SYS_PRCTL, unix.PR_CAP_AMBIENT, change, capability)
	if errno != 0 {
		return fmt.Errorf("clear ambient capabilities: %w", errno)
	}
	return nil
}
