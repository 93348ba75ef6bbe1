package dbusapi

import (
	"context"
	"fmt"
	"time"

	"github.com/godbus/dbus/v5"

	"exile/internal/control"
)

// clientSignals hands signals of the daemon to Watch in the order they came.
type clientSignals struct {
	ctx context.Context
	out chan<- *dbus.Signal
}

// DeliverSignal is called by godbus in its reading goroutine.
func (s clientSignals) DeliverSignal(iface, _ string, sig *dbus.Signal) {
	if iface != ManagerInterface {
		return
	}
	select {
	case s.out <- sig:
	case <-s.ctx.Done():
	}
}

// Watch subscribes and calls emit with each ban and unban as they are announced, until ctx or the connection ends. Their
// times are when they arrived. It may be called once.
func (c *Client) Watch(ctx context.Context, emit func(control.Event)) error {
	err := c.conn.AddMatchSignalContext(ctx, dbus.WithMatchSender(BusName),
		dbus.WithMatchObjectPath(managerPath), dbus.WithMatchInterface(ManagerInterface))
	if err != nil {
		return fmt.Errorf("watch signals: %w", remote(err))
	}
	if err := c.command(ctx, "Subscribe"); err != nil {
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
			if e, ok := event(sig); ok {
				emit(e)
			}
		}
	}
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
