package dbusapi

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/godbus/dbus/v5"

	"exile/internal/control"
)

// clientSignals hands signals to Watch in the order they came: those of the daemon's interface, whoever sent them, and what
// the bus says of names.
type clientSignals struct {
	ctx    context.Context
	client *Client
}

// DeliverSignal is called by godbus in its reading goroutine.
func (s clientSignals) DeliverSignal(iface, _ string, sig *dbus.Signal) {
	if !s.client.watching.Load() || iface != ManagerInterface && !isOwnerChange(sig) {
		return // where nobody watches, a stranger's signals would fill the queue and stop the reading
	}
	select {
	case s.client.signals <- sig:
	case <-s.ctx.Done():
	}
}

func isOwnerChange(sig *dbus.Signal) bool {
	return sig.Sender == "org.freedesktop.DBus" && sig.Name == "org.freedesktop.DBus.NameOwnerChanged"
}

// Watch subscribes and calls emit with each ban and unban as they are announced, until ctx or the connection ends, also
// when the daemon is restarted meanwhile. Their times are when they arrived. It may be called once.
func (c *Client) Watch(ctx context.Context, emit func(control.Event)) error {
	c.watching.Store(true)
	owner, err := c.follow(ctx)
	if err != nil {
		return err
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-c.conn.Context().Done():
			if ctx.Err() != nil {
				return nil // the connection ends with ctx
			}
			return errLost
		case sig := <-c.signals:
			if isOwnerChange(sig) {
				if owner, err = c.changed(ctx, sig, owner); err != nil {
					return err
				}
			} else if e, ok := event(sig); ok && sig.Sender == owner { // anybody can send anything to anybody
				emit(e)
			}
		}
	}
}

// follow subscribes, and returns who the daemon is on the bus.
func (c *Client) follow(ctx context.Context) (owner string, err error) {
	err = c.conn.AddMatchSignalContext(ctx, dbus.WithMatchSender("org.freedesktop.DBus"),
		dbus.WithMatchInterface("org.freedesktop.DBus"), dbus.WithMatchMember("NameOwnerChanged"), dbus.WithMatchArg(0, BusName))
	if err != nil {
		return "", fmt.Errorf("watch the daemon: %w", remote(err))
	}
	if err := c.command(ctx, "Subscribe"); err != nil {
		return "", err
	}
	if err := c.conn.BusObject().CallWithContext(ctx, "org.freedesktop.DBus.GetNameOwner", 0, BusName).Store(&owner); err != nil {
		return "", remote(err)
	}
	return owner, nil
}

// changed subscribes with the name's next owner: the one before has taken the subscription along.
func (c *Client) changed(ctx context.Context, sig *dbus.Signal, owner string) (string, error) {
	var name, before, after string
	if dbus.Store(sig.Body, &name, &before, &after) != nil || name != BusName {
		return owner, nil
	}
	if after == "" || after == owner {
		return after, nil
	}
	err := c.command(ctx, "Subscribe")
	if e, ok := errors.AsType[*RemoteError](err); ok && e.gone() {
		return "", nil // the next one is told of, too
	}
	return after, err
}

// event reads a signal. One that is not as the interface says is none.
func event(sig *dbus.Signal) (control.Event, bool) {
	var jail, addr, text string
	var until uint64
	var failures uint32
	e := control.Event{Time: time.Now()}
	switch sig.Name {
	case ManagerInterface + ".BanNew":
		if dbus.Store(sig.Body, &jail, &addr, &until, &failures, &text) != nil {
			return e, false
		}
		e.Kind = control.BanNew
		e.Ban = control.Ban{Jail: jail, Since: e.Time, Until: fromUSec(until), Failures: int(failures), Origin: control.Origin(text)}
	case ManagerInterface + ".BanRemoved":
		if dbus.Store(sig.Body, &jail, &addr, &text) != nil {
			return e, false
		}
		e.Kind, e.Reason, e.Ban = control.BanRemoved, text, control.Ban{Jail: jail}
	default:
		return e, false
	}
	p, err := ParsePrefix(addr)
	e.Ban.Prefix = p
	return e, err == nil
}
