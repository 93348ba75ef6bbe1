package client

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/godbus/dbus/v5"

	"exile/dbusapi/internal/bus"
	"exile/dbusapi/internal/exile1"
	"exile/internal/control"
)

// Ban implements control.Writer. The ban that it returns has only the jail as given, the prefix and the end.
func (c *Client) Ban(ctx context.Context, r control.BanRequest) (control.Ban, error) {
	var flags uint64
	if r.Permanent {
		flags |= exile1.FlagPermanent
	}
	if r.Force {
		flags |= exile1.FlagForce
	}
	body, err := c.call(ctx, "Ban", r.Jail, control.FormatPrefix(r.Prefix), exile1.DurationUSec(r.Duration), r.Reason, flags)
	if err != nil {
		return control.Ban{}, err
	}
	var until uint64
	if err := dbus.Store(body, &until); err != nil {
		return control.Ban{}, fmt.Errorf("read reply of Ban: %w", err)
	}
	return control.Ban{Jail: r.Jail, Prefix: r.Prefix, Until: exile1.FromUSec(until)}, nil
}

// Unban implements control.Writer.
func (c *Client) Unban(ctx context.Context, jail string, p netip.Prefix) (int, error) {
	var body []any
	var err error
	if p.IsValid() {
		body, err = c.call(ctx, "Unban", jail, control.FormatPrefix(p), uint64(0))
	} else {
		body, err = c.call(ctx, "Flush", jail, uint64(0))
	}
	if err != nil {
		return 0, err
	}
	var n uint32
	if err := dbus.Store(body, &n); err != nil {
		return 0, fmt.Errorf("read reply of Unban: %w", err)
	}
	return int(n), nil
}

// Reload implements control.Writer.
func (c *Client) Reload(ctx context.Context) error { return c.command(ctx, "Reload") }

// ResetStatistics implements control.Writer.
func (c *Client) ResetStatistics(ctx context.Context) error { return c.command(ctx, "ResetStatistics") }

// Pause implements control.Writer.
func (c *Client) Pause(ctx context.Context, d time.Duration) error {
	return c.command(ctx, "Pause", exile1.DurationUSec(d), uint64(0))
}

// ResetFirewall implements control.Writer.
func (c *Client) ResetFirewall(ctx context.Context) error {
	return c.command(ctx, "ResetFirewall", uint64(0))
}

// Report implements control.Writer.
func (c *Client) Report(ctx context.Context, r control.Report) error {
	return c.command(ctx, "Report", r.Jail, r.Addr.String(), r.User, r.Success, uint64(0))
}

func (c *Client) command(ctx context.Context, member string, in ...any) error {
	_, err := c.call(ctx, member, in...)
	return err
}

// ForgetName implements control.Learner.
func (c *Client) ForgetName(ctx context.Context, jail, name string) (bool, error) {
	return c.forget(ctx, "ForgetName", jail, control.QuoteName(name))
}

// ForgetAddress implements control.Learner.
func (c *Client) ForgetAddress(ctx context.Context, jail string, p netip.Prefix) (bool, error) {
	return c.forget(ctx, "ForgetAddress", jail, control.FormatPrefix(p))
}

func (c *Client) forget(ctx context.Context, member, jail, what string) (known bool, err error) {
	body, err := c.call(ctx, member, jail, what, uint64(0))
	if err != nil {
		return false, err
	}
	if err := dbus.Store(body, &known); err != nil {
		return false, fmt.Errorf("read reply of %s: %w", member, err)
	}
	return known, nil
}

// maxTrial is the longest text, in bytes, that TryConfiguration takes: it leaves room for the rest of the message.
const maxTrial = bus.MaxMessage - 1<<10

// Try implements control.Configurer.
func (c *Client) Try(ctx context.Context, text string, d time.Duration) error {
	if len(text) > maxTrial {
		return fmt.Errorf("%w: a configuration of %d bytes is more than the %d that the bus takes: put long lists into a file "+
			"and write ignoreip: file:/PATH", control.ErrInvalid, len(text), maxTrial)
	}
	_, err := c.call(ctx, "TryConfiguration", text, exile1.DurationUSec(d), uint64(0))
	return err
}

// What BanMany puts into one call: a message that the service reads, and bans that it makes in a moment.
const (
	manyBans  = 200
	manyBytes = bus.MaxMessage / 2
)

// BanMany implements control.Writer, in as many calls as it takes. If one fails, the bans of those before it stay.
func (c *Client) BanMany(ctx context.Context, requests []control.BanRequest) ([]error, error) {
	var errs []error
	for len(requests) > 0 {
		n, records := nextRequests(requests)
		some, err := c.banSome(ctx, records, requests[0].Force)
		if err != nil {
			return errs, err
		}
		errs, requests = append(errs, some...), requests[n:]
	}
	return errs, nil
}

// nextRequests takes requests that fit into one call and agree on Force, which is a flag of the call.
func nextRequests(requests []control.BanRequest) (int, []exile1.BanRequest) {
	var out []exile1.BanRequest
	size := 0
	for i, r := range requests {
		size += len(r.Jail) + len(r.Reason) + 80 // an address, lengths, alignment
		if i > 0 && (i == manyBans || size > manyBytes || r.Force != requests[0].Force) {
			break
		}
		duration := exile1.DurationUSec(r.Duration)
		if r.Permanent {
			duration = exile1.Infinity
		}
		out = append(out, exile1.BanRequest{Jail: r.Jail, Address: control.FormatPrefix(r.Prefix), Duration: duration, Reason: r.Reason})
	}
	return len(out), out
}

func (c *Client) banSome(ctx context.Context, records []exile1.BanRequest, force bool) ([]error, error) {
	var flags uint64
	if force {
		flags = exile1.FlagForce
	}
	return c.callMany(ctx, "BanMany", len(records), records, flags)
}

// Remember implements control.Writer, in as many calls as it takes.
func (c *Client) Remember(ctx context.Context, offenders []control.Offender) ([]error, error) {
	var errs []error
	for some := range slices.Chunk(offenders, manyBans/2) { // of which each has the longest name, and an address
		records := make([]exile1.Offender, len(some))
		for i, o := range some {
			records[i] = exile1.Offender{
				Jail: o.Jail, Address: control.FormatPrefix(o.Prefix), Offences: exile1.Count(o.Offences), Last: exile1.USec(o.Last),
			}
		}
		more, err := c.callMany(ctx, "Remember", len(records), records, 0)
		if err != nil {
			return errs, err
		}
		errs = append(errs, more...)
	}
	return errs, nil
}

// callMany calls a method for n records, and returns for each why it was refused, or nil.
func (c *Client) callMany(ctx context.Context, method string, n int, records any, flags uint64) ([]error, error) {
	body, err := c.call(ctx, method, records, flags)
	if err != nil {
		return nil, err
	}
	var refused []exile1.Refusal
	if err := dbus.Store(body, &refused); err != nil {
		return nil, fmt.Errorf("read reply of %s: %w", method, err)
	}
	if slices.ContainsFunc(refused, func(r exile1.Refusal) bool { return uint64(r.Index) >= uint64(n) }) {
		return nil, fmt.Errorf("read reply of %s: it refuses more than was asked", method)
	}
	errs := make([]error, n)
	for _, r := range refused {
		errs[r.Index] = &RemoteError{Name: r.Name, Message: r.Message}
	}
	return errs, nil
}
