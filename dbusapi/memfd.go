package dbusapi

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"

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
	for {
		bans, next, err := c.session.service.cfg.Reader.Bans(c.ctx, page)
		if err != nil {
			return err
		}
		for _, b := range bans {
			if err := enc.Encode(toBanDoc(b)); err != nil {
				return err
			}
		}
		if next == "" {
			return nil
		}
		page.After = next
	}
}

// replyFile fills a memory file, seals it and makes it the reply.
func (c *call) replyFile(name string, write func(io.Writer) error) ([]any, error) {
	if !c.session.wire.passes {
		return nil, fail(errNotSupported, "This connection cannot pass file descriptors.")
	}
	fd, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return nil, fmt.Errorf("create memory file: %w", err)
	}
	f := os.NewFile(uintptr(fd), name)
	c.file = f
	w := bufio.NewWriterSize(f, 64<<10)
	if err := write(w); err != nil {
		return nil, err
	}
	if err := w.Flush(); err != nil {
		return nil, fmt.Errorf("write memory file: %w", err)
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return nil, fmt.Errorf("rewind memory file: %w", err)
	}
	const seals = unix.F_SEAL_SEAL | unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_WRITE
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, seals); err != nil {
		return nil, fmt.Errorf("seal memory file: %w", err)
	}
	return nil, nil
}
