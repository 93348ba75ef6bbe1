package server

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"exile/dbusapi/internal/bus"
)

// maxOpenFiles is how many memory files peers other than root may hold, all together: what a peer keeps is our memory for as
// long as it does.
const maxOpenFiles = 8

// pollFile is how often it is checked whether a peer still holds a file.
const pollFile = time.Second

// openFiles are the memory files that peers hold. They outlive connections.
type openFiles struct {
	held  chan struct{} // one element for each file of a peer other than root
	ended chan struct{} // closed when the service ends
}

func newOpenFiles() *openFiles {
	return &openFiles{held: make(chan struct{}, maxOpenFiles), ended: make(chan struct{})}
}

// reserve takes one of the few places, of which root has any number. The function gives it back.
func (o *openFiles) reserve(root bool) (func(), error) {
	if root {
		return func() {}, nil
	}
	select {
	case o.held <- struct{}{}:
		return func() { <-o.held }, nil
	default:
		return nil, bus.Errorf(bus.LimitsExceeded, "%d files are open already: ask for pages instead, or later.", maxOpenFiles)
	}
}

// watch keeps f open until the peer has closed its own, and then gives back the place.
func (o *openFiles) watch(f *os.File, release func()) {
	defer release()
	defer f.Close()
	for openElsewhere(f) {
		select {
		case <-time.After(pollFile):
		case <-o.ended:
			return
		}
	}
}

// openElsewhere reports whether anybody else has f open for writing: then the kernel grants no read lease.
func openElsewhere(f *os.File) bool {
	_, err := unix.FcntlInt(f.Fd(), unix.F_SETLEASE, unix.F_RDLCK)
	if err == nil {
		_, err = unix.FcntlInt(f.Fd(), unix.F_SETLEASE, unix.F_UNLCK)
	}
	return errors.Is(err, unix.EAGAIN)
}

// reopen opens a memory file once more, with its own offset, so that ours tells when the peer has closed it.
func reopen(f *os.File) (*os.File, error) {
	theirs, err := os.OpenFile(fmt.Sprintf("/proc/self/fd/%d", f.Fd()), os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("open memory file: %w", err)
	}
	return theirs, nil
}

// seals are all there are.
const seals = unix.F_SEAL_SEAL | unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_WRITE

// makeFile makes a memory file that nobody can change.
func makeFile(name string, write func(io.Writer) error) (_ *os.File, err error) {
	fd, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return nil, fmt.Errorf("create memory file: %w", err)
	}
	f := os.NewFile(uintptr(fd), name)
	defer func() {
		if err != nil {
			_ = f.Close()
		}
	}()
	w := bufio.NewWriterSize(f, 64<<10)
	if err := write(w); err != nil {
		return nil, err
	}
	if err := w.Flush(); err != nil {
		return nil, fmt.Errorf("write memory file: %w", err)
	}
	if err := f.Chmod(0o600); err != nil { // a peer that opened it again would not be seen by openElsewhere
		return nil, fmt.Errorf("protect memory file: %w", err)
	}
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, seals); err != nil {
		return nil, fmt.Errorf("seal memory file: %w", err)
	}
	return f, nil
}
