package lists

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"exile/firewall"
)

// errUnread is why nothing is known of a file that Serve has not looked at.
var errUnread = errors.New("not read yet")

// file is a list's file and what is in force of it.
type file struct {
	File
	mark    mark
	changed time.Time // when what is in parsed was written
	parsed  Parsed    // of the last time that it could be read
	err     error     // why it cannot be read now
	over    error     // why nothing of it is in force
	ranges  []firewall.Range
	cut     int // entries of which a part is protected
}

// mark tells whether a file is the one that was read.
type mark struct {
	inode   uint64
	size    int64
	changed time.Time
}

// read reads the file if it has changed. It reports whether it has, or has become readable or unreadable. A file that is only unreadable
// now leaves what was read.
func (f *file) read() (news bool) {
	before := f.err
	changed, err := f.load()
	f.err = err
	return changed || errors.Is(before, errUnread) || (before == nil) != (err == nil) || err != nil && before.Error() != err.Error()
}

func (f *file) load() (changed bool, err error) {
	in, err := os.OpenFile(f.Path, os.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0) // does not block on a named pipe
	if err != nil {
		f.mark = mark{}
		return false, err
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return false, err
	}
	if !info.Mode().IsRegular() {
		return false, fmt.Errorf("%s: not a regular file: %w", f.Path, fs.ErrInvalid)
	}
	now := mark{inodeOf(info), info.Size(), info.ModTime()}
	if now == f.mark {
		return false, f.err
	}
	f.mark = now
	parsed, err := Parse(in)
	if err != nil {
		return false, fmt.Errorf("%s: %w", f.Path, err)
	}
	f.parsed, f.changed = parsed, info.ModTime()
	return true, nil
}

func inodeOf(info os.FileInfo) uint64 {
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		return s.Ino
	}
	return 0
}
