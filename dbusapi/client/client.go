// Package client talks to exiled over the bus, as exilectl does.
package client

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"
	"time"

	"github.com/godbus/dbus/v5"

	"exile/dbusapi/internal/bus"
	"exile/dbusapi/internal/exile1"
	"exile/dbusapi/systemd"
	"exile/internal/control"
)

// Client talks to a daemon over the bus. It is a control.Reader and a control.Writer, as the daemon itself is, with one
// difference: only Address gives the reasons of bans. It is safe for concurrent use.
type Client struct {
	cfg      Config
	ctx      context.Context // ends every connection
	cancel   context.CancelFunc
	link     atomic.Pointer[link] // Watch makes a new one when it is lost
	watching atomic.Bool          // Watch was called
}

// link is a connection and the signals that came over it.
type link struct {
	*dbus.Conn
	signals chan *dbus.Signal
}

var (
	_ control.Reader     = (*Client)(nil)
	_ control.Writer     = (*Client)(nil)
	_ control.Learner    = (*Client)(nil)
	_ control.Configurer = (*Client)(nil)
	_ control.Archiver   = (*Client)(nil)
)

// Config says how to reach the bus.
type Config struct {
	Address string             // of the bus; empty: the system bus
	Stream  io.ReadWriteCloser // instead of Address: a bus at the other end, as systemd-stdio-bridge gives; closed by Close
	// Start has the bus start a daemon that is stopped. Without it, one that is about to start is waited for.
	Start bool
	// Interactive lets polkit ask a human for a password.
	Interactive bool
	// Wait is how long the bus and the daemon may take for an answer, unless a human may be typing; 0: as long as systemd's
	// programs wait.
	Wait time.Duration
	// Lost is told by Watch why it hears nothing for a while. It may be nil.
	Lost func(error)
	// Joined is told by Watch that it hears the daemon from now on, at first and after each loss: what happened before is only in the
	// daemon's lists. It may be nil.
	Joined func()
}

// answerTime is how long systemd's programs wait for an answer.
const answerTime = 25 * time.Second

// lookAgain is how often systemd is asked whether the start has failed.
const lookAgain = 200 * time.Millisecond

// signalQueue is how many signals may wait for Watch; more make the bus wait.
const signalQueue = 1024

// Dial connects. The connection ends with ctx.
func Dial(ctx context.Context, cfg Config) (*Client, error) {
	cfg.Wait = cmp.Or(cfg.Wait, answerTime)
	c := &Client{cfg: cfg}
	c.ctx, c.cancel = context.WithCancel(ctx)
	if err := c.connect(); err != nil {
		c.cancel()
		return nil, fmt.Errorf("connect to the bus: %w", err)
	}
	return c, nil
}

// connect makes the connection that calls use from now on. Over a stream there is no time limit: a human may be typing.
func (c *Client) connect() error {
	ctx, cancel := context.WithCancel(c.ctx)
	limit := time.AfterFunc(c.cfg.Wait, cancel)
	defer limit.Stop()
	if c.cfg.Stream != nil {
		limit.Stop()
	}
	signals := make(chan *dbus.Signal, signalQueue)
	conn, err := dial(ctx, c.cfg, dbus.WithSignalHandler(clientSignals{c, signals}))
	switch {
	case err == nil:
		c.link.Store(&link{conn, signals})
	case ctx.Err() != nil && c.ctx.Err() == nil:
		err = c.noAnswer()
	}
	return err
}

func (c *Client) noAnswer() error { return fmt.Errorf("no answer within %s", c.cfg.Wait) }

func dial(ctx context.Context, cfg Config, opt dbus.ConnOption) (*dbus.Conn, error) {
	if cfg.Stream == nil {
		return bus.Connect(ctx, cfg.Address, opt)
	}
	conn, err := dbus.NewConn(cfg.Stream, opt, dbus.WithContext(ctx))
	if err != nil {
		return nil, err
	}
	if err := conn.Auth(nil); err != nil {
		_ = conn.Close()
		return nil, err
	}
	if err := conn.Hello(); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return conn, nil
}

// Close ends the connection, for good.
func (c *Client) Close() error {
	c.cancel()
	return c.link.Load().Close()
}

// call calls a method of the manager.
func (c *Client) call(ctx context.Context, member string, in ...any) ([]any, error) {
	return c.callObject(ctx, exile1.ManagerPath, exile1.ManagerInterface, member, in...)
}

// callObject calls a method, and once more when the daemon is not there yet, or has ended before it answered a question.
func (c *Client) callObject(ctx context.Context, path dbus.ObjectPath, iface, member string, in ...any) ([]any, error) {
	body, err := c.send(ctx, false, path, iface, member, in)
	if e, ok := errors.AsType[*RemoteError](err); ok && e.Name == bus.NoReply {
		if !isQuestion(iface, member) {
			return nil, fmt.Errorf("exiled ended before it answered: the command may have been carried out: %w", err)
		}
		body, err = c.send(ctx, false, path, iface, member, in)
	}
	if e, ok := errors.AsType[*RemoteError](err); !ok || !e.NotRunning() {
		return body, err
	}
	switch starts, failed := c.starts(ctx); {
	case failed != nil:
		return nil, failed
	case starts || c.cfg.Start:
		ctx, cancel := context.WithCancelCause(ctx)
		defer cancel(nil)
		go c.watchStart(ctx, cancel)
		if body, err = c.send(ctx, true, path, iface, member, in); ctx.Err() != nil {
			err = context.Cause(ctx)
		}
	}
	return body, err
}

// isQuestion reports whether a method may be called again though the daemon may have read the call before it ended.
func isQuestion(iface, member string) bool {
	if iface == bus.Properties {
		return member != "Set"
	}
	return control.IsQuestion(member)
}

// starts reports whether systemd is about to start the daemon, or has started it and it is not on the bus yet; or, while
// systemd waits before the next start, why the last one failed.
func (c *Client) starts(ctx context.Context) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Wait)
	defer cancel()
	starting, failed := systemd.Starting(ctx, c.link.Load().Conn, "exiled.service")
	if failed != "" {
		return false, &RemoteError{Name: bus.SpawnFailed, Message: failed}
	}
	return starting, nil
}

// watchStart ends the wait for a daemon that cannot start. The bus would wait much longer for its name.
func (c *Client) watchStart(ctx context.Context, end context.CancelCauseFunc) {
	tick := time.NewTicker(lookAgain)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if _, failed := c.starts(ctx); failed != nil {
			end(failed)
		}
	}
}

// send does what godbus's Object does, which cannot set the flag for interactive authorization.
func (c *Client) send(ctx context.Context, start bool, path dbus.ObjectPath, iface, member string, in []any) ([]any, error) {
	msg := &dbus.Message{
		Type: dbus.TypeMethodCall,
		Headers: map[dbus.HeaderField]dbus.Variant{
			dbus.FieldDestination: dbus.MakeVariant(exile1.BusName),
			dbus.FieldPath:        dbus.MakeVariant(path),
			dbus.FieldInterface:   dbus.MakeVariant(iface),
			dbus.FieldMember:      dbus.MakeVariant(member),
		},
		Body: in,
	}
	if len(in) > 0 {
		msg.Headers[dbus.FieldSignature] = dbus.MakeVariant(dbus.SignatureOf(in...))
	}
	if c.cfg.Interactive {
		msg.Flags |= dbus.FlagAllowInteractiveAuthorization
	}
	if !start {
		msg.Flags |= dbus.FlagNoAutoStart
	}
	wait, cancel := c.patience(ctx)
	defer cancel()
	reply := <-c.link.Load().SendWithContext(wait, msg, make(chan *dbus.Call, 1)).Done
	switch {
	case reply.Err == nil:
		return reply.Body, nil
	case errors.Is(reply.Err, context.DeadlineExceeded) && ctx.Err() == nil:
		return nil, c.noAnswer()
	}
	return nil, remote(reply.Err)
}

// patience limits how long a call may take. There is no limit if somebody may be asked for a password, which root never is.
func (c *Client) patience(ctx context.Context) (context.Context, context.CancelFunc) {
	if c.cfg.Interactive && os.Geteuid() != 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, c.cfg.Wait)
}

// clientSignals hands signals to Watch in the order they came: those of the daemon's interface, whoever sent them, and the
// bus's own about names.
type clientSignals struct {
	client  *Client
	signals chan<- *dbus.Signal
}

// DeliverSignal is called by godbus in its reading goroutine.
func (s clientSignals) DeliverSignal(iface, _ string, sig *dbus.Signal) {
	if !s.client.watching.Load() || iface != exile1.ManagerInterface && !isOwnerChange(sig) {
		return // if nobody watches, a stranger's signals would fill the queue and stop the reading
	}
	select {
	case s.signals <- sig:
	case <-s.client.ctx.Done():
	}
}

func isOwnerChange(sig *dbus.Signal) bool {
	return sig.Sender == "org.freedesktop.DBus" && sig.Name == "org.freedesktop.DBus.NameOwnerChanged"
}

// Running returns those of the units that systemd has started.
func (c *Client) Running(ctx context.Context, units []string) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Wait)
	defer cancel()
	return systemd.Running(ctx, c.link.Load().Conn, units)
}
