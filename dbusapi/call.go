package dbusapi

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"time"

	"github.com/godbus/dbus/v5"

	"exile/internal/control"
)

// call is one method call and its answer.
type call struct {
	session     *session
	ctx         context.Context
	sender      string
	peer        *peer
	path        dbus.ObjectPath
	iface       string
	member      string
	signature   string
	serial      uint32
	interactive bool // the caller is ready to be asked for a password
	silent      bool // the caller wants no reply
	body        []any
	object      *object
	working     bool     // it is this call's turn
	user        uint32   // who calls, where authorize has asked
	root        bool     // it is root, likewise
	large       bool     // the call holds session.large until it is answered
	message     []byte   // the reply as it goes over the wire, in session.page, where the method has written it itself
	file        *os.File // the reply; closed when it was sent
}

// intercept takes method calls away from godbus, which would start a goroutine for each without a bound, answers with
// names of errors that sd-bus does not know, and cannot tell when a reply was sent.
func (s *session) intercept(msg *dbus.Message) {
	if msg.Type != dbus.TypeMethodCall {
		return
	}
	msg.Type = 0 // handled: godbus ignores it
	select {
	case <-s.ready: // a peer may guess our unique name before we know it
	case <-s.ctx.Done():
		return
	}
	c := s.newCall(msg)
	var admission admission
	var err error
	c.peer, admission, err = s.gate.enter(c.sender, c.member, time.Now())
	switch {
	case err != nil:
		c.fail(err)
	case admission != drop:
		go c.run(admission == ask)
	}
}

// run serves the call, unless it is asked for whether the caller reads and it does not.
func (c *call) run(ask bool) {
	deaf := ask && c.session.deaf(c.ctx, c.sender)
	defer c.session.gate.leave(ended{c.peer, ask, deaf})
	if !deaf {
		c.work()
		defer c.rest()
		c.serve()
	}
}

// work waits for the call's turn. One call is worked on at a time, so that what must be quick finds the processors free, and
// peers take turns: who has sent many calls at once does not keep another waiting for all of them.
func (c *call) work() {
	c.peer.busy <- struct{}{}
	c.session.busy <- struct{}{}
	c.working = true
}

// rest lets other calls go on while this one waits for somebody else, or takes long.
func (c *call) rest() {
	if c.working {
		c.working = false
		<-c.session.busy
		<-c.peer.busy
	}
}

func (s *session) newCall(msg *dbus.Message) *call {
	c := &call{
		session: s, ctx: s.ctx, serial: msg.Serial(), body: msg.Body,
		interactive: msg.Flags&dbus.FlagAllowInteractiveAuthorization != 0,
		silent:      msg.Flags&dbus.FlagNoReplyExpected != 0,
	}
	// The types of header fields were checked when the message was decoded.
	c.sender, _ = msg.Headers[dbus.FieldSender].Value().(string)
	c.path, _ = msg.Headers[dbus.FieldPath].Value().(dbus.ObjectPath)
	c.iface, _ = msg.Headers[dbus.FieldInterface].Value().(string)
	c.member, _ = msg.Headers[dbus.FieldMember].Value().(string)
	sig, _ := msg.Headers[dbus.FieldSignature].Value().(dbus.Signature)
	c.signature = sig.String()
	return c
}

// refuse answers a call that wire kept out.
func (s *session) refuse(sender string, serial uint32) {
	select {
	case <-s.ready:
	case <-s.ctx.Done():
		return
	}
	c := &call{session: s, ctx: s.ctx, sender: sender, serial: serial}
	c.fail(fail(errLimitsExceeded, "The message is larger than %d bytes or has file descriptors.", maxMessage))
}

// serve finds the method, asks whether the caller may, does it and replies.
func (c *call) serve() {
	out, err := c.dispatch()
	if c.large {
		defer func() { <-c.session.large }()
	}
	if c.file != nil {
		defer c.file.Close()
	}
	if err != nil {
		c.fail(err)
		return
	}
	c.reply(out)
}

func (c *call) dispatch() ([]any, error) {
	o, err := c.session.lookup(c.ctx, c.path)
	if err != nil {
		return nil, err
	}
	m, action, err := o.find(c.iface, c.member)
	if err != nil {
		return nil, err
	}
	if want := signature(args(m.in)); want != c.signature {
		return nil, fail(errInvalidArgs, "%s takes %q, not %q.", m.name, want, c.signature)
	}
	c.object = o
	if err := c.authorize(action); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(c.ctx, workTime)
	defer cancel()
	c.ctx = ctx
	if action != control.Public && action != control.MayInspect {
		c.rest() // commands wait for the disk
	}
	return m.do(c)
}

// turn waits until the call may make a reply that takes memory and time, so that one is made at a time, whoever asks for many.
func (c *call) turn() error {
	c.rest()
	select {
	case c.session.large <- struct{}{}:
		c.large = true
		return c.heeds()
	case <-c.ctx.Done():
		return c.ctx.Err()
	}
}

func (c *call) reply(out []any) {
	if c.silent {
		return
	}
	if c.message != nil {
		c.session.given.add(c.sender, len(c.message))
		_, _ = c.session.wire.Write(c.message) // an error ends the connection
		return
	}
	headers := map[dbus.HeaderField]dbus.Variant{dbus.FieldReplySerial: dbus.MakeVariant(c.serial)}
	if c.file == nil {
		c.send(dbus.TypeMethodReply, headers, out)
		return
	}
	headers[dbus.FieldUnixFDs] = dbus.MakeVariant(uint32(1))
	fds := c.session.wire.fds
	select {
	case fds <- int(c.file.Fd()): // waits for its turn
		c.send(dbus.TypeMethodReply, headers, []any{dbus.UnixFDIndex(0)})
		select {
		case <-fds: // it was not sent: the connection has ended
		default:
		}
	case <-c.session.ctx.Done():
	}
}

func (c *call) fail(err error) {
	if c.silent {
		return
	}
	e := busError(err)
	headers := map[dbus.HeaderField]dbus.Variant{
		dbus.FieldReplySerial: dbus.MakeVariant(c.serial),
		dbus.FieldErrorName:   dbus.MakeVariant(e.Name),
	}
	c.send(dbus.TypeError, headers, e.Body)
}

func (c *call) send(kind dbus.Type, headers map[dbus.HeaderField]dbus.Variant, body []any) {
	headers[dbus.FieldDestination] = dbus.MakeVariant(c.sender)
	if len(body) > 0 {
		headers[dbus.FieldSignature] = dbus.MakeVariant(dbus.SignatureOf(body...))
	}
	p, err := c.encode(&dbus.Message{Type: kind, Headers: headers, Body: body, Flags: dbus.FlagNoReplyExpected})
	switch {
	case err == nil:
		_, _ = c.session.wire.Write(p) // an error ends the connection
	case kind == dbus.TypeMethodReply:
		c.fail(err)
	}
}

// maxSerial is the largest that godbus gives; ours are above.
const maxSerial = 1 << 31

// encode writes a reply as it goes over the wire. godbus, asked to send it, would encode it once more before, to count its
// descriptors.
func (c *call) encode(m *dbus.Message) ([]byte, error) {
	var b bytes.Buffer
	if err := m.EncodeTo(&b, binary.LittleEndian); err != nil {
		return nil, fmt.Errorf("write reply: %w", err)
	}
	p := b.Bytes()
	binary.LittleEndian.PutUint32(p[8:], maxSerial|c.serial) // of a message that has no reply: any but 0
	return p, nil
}

// The values of arguments; their types were compared with the table.
func (c *call) str(i int) string   { s, _ := c.body[i].(string); return s }
func (c *call) u32(i int) uint32   { n, _ := c.body[i].(uint32); return n }
func (c *call) u64(i int) uint64   { n, _ := c.body[i].(uint64); return n }
func (c *call) boolean(i int) bool { b, _ := c.body[i].(bool); return b }

// flags returns argument i when it has no bits but the known ones.
func (c *call) flags(i int, known uint64) (uint64, error) {
	f := c.u64(i)
	if f&^known != 0 {
		return 0, fail(errInvalidArgs, "Unknown flags 0x%x.", f&^known)
	}
	return f, nil
}
