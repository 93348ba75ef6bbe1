package follow

import (
	"cmp"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"exile/journal"
	"exile/journal/journalfile"
)

// SystemDirs returns where journald keeps the journal of this machine: on disk, and in memory until that is mounted.
// namespace is that of LogNamespace=, empty for the default one.
func SystemDirs(namespace string) ([]string, error) {
	b, err := os.ReadFile("/etc/machine-id")
	if err != nil {
		return nil, fmt.Errorf("read machine id: %w; run systemd-machine-id-setup", err)
	}
	id := strings.TrimSpace(string(b))
	if raw, err := hex.DecodeString(id); err != nil || len(raw) != 16 {
		return nil, fmt.Errorf("machine id %q in /etc/machine-id is not 32 hexadecimal digits; run systemd-machine-id-setup", id)
	}
	if namespace != "" {
		id += "." + namespace
	}
	return []string{filepath.Join("/var/log/journal", id), filepath.Join("/run/log/journal", id)}, nil
}

// CurrentBoot returns the id of the running boot.
func CurrentBoot() (id journal.ID, err error) {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return id, fmt.Errorf("read boot id: %w", err)
	}
	raw, err := hex.DecodeString(strings.ReplaceAll(strings.TrimSpace(string(b)), "-", ""))
	if err != nil || len(raw) != len(id) {
		return id, fmt.Errorf("read boot id: %q is none", b)
	}
	return journal.ID(raw), nil
}

// check reports what would keep us from following at all, with the remedy.
func check(cfg Config) error {
	for _, path := range cfg.Files {
		f, err := journalfile.Open(path)
		if err != nil {
			return err
		}
		_ = f.Close() // it was only looked at
	}
	if len(cfg.Files) > 0 {
		return nil
	}
	found, readable, denied := false, 0, error(nil)
	for _, dir := range cfg.Dirs {
		names, err := list(dir, cfg.AllUsers)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue
		case errors.Is(err, fs.ErrPermission):
			found, denied = true, refusal(dir)
			continue
		case err != nil:
			return err
		}
		found = true
		n, err := checkFiles(dir, names)
		if err != nil && !errors.Is(err, fs.ErrPermission) {
			return err
		}
		readable, denied = readable+n, cmp.Or(denied, err)
	}
	switch {
	case !found:
		return absence(cfg)
	case readable == 0:
		return denied
	}
	return nil
}

// checkFiles counts the files that we can read, and returns why we may not read one that we cannot. Follow reports damaged
// ones.
func checkFiles(dir string, names []string) (readable int, denied error) {
	for _, name := range names {
		path := filepath.Join(dir, name)
		f, err := journalfile.Open(path)
		switch {
		case err == nil:
			readable++
			_ = f.Close() // it was only read
		case errors.Is(err, fs.ErrPermission):
			denied = refusal(path)
		case errors.Is(err, journalfile.ErrUnsupported):
			return readable, err
		}
	}
	return readable, denied
}

// absence is the error for a machine without a journal.
func absence(cfg Config) error {
	return fmt.Errorf("no journal in %s: %w; is systemd-journald running, Storage= in journald.conf not none, and "+
		"/etc/machine-id the one that it was started with?",
		strings.Join(cfg.Dirs, " or "), fs.ErrNotExist)
}

// readers is the group that may read the journal.
const readers = "systemd-journal"

// refusal is the error for a file or directory of the journal that we may not read. journald does not change the permissions of
// a directory that somebody else made; the rules of systemd-tmpfiles do.
func refusal(path string) error {
	remedy := "give it to the group " + readers + ": systemd-tmpfiles --create --prefix " + root(path)
	if info, err := os.Stat(path); err == nil && info.Mode()&0o040 != 0 {
		if sys, ok := info.Sys().(*syscall.Stat_t); ok {
			if g, err := user.LookupGroupId(strconv.Itoa(int(sys.Gid))); err == nil && g.Name == readers {
				remedy = "add the user to the group " + readers
			}
		}
	}
	return fmt.Errorf("journal %s: %w; %s", path, fs.ErrPermission, remedy)
}

// root is the directory of the journals of all machines.
func root(path string) string {
	if isJournal(filepath.Base(path)) {
		path = filepath.Dir(path)
	}
	return filepath.Dir(path)
}

// list returns the names of the journal files in a directory.
func list(dir string, allUsers bool) ([]string, error) {
	all, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("list journal files: %w", err)
	}
	var names []string
	for _, e := range all {
		if name := e.Name(); isJournal(name) && (allUsers || isSystem(name)) {
			names = append(names, name)
		}
	}
	return names, nil
}

// isJournal reports whether a file of that name is a journal; journald appends ~ to damaged ones.
func isJournal(name string) bool {
	return strings.HasSuffix(name, ".journal") || strings.HasSuffix(name, ".journal~")
}

func isSystem(name string) bool {
	return strings.HasPrefix(name, "system.") || strings.HasPrefix(name, "system@")
}

// isArchived reports whether journald no longer writes to a file of that name.
func isArchived(name string) bool {
	return strings.Contains(name, "@") || strings.HasSuffix(name, "~")
}
