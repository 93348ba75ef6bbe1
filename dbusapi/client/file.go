package client

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/godbus/dbus/v5"

	"exile/dbusapi/internal/bus"
	"exile/internal/control"
)

// EachBan calls f with every ban of a jail, or of all (""). If the bus is on this host, the bans come in a file, with their
// reasons. From another host, or while others hold too many files, they come in pages.
func (c *Client) EachBan(ctx context.Context, jail string, f func(control.Ban) error) error {
	pages := func() error { return control.EachBan(ctx, c, control.Page{Jail: jail, Max: control.PageMax}, f) }
	if !c.link.Load().SupportsUnixFDs() {
		return pages()
	}
	file, err := c.callFile(ctx, "ListBansByFileDescriptor", jail, uint64(0))
	if e, ok := errors.AsType[*RemoteError](err); ok && e.Name == bus.LimitsExceeded {
		return pages()
	}
	if err != nil {
		return err
	}
	defer file.Close()
	var b control.Ban
	dec, read := json.NewDecoder(bufio.NewReaderSize(file, fileBuffer)), control.NewDocumentReader(&b)
	for {
		if err := read.Read(dec, &b); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("read bans: %w", err)
		}
		if err := f(b); err != nil {
			return err
		}
	}
}

// fileBuffer is how much of a file is read at once: the decoder alone would ask for half a kilobyte each time.
const fileBuffer = 64 << 10

// callFile calls a method that returns a file.
func (c *Client) callFile(ctx context.Context, member string, in ...any) (*os.File, error) {
	body, err := c.call(ctx, member, in...)
	if err != nil {
		return nil, err
	}
	var fd dbus.UnixFD
	if err := dbus.Store(body, &fd); err != nil {
		return nil, fmt.Errorf("read reply of %s: %w", member, err)
	}
	return os.NewFile(uintptr(fd), member), nil
}

// ExportState implements control.Archiver, if the bus is on this host: a state is too long for a message.
func (c *Client) ExportState(ctx context.Context, w io.Writer) error {
	if !c.link.Load().SupportsUnixFDs() {
		return errors.New("this connection cannot pass files: export the state on the host that exiled runs on")
	}
	file, err := c.callFile(ctx, "ExportStateByFileDescriptor", uint64(0))
	if err != nil {
		return err
	}
	defer file.Close()
	_, err = io.Copy(w, file)
	return err
}
