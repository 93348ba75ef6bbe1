package dbusapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/godbus/dbus/v5"

	"exile/internal/control"
)

// EachBan calls f with every ban of a jail, or of all (""), reasons included where the bus is on this host: there the
// bans come in a file, from another host in pages.
func (c *Client) EachBan(ctx context.Context, jail string, f func(control.Ban) error) error {
	if !c.link.Load().SupportsUnixFDs() {
		return control.EachBan(ctx, c, control.Page{Jail: jail, Max: pageMax}, f)
	}
	file, err := c.callFile(ctx, "ListBansByFileDescriptor", jail, uint64(0))
	if err != nil {
		return err
	}
	defer file.Close()
	dec := json.NewDecoder(file)
	for {
		var d banDoc
		if err := dec.Decode(&d); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("read bans: %w", err)
		}
		b, err := d.ban()
		if err != nil {
			return fmt.Errorf("read bans: %w", err)
		}
		if err := f(b); err != nil {
			return err
		}
	}
}

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

// ExportState implements control.Archiver, where the bus is on this host: a state is too long for a message.
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
