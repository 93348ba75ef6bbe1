package main

import (
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

const (
	firstPassed = 3  // SD_LISTEN_FDS_START
	maxPassed   = 64 // exiled has two sockets
)

// passedFiles returns the descriptors that systemd passed, by the names that their units give them, see sd_listen_fds(3). The activation package of
// go-systemd does the same, but links crypto/tls.
func passedFiles() []*os.File {
	if os.Getenv("LISTEN_PID") != strconv.Itoa(os.Getpid()) {
		return nil
	}
	n, err := strconv.Atoi(os.Getenv("LISTEN_FDS"))
	if err != nil {
		return nil
	}
	names := strings.Split(os.Getenv("LISTEN_FDNAMES"), ":")
	var files []*os.File
	for i := range min(n, len(names), maxPassed) {
		fd := firstPassed + i
		unix.CloseOnExec(fd)
		files = append(files, os.NewFile(uintptr(fd), names[i]))
	}
	return files
}
