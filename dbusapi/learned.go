package dbusapi

import (
	"context"
	"fmt"
	"net/netip"

	"github.com/godbus/dbus/v5"

	"exile/internal/control"
)

// learnedMethods are the rows of org.exile1.Manager about what detectors have learned.
func learnedMethods() []method {
	return []method{
		{"ListNames", "s jail, t flags", "a(ssut) names", listNames},
		{"ForgetName", "s jail, s name, t flags", "b known", forgetName},
		{"ForgetAddress", "s jail, s address, t flags", "b known", forgetAddress},
	}
}

// nameRecord is a learned name on the wire: (ssut). Names may be of any bytes, which D-Bus strings may not: they are quoted.
type nameRecord struct {
	Jail, Name string
	Hosts      uint32
	Last       uint64
}

func listNames(c *call) ([]any, error) {
	if err := c.about(1); err != nil {
		return nil, err
	}
	names, err := c.session.service.cfg.Learner.Names(c.ctx, c.str(0))
	if err != nil {
		return nil, err
	}
	out := make([]nameRecord, 0, len(names))
	for _, n := range names {
		out = append(out, nameRecord{n.Jail, control.QuoteName(n.Name), count(n.Hosts), usec(n.Last)})
	}
	return []any{out}, nil
}

// about checks argument 0, a jail, and argument flagsAt, which has no flags yet.
func (c *call) about(flagsAt int) error {
	if _, err := c.flags(flagsAt, 0); err != nil {
		return err
	}
	return checkText("jail", c.str(0))
}

func forgetName(c *call) ([]any, error) {
	if err := c.about(2); err != nil {
		return nil, err
	}
	name, err := control.ParseName(c.str(1))
	if err != nil {
		return nil, err
	}
	known, err := c.session.service.cfg.Learner.ForgetName(c.ctx, c.str(0), name)
	return []any{known}, err
}

func forgetAddress(c *call) ([]any, error) {
	if err := c.about(2); err != nil {
		return nil, err
	}
	p, err := ParsePrefix(c.str(1))
	if err != nil {
		return nil, err
	}
	known, err := c.session.service.cfg.Learner.ForgetAddress(c.ctx, c.str(0), p)
	return []any{known}, err
}

// Names implements control.Learner.
func (c *Client) Names(ctx context.Context, jail string) ([]control.Name, error) {
	body, err := c.call(ctx, "ListNames", jail, uint64(0))
	if err != nil {
		return nil, err
	}
	var records []nameRecord
	if err := dbus.Store(body, &records); err != nil {
		return nil, fmt.Errorf("read reply of ListNames: %w", err)
	}
	var out []control.Name
	for _, r := range records {
		name, err := control.ParseName(r.Name)
		if err != nil {
			return nil, fmt.Errorf("read reply of ListNames: %w", err)
		}
		out = append(out, control.Name{Jail: r.Jail, Name: name, Hosts: int(r.Hosts), Last: fromUSec(r.Last)})
	}
	return out, nil
}

// ForgetName implements control.Learner.
func (c *Client) ForgetName(ctx context.Context, jail, name string) (bool, error) {
	return c.forget(ctx, "ForgetName", jail, control.QuoteName(name))
}

// ForgetAddress implements control.Learner.
func (c *Client) ForgetAddress(ctx context.Context, jail string, p netip.Prefix) (bool, error) {
	return c.forget(ctx, "ForgetAddress", jail, FormatPrefix(p))
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
