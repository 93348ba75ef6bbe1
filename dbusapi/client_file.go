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
	if !c.conn.SupportsUnixFDs() {
		return c.eachPage(ctx, jail, f)
	}
	body, err := c.call(ctx, "ListBansByFileDescriptor", jail, uint64(0))
	if err != nil {
		return err
	}
	var fd dbus.UnixFD
	if err := dbus.Store(body, &fd); err != nil {
		return fmt.Errorf("read reply of ListBansByFileDescriptor: %w", err)
	}
	file := os.NewFile(uintptr(fd), "bans")
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

func (c *Client) eachPage(ctx context.Context, jail string, f func(control.Ban) error) error {
	page := control.Page{Jail: jail, Max: pageMax}
	for {
		bans, next, err := c.Bans(ctx, page)
		if err != nil {
			return err
		}
		for _, b := range bans {
			if err := f(b); err != nil {
				return err
			}
		}
		if next == "" {
			return nil
		}
		page.After = next
	}
}
