package client

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/godbus/dbus/v5"

	"exile/dbusapi/internal/bus"
	"exile/dbusapi/internal/exile1"
	"exile/internal/control"
)

// Watch subscribes and calls emit with each ban and unban as they are announced, until ctx ends or the client is closed. It goes on
// when the daemon or the bus is restarted, but a lost Stream is not connected again. The time of an event is when it arrived.
// Watch may be called once.
func (c *Client) Watch(ctx context.Context, emit func(control.Event)) error {
	c.watching.Store(true)
	owner, err := c.follow(ctx)
	for err == nil {
		err = c.hear(ctx, owner, emit)
		if errors.Is(err, bus.ErrLost) && c.cfg.Stream == nil && !c.ended(ctx) {
			owner, err = c.rejoin(ctx)
		}
		if c.ended(ctx) {
			return nil
		}
	}
	return err
}

// ended reports whether nobody listens any more. If both contexts have one parent, either may be the first to end.
func (c *Client) ended(ctx context.Context) bool { return ctx.Err() != nil || c.ctx.Err() != nil }

// hear emits what the daemon says until the connection is lost.
func (c *Client) hear(ctx context.Context, owner string, emit func(control.Event)) (err error) {
	link := c.link.Load()
	for err == nil {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-link.Context().Done():
			return bus.ErrLost
		case sig := <-link.signals:
			if isOwnerChange(sig) {
				owner, err = c.changed(ctx, sig, owner)
			} else if e, ok := event(sig); ok && sig.Sender == owner { // anybody can send anything to anybody
				emit(e)
			}
		}
	}
	return err
}

// The times between attempts to reach the bus.
const (
	backoffFirst = 100 * time.Millisecond
	backoffMax   = 5 * time.Second
)

// rejoin connects again and again until it can follow the daemon, or wait for it on the new bus.
func (c *Client) rejoin(ctx context.Context) (string, error) {
	c.lost(bus.ErrLost)
	for wait := backoffFirst; ; wait = min(2*wait, backoffMax) {
		select {
		case <-ctx.Done():
			return "", ctx.Err()
		case <-c.ctx.Done(): // it is closed
			return "", bus.ErrLost
		case <-time.After(wait):
		}
		if c.connect() != nil {
			continue
		}
		owner, err := c.follow(ctx)
		if isGone(err) {
			return "", nil // the bus will say when it comes
		}
		if _, refused := errors.AsType[*RemoteError](err); err == nil || refused {
			return owner, err
		}
		_ = c.link.Load().Close()
	}
}

// errLeft means that the daemon has ended, or has lost the bus.
var errLeft = errors.New("exiled has left the bus")

func (c *Client) lost(why error) {
	if c.cfg.Lost != nil {
		c.cfg.Lost(why)
	}
}

// follow subscribes, and returns the unique name of the daemon.
func (c *Client) follow(ctx context.Context) (owner string, err error) {
	conn := c.link.Load()
	err = conn.AddMatchSignalContext(ctx, dbus.WithMatchSender("org.freedesktop.DBus"),
		dbus.WithMatchInterface("org.freedesktop.DBus"), dbus.WithMatchMember("NameOwnerChanged"), dbus.WithMatchArg(0, exile1.BusName))
	if err != nil {
		return "", fmt.Errorf("watch the daemon: %w", remote(err))
	}
	if err := c.command(ctx, "Subscribe"); err != nil {
		return "", err
	}
	if err := conn.BusObject().CallWithContext(ctx, "org.freedesktop.DBus.GetNameOwner", 0, exile1.BusName).Store(&owner); err != nil {
		return "", remote(err)
	}
	c.joined()
	return owner, nil
}

func (c *Client) joined() {
	if c.cfg.Joined != nil {
		c.cfg.Joined()
	}
}

// changed subscribes again when the name has a new owner: the old one took the subscription with it.
func (c *Client) changed(ctx context.Context, sig *dbus.Signal, owner string) (string, error) {
	var name, before, after string
	if dbus.Store(sig.Body, &name, &before, &after) != nil || name != exile1.BusName {
		return owner, nil
	}
	if after == "" {
		c.lost(errLeft)
	}
	if after == "" || after == owner {
		return after, nil
	}
	err := c.command(ctx, "Subscribe")
	if isGone(err) {
		return "", nil // the bus will say when the next one comes
	}
	if err == nil {
		c.joined()
	}
	return after, err
}

// event reads a signal; false if it is not one of the interface.
func event(sig *dbus.Signal) (control.Event, bool) {
	var jail, addr, text, reason string
	var until uint64
	var failures uint32
	var simulated bool
	e := control.Event{Time: time.Now()}
	switch sig.Name {
	case exile1.ManagerInterface + ".BanNew":
		if dbus.Store(sig.Body, &jail, &addr, &until, &failures, &text, &reason, &simulated) != nil {
			return e, false
		}
		e.Kind = control.BanNew
		e.Ban = control.Ban{Jail: jail, Since: e.Time, Until: exile1.FromUSec(until), Failures: int(failures), Origin: control.Origin(text), Reason: reason}
	case exile1.ManagerInterface + ".BanRemoved":
		if dbus.Store(sig.Body, &jail, &addr, &text, &simulated) != nil {
			return e, false
		}
		e.Kind, e.Reason, e.Ban = control.BanRemoved, text, control.Ban{Jail: jail}
	default:
		return e, false
	}
	p, err := control.ParsePrefix(addr)
	e.Ban.Prefix, e.Ban.Simulated = p, simulated
	return e, err == nil
}
