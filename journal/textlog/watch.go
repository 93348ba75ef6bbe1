package textlog

import (
	"context"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const (
	safety = 5 * time.Second        // between two looks if inotify is silent: it does not see network file systems
	blind  = 250 * time.Millisecond // the same without inotify: the host has too many watches already
)

const (
	eventsContent = unix.IN_MODIFY
	eventsName    = unix.IN_CREATE | unix.IN_MOVED_FROM | unix.IN_MOVED_TO | unix.IN_DELETE | unix.IN_DELETE_SELF | unix.IN_MOVE_SELF
)

// watch waits for the folders of the logs to change.
type watch struct {
	patterns []string
	bases    []string // what relevant names look like, including rotated ones
	inotify  *os.File // nil without
	broken   bool     // inotify cannot be read
	buf      [16 << 10]byte
	scanned  time.Time
}

func newWatch(patterns []string) *watch {
	w := &watch{patterns: patterns}
	for _, pattern := range patterns {
		base := filepath.Base(pattern)
		w.bases = append(w.bases, base+"*")
		if extension := filepath.Ext(base); !strings.ContainsAny(extension, wildcards+"]") {
			w.bases = append(w.bases, strings.TrimSuffix(base, extension)+"*"+extension)
		}
	}
	if fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK); err == nil {
		w.inotify = os.NewFile(uintptr(fd), "inotify")
	}
	w.arm()
	return w
}

// arm watches the folders that exist now; watching one twice has no effect.
func (w *watch) arm() {
	w.scanned = time.Now()
	if w.inotify == nil {
		return
	}
	raw, err := w.inotify.SyscallConn()
	if err != nil {
		return
	}
	// A folder that does not exist or cannot be watched is looked at after the safety time.
	_ = raw.Control(func(fd uintptr) {
		for _, folder := range folders(w.patterns) {
			_, _ = unix.InotifyAddWatch(int(fd), folder, unix.IN_ONLYDIR|eventsContent|eventsName)
		}
	})
}

// folders returns the folders of the logs, and of each pattern those in which such folders may appear.
func folders(patterns []string) []string {
	var all []string
	for _, pattern := range patterns {
		folder := filepath.Dir(pattern)
		for ; isPattern(folder); folder = filepath.Dir(folder) {
			matches, _ := filepath.Glob(folder) // New checked the pattern
			all = append(all, matches[:min(len(matches), maxFiles)]...)
		}
		all = append(all, folder)
	}
	return all
}

// wait returns when a log may have grown, or when ctx ended and interrupt was called. It reports whether names changed, or were
// not looked at for the safety time.
func (w *watch) wait(ctx context.Context) (changed bool) {
	if w.inotify == nil || w.broken {
		timer := time.NewTimer(blind)
		defer timer.Stop()
		select {
		case <-ctx.Done():
		case <-timer.C:
		}
		return true
	}
	for until := w.scanned.Add(safety); ; {
		// The order matters: if ctx ends after the second line, the deadline is set after the first.
		err := w.inotify.SetReadDeadline(until)
		if err != nil || ctx.Err() != nil {
			return true
		}
		n, err := w.inotify.Read(w.buf[:])
		if err != nil {
			w.broken = !errors.Is(err, os.ErrDeadlineExceeded)
			return true
		}
		grown, changed := w.relevant(w.buf[:n])
		if grown || changed {
			return changed || !time.Now().Before(until)
		}
	}
}

// relevant reports whether inotify's events say that a log may have grown, and that names may have changed.
func (w *watch) relevant(events []byte) (grown, changed bool) {
	for len(events) >= unix.SizeofInotifyEvent {
		mask := binary.NativeEndian.Uint32(events[4:])
		length := int(binary.NativeEndian.Uint32(events[12:]))
		end := min(unix.SizeofInotifyEvent+length, len(events))
		name := strings.TrimRight(string(events[unix.SizeofInotifyEvent:end]), "\x00")
		events = events[end:]
		switch {
		case mask&(unix.IN_Q_OVERFLOW|unix.IN_IGNORED|unix.IN_ISDIR) != 0, name == "":
			changed = true
		case !w.concerns(name):
		case mask&eventsName != 0:
			changed = true
		default:
			grown = true
		}
	}
	return grown, changed
}

func (w *watch) concerns(name string) bool {
	for _, base := range w.bases {
		if ok, err := filepath.Match(base, name); ok || err != nil {
			return true
		}
	}
	return false
}

// interrupt ends wait.
func (w *watch) interrupt() {
	if w.inotify != nil {
		_ = w.inotify.SetReadDeadline(time.Unix(1, 0))
	}
}

func (w *watch) close() {
	if w.inotify != nil {
		_ = w.inotify.Close() // nothing is written to it
	}
}
