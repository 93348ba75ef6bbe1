package dbusapi

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"sync/atomic"
	"time"

	"github.com/godbus/dbus/v5"

	"exile/internal/control"
)

// Client talks to a daemon over the bus. It is a control.Reader and a control.Writer, as the daemon itself is, with these
// differences: the reasons of bans come only with Address. It is safe for concurrent use.
type Client struct {
	cfg      ClientConfig
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

// ClientConfig says how to reach the bus.
type ClientConfig struct {
	Address string             // of the bus; empty: the system bus
	Stream  io.ReadWriteCloser // instead of Address: a bus at the other end, as systemd-stdio-bridge gives; closed by Close
	// Interactive lets polkit ask a human for a password.
	Interactive bool
	// Wait is how long the bus and the daemon may take for an answer, unless a human may be typing; 0: as long as systemd's
	// programs wait.
	Wait time.Duration
	// Lost is told by Watch why it hears nothing for a while. It may be nil.
	Lost func(error)
}

// answerTime is how long systemd's programs wait for an answer.
const answerTime = 25 * time.Second

// signalQueue is how many signals may wait for Watch; more make the bus wait.
const signalQueue = 1024

// Dial connects. The connection ends with ctx.
func Dial(ctx context.Context, cfg ClientConfig) (*Client, error) {
	cfg.Wait = cmp.Or(cfg.Wait, answerTime)
	c := &Client{cfg: cfg}
	c.ctx, c.cancel = context.WithCancel(ctx)
	if err := c.connect(); err != nil {
		c.cancel()
		return nil, fmt.Errorf("connect to the bus: %w", err)
	}
	return c, nil
}

// connect makes the connection that calls go over from now on. Over a stream a human may be typing.
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

func dial(ctx context.Context, cfg ClientConfig, opt dbus.ConnOption) (*dbus.Conn, error) {
	if cfg.Stream == nil {
		return connect(ctx, cfg.Address, opt)
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
	return c.callObject(ctx, managerPath, ManagerInterface, member, in...)
}

// callObject does what godbus's Object does, which cannot allow interactive authorization.
func (c *Client) callObject(ctx context.Context, path dbus.ObjectPath, iface, member string, in ...any) ([]any, error) {
	msg := &dbus.Message{
		Type: dbus.TypeMethodCall,
		Headers: map[dbus.HeaderField]dbus.Variant{
			dbus.FieldDestination: dbus.MakeVariant(BusName),
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

// patience is how long a call may take: without end where somebody may be asked for a password, who is not root.
func (c *Client) patience(ctx context.Context) (context.Context, context.CancelFunc) {
	if c.cfg.Interactive && os.Geteuid() != 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, c.cfg.Wait)
}

// describe calls a method that returns JSON.
func (c *Client) describe(ctx context.Context, doc any, member string, in ...any) error {
	body, err := c.call(ctx, member, in...)
	if err != nil {
		return err
	}
	var text string
	if err := dbus.Store(body, &text); err != nil {
		return fmt.Errorf("read reply of %s: %w", member, err)
	}
	if err := json.Unmarshal([]byte(text), doc); err != nil {
		return fmt.Errorf("read reply of %s: %w", member, err)
	}
	return nil
}

// Status implements control.Reader.
func (c *Client) Status(ctx context.Context) (control.Status, error) {
	var d statusDoc
	err := c.describe(ctx, &d, "Describe")
	return d.status(), err
}

// Jails implements control.Reader.
func (c *Client) Jails(ctx context.Context) ([]control.JailStatus, error) {
	var d statusDoc
	if err := c.describe(ctx, &d, "Describe"); err != nil {
		return nil, err
	}
	var out []control.JailStatus
	for _, j := range d.List {
		out = append(out, j.jail())
	}
	return out, nil
}

// Address implements control.Reader.
func (c *Client) Address(ctx context.Context, p netip.Prefix) (control.Address, error) {
	var d addressDoc
	if err := c.describe(ctx, &d, "DescribeAddress", FormatPrefix(p)); err != nil {
		return control.Address{}, err
	}
	return d.address()
}

// Bans implements control.Reader.
func (c *Client) Bans(ctx context.Context, p control.Page) ([]control.Ban, string, error) {
	body, err := c.call(ctx, "ListBans", p.Jail, p.After, count(p.Max), uint64(0))
	if err != nil {
		return nil, "", err
	}
	return readBans(body)
}

// Hosts implements control.Reader, but for the jail, which must be named.
func (c *Client) Hosts(ctx context.Context, p control.Page) ([]control.Host, string, error) {
	body, err := c.callObject(ctx, jailPath(p.Jail), JailInterface, "ListFailures", p.After, count(p.Max), uint64(0))
	if e, ok := errors.AsType[*RemoteError](err); ok && e.Name == errUnknownObject {
		_, err := c.call(ctx, "GetJail", p.Jail) // says which there are
		return nil, "", cmp.Or(err, error(e))
	}
	if err != nil {
		return nil, "", err
	}
	var records []hostRecord
	var next string
	if err := dbus.Store(body, &records, &next); err != nil {
		return nil, "", fmt.Errorf("read reply of ListFailures: %w", err)
	}
	var out []control.Host
	for _, r := range records {
		prefix, err := ParsePrefix(r.Address)
		if err != nil {
			return nil, "", fmt.Errorf("read reply of ListFailures: %w", err)
		}
		out = append(out, control.Host{
			Jail: p.Jail, Prefix: prefix, Failures: int(r.Failures), First: fromUSec(r.First), Last: fromUSec(r.Last),
		})
	}
	return out, next, nil
}

// Ban implements control.Writer. Of the ban that it returns only the jail as asked, the prefix and the end are set.
func (c *Client) Ban(ctx context.Context, r control.BanRequest) (control.Ban, error) {
	var flags uint64
	if r.Permanent {
		flags |= flagPermanent
	}
	if r.Force {
		flags |= flagForce
	}
	body, err := c.call(ctx, "Ban", r.Jail, FormatPrefix(r.Prefix), durationUSec(r.Duration), r.Reason, flags)
	if err != nil {
		return control.Ban{}, err
	}
	var until uint64
	if err := dbus.Store(body, &until); err != nil {
		return control.Ban{}, fmt.Errorf("read reply of Ban: %w", err)
	}
	return control.Ban{Jail: r.Jail, Prefix: r.Prefix, Until: fromUSec(until)}, nil
}

// Unban implements control.Writer.
func (c *Client) Unban(ctx context.Context, jail string, p netip.Prefix) (int, error) {
	var body []any
	var err error
	if p.IsValid() {
		body, err = c.call(ctx, "Unban", jail, FormatPrefix(p), uint64(0))
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
	return c.command(ctx, "Pause", durationUSec(d), uint64(0))
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
