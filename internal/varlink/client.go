package varlink

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"

	"exile/internal/control"
)

// Path is the socket on which systemd listens for the daemon.
const Path = "/run/exile/org.exile1"

// maxReply is the largest reply that a Client reads, in bytes.
const maxReply = 4 << 20

// Client is a daemon at the other end of a socket: a control.Reader and a control.Writer, safe for concurrent use. Each call
// has its own connection, so there is nothing to close.
type Client struct {
	path    string
	wait    time.Duration // for the answer to a call
	restart time.Duration // for a restarting daemon
}

// answerTime is a little longer than the daemon takes for an answer.
const answerTime = workTime + messageTime

// Dial looks for the daemon behind the socket, which starts it if it is not running.
func Dial(ctx context.Context, path string) (*Client, error) {
	c := &Client{path, answerTime, restartTime}
	var info serviceInfo
	if err := c.call(ctx, service+".GetInfo", nil, &info); err != nil {
		return nil, fmt.Errorf("reach exiled at %s: %w", path, err)
	}
	if !slices.Contains(info.Interfaces, Interface) {
		return nil, fmt.Errorf("reach exiled at %s: %q listens there, which has no %s", path, info.Product, Interface)
	}
	return c, nil
}

// replies is a connection with a call in progress.
type replies struct {
	method string
	unsent error // why the call did not reach the daemon, which may have sent its reason
	conn   net.Conn
	in     *bufio.Scanner
	stop   func() bool
}

// start makes a connection and sends the call. Close the replies.
func (c *Client) start(ctx context.Context, name string, parameters any, more bool) (*replies, error) {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "unix", c.path)
	if err != nil {
		return nil, err
	}
	r := &replies{method: name, conn: conn, in: bufio.NewScanner(conn)}
	r.stop = context.AfterFunc(ctx, func() { _ = conn.Close() })
	r.in.Buffer(nil, maxReply)
	r.in.Split(splitNUL)
	if parameters == nil {
		parameters = none{}
	}
	text, err := encode(struct {
		Method     string `json:"method"`
		Parameters any    `json:"parameters"`
		More       bool   `json:"more,omitempty"`
	}{name, parameters, more})
	if err != nil {
		r.close()
		return nil, fmt.Errorf("call %s: %w", name, err)
	}
	_, r.unsent = conn.Write(text)
	return r, nil
}

func (r *replies) close() {
	r.stop()
	_ = r.conn.Close()
}

// splitNUL makes a bufio.Scanner read messages.
func splitNUL(data []byte, _ bool) (int, []byte, error) {
	if end := bytes.IndexByte(data, 0); end >= 0 {
		return end + 1, data[:end], nil
	}
	return 0, nil, nil
}

// next reads a reply and reports whether another one follows.
func (r *replies) next(out any) (bool, error) {
	if !r.in.Scan() {
		return false, cmp.Or(r.in.Err(), r.unsent, unanswered(r.method))
	}
	var m struct {
		Parameters json.RawMessage
		Continues  bool
		Error      string
	}
	if err := json.Unmarshal(r.in.Bytes(), &m); err != nil {
		return false, fmt.Errorf("read reply: %w", err)
	}
	if m.Error != "" {
		var t text
		_ = json.Unmarshal(m.Parameters, &t) // errors of org.varlink.service have no message
		return false, replyError(r.method, m.Error, t.Message)
	}
	if out == nil || len(m.Parameters) == 0 {
		return m.Continues, nil
	}
	if err := json.Unmarshal(m.Parameters, out); err != nil {
		return false, fmt.Errorf("read reply: %w", err)
	}
	return m.Continues, nil
}

// call calls a method that replies once.
func (c *Client) call(ctx context.Context, name string, parameters, out any) error {
	ctx, cancel := context.WithTimeoutCause(ctx, c.wait, fmt.Errorf("no answer within %s", c.wait))
	defer cancel()
	r, _, err := c.ask(ctx, name, parameters, false, out)
	if err != nil {
		return err
	}
	r.close()
	return nil
}

// because returns the error of a connection closed by ctx.
func because(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// Status implements control.Reader.
func (c *Client) Status(ctx context.Context) (control.Status, error) {
	var out statusReply
	err := c.call(ctx, Interface+".GetStatus", nil, &out)
	return out.Status, err
}

// Jails implements control.Reader.
func (c *Client) Jails(ctx context.Context) ([]control.JailStatus, error) {
	var out jailsReply
	err := c.call(ctx, Interface+".ListJails", nil, &out)
	return out.Jails, err
}

// Bans implements control.Reader.
func (c *Client) Bans(ctx context.Context, p control.Page) ([]control.Ban, string, error) {
	return gather(p, func(in pageCall) ([]control.Ban, string, error) {
		var out bansReply
		err := c.call(ctx, Interface+".ListBans", in, &out)
		return out.Bans, out.Next, err
	})
}

// Hosts implements control.Reader.
func (c *Client) Hosts(ctx context.Context, p control.Page) ([]control.Host, string, error) {
	return gather(p, func(in pageCall) ([]control.Host, string, error) {
		var out hostsReply
		err := c.call(ctx, Interface+".ListHosts", in, &out)
		return out.Hosts, out.Next, err
	})
}

// gather builds a page from the smaller pages of the socket.
func gather[T any](p control.Page, get func(pageCall) ([]T, string, error)) (all []T, next string, err error) {
	limit := p.Size()
	for next = p.After; ; {
		list, after, err := get(pageCall{p.Jail, next, limit - len(all)})
		all = append(all, list...)
		if err != nil || after == "" || after == next || len(all) >= limit {
			return all, after, err
		}
		next = after
	}
}

// Address implements control.Reader.
func (c *Client) Address(ctx context.Context, p netip.Prefix) (control.Address, error) {
	var out addressReply
	err := c.call(ctx, Interface+".DescribeAddress", addressCall{control.FormatPrefix(p)}, &out)
	return out.Address, err
}

// Held implements control.Reader.
func (c *Client) Held(ctx context.Context, p netip.Prefix) ([]control.Held, error) {
	var out heldReply
	err := c.call(ctx, Interface+".DescribeKernel", addressCall{control.FormatPrefix(p)}, &out)
	return out.Held, err
}

// History implements control.Historian.
func (c *Client) History(ctx context.Context, jail string, since, until time.Time) (control.History, error) {
	var out historyReply
	err := c.call(ctx, Interface+".DescribeHistory", historyCall{jail, usec(since), usec(until)}, &out)
	return out.History, err
}

// usec is a time on the wire; 0 is none.
func usec(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

// Monitor calls event for every event until ctx ends (then it returns nil), event fails (then it returns that error) or the
// connection fails. ready, which may be nil, is called once no further event can be missed.
func (c *Client) Monitor(ctx context.Context, ready func(), event func(control.Event) error) error {
	r, _, err := c.ask(ctx, Interface+".Monitor", nil, true, &monitorReply{}) // has no event
	if err != nil {
		return monitorEnd(ctx, err)
	}
	defer r.close()
	if ready != nil {
		ready()
	}
	for {
		var out monitorReply
		if _, err := r.next(&out); err != nil {
			return monitorEnd(ctx, err)
		}
		if out.Event == nil {
			continue
		}
		if err := event(*out.Event); err != nil {
			return err
		}
	}
}

// monitorEnd is the result of Monitor after the connection has ended; a connection ended by ctx is no error.
func monitorEnd(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return fmt.Errorf("monitor exiled: %w", err)
}

// Ban implements control.Writer.
func (c *Client) Ban(ctx context.Context, r control.BanRequest) (control.Ban, error) {
	var out banReply
	err := c.call(ctx, Interface+".Ban", banCall{
		Jail: r.Jail, Address: control.FormatPrefix(r.Prefix), Duration: r.Duration.Microseconds(), Permanent: r.Permanent,
		Reason: r.Reason, Force: r.Force,
	}, &out)
	return out.Ban, err
}

// BanMany implements control.Writer, but with one change per ban: long lists belong on the bus.
func (c *Client) BanMany(ctx context.Context, requests []control.BanRequest) ([]error, error) {
	errs := make([]error, len(requests))
	for i, r := range requests {
		if _, errs[i] = c.Ban(ctx, r); ctx.Err() != nil {
			return errs, ctx.Err()
		}
	}
	return errs, nil
}

// Remember implements control.Writer, with one change per offender.
func (c *Client) Remember(ctx context.Context, offenders []control.Offender) ([]error, error) {
	errs := make([]error, len(offenders))
	for i, o := range offenders {
		errs[i] = c.call(ctx, Interface+".Remember", rememberCall{o.Jail, control.FormatPrefix(o.Prefix), o.Offences, o.Last.UnixMicro()}, nil)
		if ctx.Err() != nil {
			return errs, ctx.Err()
		}
	}
	return errs, nil
}

// Unban implements control.Writer.
func (c *Client) Unban(ctx context.Context, jail string, p netip.Prefix) (int, error) {
	var out removedReply
	if !p.IsValid() {
		err := c.call(ctx, Interface+".Flush", jailCall{jail}, &out)
		return out.Removed, err
	}
	err := c.call(ctx, Interface+".Unban", unbanCall{jail, control.FormatPrefix(p)}, &out)
	return out.Removed, err
}

// Report implements control.Writer.
func (c *Client) Report(ctx context.Context, r control.Report) error {
	return c.call(ctx, Interface+".Report", reportCall{r.Jail, r.Addr.String(), r.User, r.Success}, nil)
}

// Pause implements control.Writer.
func (c *Client) Pause(ctx context.Context, d time.Duration) error {
	us := d.Microseconds()
	return c.call(ctx, Interface+".Pause", pauseCall{&us}, nil)
}

// Reload implements control.Writer.
func (c *Client) Reload(ctx context.Context) error { return c.call(ctx, Interface+".Reload", nil, nil) }

// ResetStatistics implements control.Writer.
func (c *Client) ResetStatistics(ctx context.Context) error {
	return c.call(ctx, Interface+".ResetStatistics", nil, nil)
}

// ResetFirewall implements control.Writer.
func (c *Client) ResetFirewall(ctx context.Context) error {
	return c.call(ctx, Interface+".ResetFirewall", nil, nil)
}
