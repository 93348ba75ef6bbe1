package dbusapi

import (
	"context"
	"fmt"
	"time"

	"github.com/godbus/dbus/v5"

	"exile/internal/control"
)

// trialMethods are the rows of org.exile1.Manager about a configuration that waits for its confirmation. Only root passes:
// a configuration names programs that are run.
func trialMethods() []method {
	return []method{
		{"TryConfiguration", "s text, t duration_usec, t flags", "", tryConfiguration},
		{"GetTrial", "", "s file, s text, t until_usec", getTrial},
	}
}

// MaxTrial is the longest text, in bytes, that TryConfiguration takes: the rest of a message has room beside it.
const MaxTrial = maxMessage - 1<<10

func tryConfiguration(c *call) ([]any, error) {
	if _, err := c.flags(2, 0); err != nil {
		return nil, err
	}
	d := fromDurationUSec(c.u64(1))
	if d < 0 {
		return nil, fail(errInvalidArgs, "A trial has an end: %d µs is too long.", c.u64(1))
	}
	err := c.session.service.cfg.Configurer.Try(c.ctx, c.str(0), d)
	_ = c.session.own(c.session.ctx, c.session.changes.soon)
	return nil, err
}

func getTrial(c *call) ([]any, error) {
	t, err := c.session.service.cfg.Configurer.Trial(c.ctx)
	if err != nil {
		return nil, err
	}
	return []any{t.File, t.Text, usec(t.Until)}, nil
}

// Try implements control.Configurer.
func (c *Client) Try(ctx context.Context, text string, d time.Duration) error {
	if len(text) > MaxTrial {
		return fmt.Errorf("%w: a configuration of %d bytes is more than the %d that the bus takes: put long lists into a file "+
			"and write ignoreip: file:/PATH", control.ErrInvalid, len(text), MaxTrial)
	}
	_, err := c.call(ctx, "TryConfiguration", text, durationUSec(d), uint64(0))
	return err
}

// Trial implements control.Configurer, but for when it began.
func (c *Client) Trial(ctx context.Context) (t control.Trial, err error) {
	body, err := c.call(ctx, "GetTrial")
	if err != nil {
		return t, err
	}
	var until uint64
	if err := dbus.Store(body, &t.File, &t.Text, &until); err != nil {
		return t, fmt.Errorf("read reply of GetTrial: %w", err)
	}
	t.Until = fromUSec(until)
	return t, nil
}
