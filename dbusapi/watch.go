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
	client  *Client
	signals chan<- *dbus.Signal
}

// DeliverSignal is called by godbus in its reading goroutine.
func (s clientSignals) DeliverSignal(iface, _ string, sig *dbus.Signal) {
	if !s.client.watching.Load() || iface != ManagerInterface && !isOwnerChange(sig) {
		return // where nobody watches, a stranger's signals would fill the queue and stop the reading
	}
	select {
	case s.signals <- sig:
	case <-s.client.ctx.Done():
	}
}

func isOwnerChange(sig *dbus.Signal) bool {
	return sig.Sender == "org.freedesktop.DBus" && sig.Name == "org.freedesktop.DBus.NameOwnerChanged"
}

// Watch subscribes and calls emit with each ban and unban as they are announced, until ctx ends or the client is closed, also when the
// daemon or the bus is restarted meanwhile; but a connection over a Stream is not made anew. Their times are when they arrived. It may be
// called once.
func (c *Client) Watch(ctx context.Context, emit func(control.Event)) error {
	c.watching.Store(true)
	owner, err := c.follow(ctx)
	for err == nil {
		err = c.hear(ctx, owner, emit)
		if errors.Is(err, errLost) && c.cfg.Stream == nil && !c.ended(ctx) {
			owner, err = c.rejoin(ctx)
		}
		if c.ended(ctx) {
			return nil
		}
	}
	return err
}

// ended reports whether nobody wants to hear any more. Of a context that both were made from, each is told on its own.
func (c *Client) ended(ctx context.Context) bool { return ctx.Err() != nil || c.ctx.Err() != nil }

// hear emits what the daemon says until the connection is lost.
func (c *Client) hear(ctx context.Context, owner string, emit func(control.Event)) (err error) {
	link := c.link.Load()
	for err == nil {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-link.Context().Done():
			return errLost
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

// rejoin connects again and again until it can follow the daemon, or wait for it, on the bus that there is then.
func (c *Client) rejoin(ctx context.Context) (string, error) {
	c.lost(errLost)
	for wait := backoffFirst; ; wait = min(2*wait, backoffMax) {
		select {
		case <-ctx.Done():
			return "", ctx.Err()
		case <-c.ctx.Done(): // it is closed
			return "", errLost
		case <-time.After(wait):
		}
		if c.connect() != nil {
			continue
		}
		owner, err := c.follow(ctx)
		if isGone(err) {
			return "", nil // its coming will be told
		}
		if _, refused := errors.AsType[*RemoteError](err); err == nil || refused {
			return owner, err
		}
		_ = c.link.Load().Close()
	}
}

// errLeft is that the daemon has ended, or has lost the bus.
var errLeft = errors.New("exiled has left the bus")

func (c *Client) lost(why error) {
	if c.cfg.Lost != nil {
		c.cfg.Lost(why)
	}
}

// follow subscribes, and returns who the daemon is on the bus.
func (c *Client) follow(ctx context.Context) (owner string, err error) {
	conn := c.link.Load()
	err = conn.AddMatchSignalContext(ctx, dbus.WithMatchSender("org.freedesktop.DBus"),
		dbus.WithMatchInterface("org.freedesktop.DBus"), dbus.WithMatchMember("NameOwnerChanged"), dbus.WithMatchArg(0, BusName))
	if err != nil {
		return "", fmt.Errorf("watch the daemon: %w", remote(err))
	}
	if err := c.command(ctx, "Subscribe"); err != nil {
		return "", err
	}
	if err := conn.BusObject().CallWithContext(ctx, "org.freedesktop.DBus.GetNameOwner", 0, BusName).Store(&owner); err != nil {
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
	if after == "" {
		c.lost(errLeft)
	}
	if after == "" || after == owner {
		return after, nil
	}
	err := c.command(ctx, "Subscribe")
	if isGone(err) {
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
