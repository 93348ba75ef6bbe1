package follow

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

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

// CurrentBoot returns the id of the boot that is running.
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

// check reports what would keep us from following, with the remedy.
func check(cfg Config) error {
	var found bool
	for _, dir := range cfg.Dirs {
		names, err := list(dir, cfg.AllUsers)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue
		case errors.Is(err, fs.ErrPermission):
			return fmt.Errorf("journal %s: %w; add the user to the group systemd-journal", dir, fs.ErrPermission)
		case err != nil:
			return err
		}
		found = true
		if err := checkFiles(dir, names); err != nil {
			return err
		}
	}
	if !found {
		return fmt.Errorf("no journal in %s: %w; is systemd-journald running, and Storage= in journald.conf not none?",
			strings.Join(cfg.Dirs, " or "), fs.ErrNotExist)
	}
	return nil
}

// checkFiles refuses a directory with files that we must not or cannot read at all. Damaged ones are for Follow to report.
func checkFiles(dir string, names []string) error {
	for _, name := range names {
		f, err := journalfile.Open(filepath.Join(dir, name))
		switch {
		case err == nil:
			err = f.Close()
		case errors.Is(err, fs.ErrPermission):
			return fmt.Errorf("journal file %s: %w; add the user to the group systemd-journal", filepath.Join(dir, name), fs.ErrPermission)
		case !errors.Is(err, journalfile.ErrUnsupported):
			err = nil
		}
		if err != nil {
			return err
		}
	}
	return nil
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

// isJournal reports whether a file of that name is a journal; journald appends ~ to those that it found damaged.
func isJournal(name string) bool {
	return strings.HasSuffix(name, ".journal") || strings.HasSuffix(name, ".journal~")
}

func isSystem(name string) bool {
	return strings.HasPrefix(name, "system.") || strings.HasPrefix(name, "system@")
}

// isArchived reports whether journald writes no more to a file of that name.
func isArchived(name string) bool {
	return strings.Contains(name, "@") || strings.HasSuffix(name, "~")
}
