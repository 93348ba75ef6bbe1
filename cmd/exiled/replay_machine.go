package main

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// This file finds the journal of a container. What is in the container may be hostile: its links lead nowhere but into the container.

// machineDirs returns the folders in which a running container keeps its journal: systemd-machined writes its leader into a file. host is the root
// of the host.
func machineDirs(host, name string) (dirs []string, err error) {
	if name == "" || name == "." || name == ".." || strings.ContainsAny(name, "/\x00") {
		return nil, fmt.Errorf("--machine=%q is no name of a container", name)
	}
	text, err := os.ReadFile(filepath.Join(host, "run/systemd/machines", name))
	if err != nil {
		return nil, fmt.Errorf("no running container %q; machinectl lists them, and the journal of one that is stopped is read with --directory", name)
	}
	leader, ok := leaderOf(string(text))
	if !ok {
		return nil, fmt.Errorf("container %q has no leader", name)
	}
	root, err := os.Open(filepath.Join(host, "proc", strconv.Itoa(leader), "root"))
	if err != nil {
		return nil, fmt.Errorf("container %q: %w", name, err)
	}
	defer root.Close()
	id, err := machineIn(root)
	if err != nil {
		return nil, fmt.Errorf("container %q: %w", name, err)
	}
	for _, kept := range []string{"var/log/journal", "run/log/journal"} {
		dir, err := openIn(root, filepath.Join(kept, id), unix.O_PATH|unix.O_DIRECTORY)
		switch {
		case err == nil: // it stays open until the process ends, and its path means this folder whatever the container does
			dirs = append(dirs, fmt.Sprintf("/proc/self/fd/%d", dir))
		case !errors.Is(err, unix.ENOENT):
			return nil, fmt.Errorf("container %q: %w", name, err)
		}
	}
	if len(dirs) == 0 {
		return nil, fmt.Errorf("container %q has no journal", name)
	}
	return dirs, nil
}

// leaderOf returns the process that a file of systemd-machined names.
func leaderOf(text string) (pid int, ok bool) {
	for line := range strings.Lines(text) {
		if leader, ok := strings.CutPrefix(strings.TrimSpace(line), "LEADER="); ok {
			pid, err := strconv.Atoi(leader)
			return pid, err == nil && pid > 0
		}
	}
	return 0, false
}

// machineIn reads the machine ID of a container, by which its journal is named.
func machineIn(root *os.File) (string, error) {
	fd, err := openIn(root, "etc/machine-id", unix.O_RDONLY|unix.O_NONBLOCK)
	if err != nil {
		return "", err
	}
	f := os.NewFile(uintptr(fd), "etc/machine-id")
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, 64))
	if err != nil {
		return "", err
	}
	id := strings.TrimSpace(string(text))
	if raw, err := hex.DecodeString(id); err != nil || len(raw) != 16 {
		return "", fmt.Errorf("etc/machine-id has %q, which is no machine ID", id)
	}
	return id, nil
}

// openIn opens a path below a folder, as if that were the root.
func openIn(root *os.File, path string, flags uint64) (int, error) {
	fd, err := unix.Openat2(int(root.Fd()), path, &unix.OpenHow{Flags: flags | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS})
	if err != nil {
		return 0, &os.PathError{Op: "open", Path: path, Err: err}
	}
	return fd, nil
}
