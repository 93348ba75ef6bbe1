package server

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/godbus/dbus/v5"

	"exile/dbusapi/internal/bus"
)

// handleCall takes method calls away from godbus, which would start any number of goroutines for them, answers with names of
// errors that sd-bus does not know, and cannot tell when a reply was sent.
func handleCall(s *session, msg *dbus.Message) {
	if msg.Type != dbus.TypeMethodCall {
		return
	}
	msg.Type = 0 // handled: godbus ignores it
	if !s.waitReady() {
		return
	}
	c := newCall(s, msg)
	var a admission
	var err error
	c.peer, a, err = s.gate.enter(c.sender, c.member, time.Now())
	switch {
	case err != nil:
		c.fail(err)
	case a != drop:
		go c.run(a == check)
	}
}

// refuseCall answers a call that wire kept out.
func refuseCall(s *session, sender string, serial uint32) {
	if !s.waitReady() {
		return
	}
	c := &Call{session: s, ctx: s.ctx, sender: sender, serial: serial}
	c.fail(bus.Errorf(bus.LimitsExceeded, "The message is larger than %d bytes or has file descriptors.", bus.MaxMessage))
}

// run serves the call, unless its peer is to be checked and does not read.
func (c *Call) run(check bool) {
	stalled := check && c.session.stalled(c.ctx, c.sender)
	defer c.session.gate.leave(ended{c.peer, check, stalled})
	if !stalled {
		c.takeSlot()
		defer c.yieldSlot()
		c.serve()
	}
}

func newCall(s *session, msg *dbus.Message) *Call {
	c := &Call{
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

// serve finds the method, authorizes the caller, does it and replies.
func (c *Call) serve() {
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

func (c *Call) dispatch() ([]any, error) {
	o, err := c.session.cfg.Lookup(c.ctx, c.path)
	if err != nil {
		return nil, err
	}
	m, err := o.find(c.iface, c.member)
	if err != nil {
		return nil, err
	}
	if want := signature(args(m.In)); want != c.signature {
		return nil, bus.Errorf(bus.InvalidArgs, "%s takes %q, not %q.", m.Name, want, c.signature)
	}
	c.object = o
	if err := c.Authorize(m.Action); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(c.ctx, WorkTime)
	defer cancel()
	c.ctx = ctx
	if m.Waits {
		c.yieldSlot()
	}
	return m.Do(c)
}

func (c *Call) reply(out []any) {
	if c.silent {
		return
	}
	if c.page != nil {
		c.session.writePage(c.sender, c.page)
		return
	}
	headers := map[dbus.HeaderField]dbus.Variant{dbus.FieldReplySerial: dbus.MakeVariant(c.serial)}
	if c.file == nil {
		c.send(dbus.TypeMethodReply, headers, out)
		return
	}
	headers[dbus.FieldUnixFDs] = dbus.MakeVariant(uint32(1))
	c.session.withFile(c.file, func() { c.send(dbus.TypeMethodReply, headers, []any{dbus.UnixFDIndex(0)}) })
}

func (c *Call) fail(err error) {
	e := c.Error(err)
	if c.silent || e.Name == bus.NoReply { // that the bus says itself when the connection has ended
		return
	}
	headers := map[dbus.HeaderField]dbus.Variant{
		dbus.FieldReplySerial: dbus.MakeVariant(c.serial),
		dbus.FieldErrorName:   dbus.MakeVariant(e.Name),
	}
	c.send(dbus.TypeError, headers, e.Body)
}

func (c *Call) send(kind dbus.Type, headers map[dbus.HeaderField]dbus.Variant, body []any) {
	headers[dbus.FieldDestination] = dbus.MakeVariant(c.sender)
	if len(body) > 0 {
		headers[dbus.FieldSignature] = dbus.MakeVariant(dbus.SignatureOf(body...))
	}
	p, err := c.encode(&dbus.Message{Type: kind, Headers: headers, Body: body, Flags: dbus.FlagNoReplyExpected})
	switch {
	case err == nil:
		c.session.write(p)
	case kind == dbus.TypeMethodReply:
		c.fail(err)
	}
}

// Error translates any error to one with a name.
func (c *Call) Error(err error) *dbus.Error {
	if e, ok := errors.AsType[*dbus.Error](err); ok {
		return e
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return bus.Errorf(bus.Timeout, "The daemon has not answered within %s.", WorkTime)
	}
	if name := c.session.cfg.ErrorName(err); name != "" {
		return bus.Errorf(name, "%s", sentence(err.Error()))
	}
	return bus.Errorf(bus.Failed, "%s", sentence(err.Error()))
}

// sentence gives a text a capital letter and a full stop. A D-Bus string is UTF-8; other text is quoted.
func sentence(s string) string {
	r, n := utf8.DecodeRuneInString(s)
	if r == utf8.RuneError {
		return fmt.Sprintf("%q.", s)
	}
	s = string(unicode.ToUpper(r)) + s[n:]
	if !strings.ContainsAny(s[len(s)-1:], ".?!") {
		s += "."
	}
	if !utf8.ValidString(s) {
		return fmt.Sprintf("%q", s)
	}
	return s
}
