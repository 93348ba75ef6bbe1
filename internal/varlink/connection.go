package varlink

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"exile/internal/control"
)

// Limits on one connection.
const (
	maxMessage  = 8 << 10 // bytes of a call
	idleTime    = 5 * time.Minute
	messageTime = 10 * time.Second // for a call, once begun, to arrive, and for a reply to be read
	workTime    = 30 * time.Second // for the daemon to answer
)

// message is a call on the wire.
type message struct {
	Method     string          `json:"method"`
	Parameters json.RawMessage `json:"parameters,omitempty"`
	More       bool            `json:"more,omitempty"`
	Oneway     bool            `json:"oneway,omitempty"`
}

// reply is an answer on the wire.
type reply struct {
	Parameters any    `json:"parameters"`
	Continues  bool   `json:"continues,omitempty"`
	Error      string `json:"error,omitempty"`
}

// none is the empty parameters of a reply.
type none struct{}

// encode encodes a message for the wire.
func encode(v any) ([]byte, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("write message: %w", err)
	}
	return append(text, 0), nil
}

// connection is one caller. It belongs to one goroutine.
type connection struct {
	server *Server
	conn   *net.UnixConn
	in     *bufio.Reader
	peer   control.Peer
}

func newConnection(s *Server, conn *net.UnixConn, p control.Peer) *connection {
	return &connection{server: s, conn: conn, in: bufio.NewReaderSize(conn, maxMessage), peer: p}
}

// refuse says that there are too many connections.
func (c *connection) refuse() {
	_ = c.send(errorReply(&failure{Interface + ".TooManyConnections", text{"too many connections: close some"}}))
	_ = c.conn.Close()
}

// serve answers calls one by one until the caller leaves, breaks the protocol or stops reading, or ctx ends.
func (c *connection) serve(ctx context.Context) {
	defer c.conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = c.conn.Close() })
	defer stop()
	for {
		m, err := c.read()
		if err != nil {
			return
		}
		if err := c.answer(ctx, m); err != nil {
			return
		}
	}
}

// read waits for the next call.
func (c *connection) read() (m message, err error) {
	if err := c.conn.SetReadDeadline(time.Now().Add(idleTime)); err != nil {
		return m, err
	}
	if _, err := c.in.Peek(1); err != nil {
		return m, err
	}
	if err := c.conn.SetReadDeadline(time.Now().Add(messageTime)); err != nil {
		return m, err
	}
	line, err := c.in.ReadSlice(0)
	if err != nil {
		return m, fmt.Errorf("read call: %w", err)
	}
	if err := json.Unmarshal(line[:len(line)-1], &m); err != nil {
		return m, fmt.Errorf("read call: %w", err)
	}
	return m, nil
}

// answer carries out a call. An error ends the connection.
func (c *connection) answer(ctx context.Context, m message) error {
	out, err := c.call(ctx, m)
	if errors.Is(err, errGone) || control.Unanswered(err) {
		return err
	}
	r := reply{Parameters: out}
	if err != nil {
		r = errorReply(err)
	}
	if m.Oneway {
		return nil
	}
	return c.send(r)
}

// call finds the method, checks the caller's permission, and runs it.
func (c *connection) call(ctx context.Context, m message) (any, error) {
	do, needs, err := find(m.Method)
	if err != nil {
		return nil, err
	}
	if err := c.allow(ctx, needs); err != nil {
		return nil, &failure{denied, none{}}
	}
	if !do.endless {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, workTime)
		defer cancel()
	}
	return do.serve(&call{connection: c, ctx: ctx, message: m})
}

// allow returns why the caller may not do it.
func (c *connection) allow(ctx context.Context, a control.Action) error {
	switch {
	case c.server.cfg.Gate.Opens(c.peer, a):
		return nil
	case c.server.cfg.Authorize == nil:
		return errors.New(control.Denied(a))
	}
	ctx, cancel := context.WithTimeout(ctx, workTime)
	defer cancel()
	return c.server.cfg.Authorize(ctx, c.peer, a)
}

// inspects reports whether the caller may inspect.
func (c *connection) inspects(ctx context.Context) bool {
	return c.allow(ctx, control.MayInspect) == nil
}

// errGone means that the caller no longer reads.
var errGone = errors.New("the caller is gone")

func (c *connection) send(r reply) error {
	text, err := encode(r)
	if err != nil {
		return err
	}
	return c.write(text)
}

func (c *connection) write(text []byte) error {
	if err := c.conn.SetWriteDeadline(time.Now().Add(messageTime)); err != nil {
		return fmt.Errorf("%w: %w", errGone, err)
	}
	if _, err := c.conn.Write(text); err != nil {
		return fmt.Errorf("%w: %w", errGone, err)
	}
	return nil
}

// call is one call in progress.
type call struct {
	*connection
	ctx     context.Context // ends when the time for the call is up
	message message
}

// decode reads the parameters. It refuses unknown ones.
func (c *call) decode(parameters any) error {
	if len(c.message.Parameters) == 0 {
		return nil
	}
	d := json.NewDecoder(bytes.NewReader(c.message.Parameters))
	d.DisallowUnknownFields()
	err := d.Decode(parameters)
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok && wrong.Field != "" {
		return invalidParameter(wrong.Field)
	}
	switch {
	case errors.Is(err, control.ErrInvalid): // its text says what is wrong
		return err
	case err != nil:
		return invalidParameter("parameters")
	}
	return nil
}

// more sends a reply that is not the last one.
func (c *call) more(out any) error {
	if c.message.Oneway {
		return nil
	}
	return c.send(reply{Parameters: out, Continues: true})
}

// left reports when the caller has hung up. The caller may send nothing more: this is for the last call of a connection.
func (c *call) left() <-chan struct{} {
	left := make(chan struct{})
	_ = c.conn.SetReadDeadline(time.Time{})
	go func() {
		defer close(left)
		_, _ = io.ReadFull(c.in, make([]byte, 1)) // ends with the connection at the latest
	}()
	return left
}
