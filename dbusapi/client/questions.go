package client

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/godbus/dbus/v5"

	"exile/dbusapi/internal/bus"
	"exile/dbusapi/internal/exile1"
	"exile/internal/control"
)

// describe calls a method that returns a record as JSON.
func (c *Client) describe(ctx context.Context, record any, member string, in ...any) error {
	body, err := c.call(ctx, member, in...)
	if err != nil {
		return err
	}
	var text string
	if err := dbus.Store(body, &text); err != nil {
		return fmt.Errorf("read reply of %s: %w", member, err)
	}
	if err := json.Unmarshal([]byte(text), record); err != nil {
		return fmt.Errorf("read reply of %s: %w", member, err)
	}
	return nil
}

// Status implements control.Reader.
func (c *Client) Status(ctx context.Context) (control.Status, error) {
	var o control.Overview
	err := c.describe(ctx, &o, "Describe")
	return o.Status, err
}

// Jails implements control.Reader.
func (c *Client) Jails(ctx context.Context) ([]control.JailStatus, error) {
	var o control.Overview
	err := c.describe(ctx, &o, "Describe")
	return o.All, err
}

// Address implements control.Reader.
func (c *Client) Address(ctx context.Context, p netip.Prefix) (control.Address, error) {
	var a control.Address
	err := c.describe(ctx, &a, "DescribeAddress", control.FormatPrefix(p))
	return a, err
}

// Held implements control.Reader.
func (c *Client) Held(ctx context.Context, p netip.Prefix) (held []control.Held, err error) {
	err = c.describe(ctx, &held, "DescribeKernel", control.FormatPrefix(p))
	return held, err
}

// History implements control.Historian.
func (c *Client) History(ctx context.Context, jail string, since, until time.Time) (control.History, error) {
	var h control.History
	err := c.describe(ctx, &h, "DescribeHistory", jail, exile1.USec(since), exile1.USec(until))
	return h, err
}

// Bans implements control.Reader.
func (c *Client) Bans(ctx context.Context, p control.Page) ([]control.Ban, string, error) {
	body, err := c.call(ctx, "ListBans", p.Jail, p.After, exile1.Count(p.Max), uint64(0))
	if err != nil {
		return nil, "", err
	}
	return exile1.ReadBans(body)
}

// Hosts implements control.Reader, except that a jail must be named.
func (c *Client) Hosts(ctx context.Context, p control.Page) ([]control.Host, string, error) {
	body, err := c.callObject(ctx, exile1.JailPath(p.Jail), exile1.JailInterface, "ListFailures", p.After, exile1.Count(p.Max), uint64(0))
	if e, ok := errors.AsType[*RemoteError](err); ok && e.Name == bus.UnknownObject {
		_, err := c.call(ctx, "GetJail", p.Jail) // its error lists the jails
		return nil, "", cmp.Or(err, error(e))
	}
	if err != nil {
		return nil, "", err
	}
	var records []exile1.HostRecord
	var next string
	if err := dbus.Store(body, &records, &next); err != nil {
		return nil, "", fmt.Errorf("read reply of ListFailures: %w", err)
	}
	var out []control.Host
	for _, r := range records {
		prefix, err := control.ParsePrefix(r.Address)
		if err != nil {
			return nil, "", fmt.Errorf("read reply of ListFailures: %w", err)
		}
		out = append(out, control.Host{
			Jail: p.Jail, Prefix: prefix, Failures: int(r.Failures), First: exile1.FromUSec(r.First), Last: exile1.FromUSec(r.Last),
		})
	}
	return out, next, nil
}

// Names implements control.Learner.
func (c *Client) Names(ctx context.Context, jail string) ([]control.Name, error) {
	body, err := c.call(ctx, "ListNames", jail, uint64(0))
	if err != nil {
		return nil, err
	}
	var records []exile1.NameRecord
	if err := dbus.Store(body, &records); err != nil {
		return nil, fmt.Errorf("read reply of ListNames: %w", err)
	}
	var out []control.Name
	for _, r := range records {
		name, err := control.ParseName(r.Name)
		if err != nil {
			return nil, fmt.Errorf("read reply of ListNames: %w", err)
		}
		out = append(out, control.Name{Jail: r.Jail, Name: control.AnyText(name), Hosts: int(r.Hosts), Last: exile1.FromUSec(r.Last)})
	}
	return out, nil
}

// Trial implements control.Configurer, except that it does not say when the trial began.
func (c *Client) Trial(ctx context.Context) (t control.Trial, err error) {
	body, err := c.call(ctx, "GetTrial")
	if err != nil {
		return t, err
	}
	var until uint64
	if err := dbus.Store(body, &t.File, &t.Text, &until); err != nil {
		return t, fmt.Errorf("read reply of GetTrial: %w", err)
	}
	t.Until = exile1.FromUSec(until)
	return t, nil
}
