package host

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// cgroupName names the cgroups by the process's ID, so that those of a killed process can be found.
const cgroupName = "exile-e2e-%d-"

// cgroup is a host's own cgroup on the outer machine; the host sees it as the root.
type cgroup struct{ dir string }

// newCgroup makes a cgroup, after removing those that killed processes left behind.
func newCgroup() (*cgroup, error) {
	root, err := cgroupRoot()
	if err != nil {
		return nil, err
	}
	reap(root)
	dir, err := os.MkdirTemp(root, fmt.Sprintf(cgroupName, os.Getpid()))
	if err != nil {
		return nil, fmt.Errorf("make cgroup: %w", err)
	}
	// The host's users manage cgroups below theirs, so they must be able to reach them.
	if err := os.Chmod(dir, 0o755); err != nil {
		return nil, fmt.Errorf("make cgroup: %w", err)
	}
	return &cgroup{dir}, nil
}

// cgroupRoot finds where the cgroup2 file system is mounted.
func cgroupRoot() (string, error) {
	data, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(data)) {
		before, after, _ := strings.Cut(line, " - ")
		if fields := strings.Fields(before); strings.HasPrefix(after, "cgroup2 ") && len(fields) > 4 {
			return fields[4], nil
		}
	}
	return "", errors.New("no cgroup2 file system is mounted here: mount one on /sys/fs/cgroup")
}

func reap(root string) {
	left, _ := filepath.Glob(filepath.Join(root, "exile-e2e-*-*")) // the pattern is well formed
	for _, dir := range left {
		var pid int
		if _, err := fmt.Sscanf(filepath.Base(dir), cgroupName, &pid); err != nil {
			continue
		}
		if _, err := os.Stat(fmt.Sprintf("/proc/%d", pid)); errors.Is(err, fs.ErrNotExist) {
			_ = (&cgroup{dir}).remove() // another process may be removing it too
		}
	}
}

// open opens the cgroup, or one below it, which it makes if needed.
func (c *cgroup) open(child string) (*os.File, error) {
	dir := filepath.Join(c.dir, child)
	if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("make cgroup: %w", err)
	}
	return os.Open(dir)
}

// remove kills what is left in the cgroup and removes it. The kernel releases the dead a little after they die.
func (c *cgroup) remove() error {
	_ = os.WriteFile(filepath.Join(c.dir, "cgroup.kill"), []byte("1"), 0) // Linux 5.14; the end of PID 1 did it already
	var err error
	for range 200 {
		if err = removeDirs(c.dir); err == nil {
			return nil
		}
		time.Sleep(10 * time.Millisecond)
	}
	return fmt.Errorf("remove cgroup: %w", err)
}

// removeDirs removes the folders of a cgroup, deepest first; its files belong to the kernel.
func removeDirs(root string) error {
	var dirs []string
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return nil //nolint:nilerr // gone while we looked: as well
		}
		dirs = append(dirs, path)
		return nil
	})
	for _, dir := range slices.Backward(dirs) {
		if e := os.Remove(dir); e != nil && !errors.Is(e, fs.ErrNotExist) {
			err = e
		}
	}
	return err
}
