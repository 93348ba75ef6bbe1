package dbusapi

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"exile/internal/control"
)

// listBansByFD writes all bans, one JSON object a line, into a memory file that nobody can change any more.
func listBansByFD(c *call) ([]any, error) {
	page, err := c.page(control.Page{Jail: c.str(0), Max: pageMax}, c.u64(1))
	if err != nil {
		return nil, err
	}
	return c.replyFile("exile-bans", func(w io.Writer) error { return c.writeBans(w, page) })
}

// dumpByFD writes the description of the daemon, and then its bans.
func dumpByFD(c *call) ([]any, error) {
	return c.replyFile("exile-dump", func(w io.Writer) error {
		status, jails, err := c.session.service.ask(c.ctx)
		if err != nil {
			return err
		}
		if err := json.NewEncoder(w).Encode(toStatusDoc(status, jails)); err != nil {
			return err
		}
		return c.writeBans(w, control.Page{Max: pageMax})
	})
}

// exportStateByFD writes all that the daemon keeps on disk.
func exportStateByFD(c *call) ([]any, error) {
	if _, err := c.flags(0, 0); err != nil {
		return nil, err
	}
	return c.replyFile("exile-state", func(w io.Writer) error { return c.session.service.cfg.Archiver.ExportState(c.ctx, w) })
}

func (c *call) writeBans(w io.Writer, page control.Page) error {
	enc := json.NewEncoder(w)
	return control.EachBan(c.ctx, c.session.service.cfg.Reader, page, func(b control.Ban) error { return enc.Encode(toBanDoc(b)) })
}

// replyFile fills a memory file, seals it and makes it the reply.
func (c *call) replyFile(name string, write func(io.Writer) error) ([]any, error) {
	if !c.session.wire.passes {
		return nil, fail(errNotSupported, "This connection cannot pass file descriptors.")
	}
	back, err := c.borrow()
	if err != nil {
		return nil, err
	}
	f, err := c.makeFile(name, write)
	if err != nil {
		back()
		return nil, err
	}
	// The peer gets a file of its own, with its own offset, so that ours tells when the peer has closed it.
	c.file, err = os.OpenFile(fmt.Sprintf("/proc/self/fd/%d", f.Fd()), os.O_RDWR, 0)
	if err != nil {
		back()
		return nil, errors.Join(fmt.Errorf("open memory file: %w", err), f.Close())
	}
	go c.session.service.lend(f, back)
	return nil, nil
}

// borrow reserves one of the few memory files that peers may hold: what a peer keeps is our memory for as long as it does.
// Root may have any number. The function gives it back.
func (c *call) borrow() (func(), error) {
	if c.root {
		return func() {}, nil
	}
	lent := c.session.service.lent
	select {
	case lent <- struct{}{}:
		return func() { <-lent }, nil
	default:
		return nil, fail(errLimitsExceeded, "%d files are open already; ListBans has the same in pages.", maxLent)
	}
}

// lendLook is how often it is looked whether a peer still holds a file.
const lendLook = time.Second

// lend keeps f until the peer has closed its own.
func (s *Service) lend(f *os.File, back func()) {
	defer back()
	defer f.Close()
	for held(f) {
		select {
		case <-time.After(lendLook):
		case <-s.ended:
			return
		}
	}
}

// held reports whether anybody else has f open for writing: then the kernel does not give out a lease for reading.
func held(f *os.File) bool {
	_, err := unix.FcntlInt(f.Fd(), unix.F_SETLEASE, unix.F_RDLCK)
	if err == nil {
		_, err = unix.FcntlInt(f.Fd(), unix.F_SETLEASE, unix.F_UNLCK)
	}
	return errors.Is(err, unix.EAGAIN)
}

// seals are all there are.
const seals = unix.F_SEAL_SEAL | unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_WRITE

// makeFile makes a memory file that nobody can change.
func (c *call) makeFile(name string, write func(io.Writer) error) (_ *os.File, err error) {
	if err := c.turn(); err != nil {
		return nil, err
	}
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
	if err := f.Chmod(0o600); err != nil { // no peer opens it once more, which held would not see
		return nil, fmt.Errorf("protect memory file: %w", err)
	}
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, seals); err != nil {
		return nil, fmt.Errorf("seal memory file: %w", err)
	}
	return f, nil
}
