package server

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/godbus/dbus/v5"

	"exile/dbusapi/internal/bus"
)

// Call is one method call, as the function of a row sees it.
type Call struct {
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
	object      *Object
	hasSlot     bool   // it is this call's turn
	user        uint32 // who calls, once Authorize has asked
	root        bool   // the caller is root, likewise
	large       bool   // the call holds session.large until it is answered
	page        []byte // the reply as it goes over the wire, in session.page, from ReplyPage
	file        *os.File
}

// Context ends when the caller does not wait any more, or the connection is lost.
func (c *Call) Context() context.Context { return c.ctx }

// Object is the one that the call is for.
func (c *Call) Object() *Object { return c.object }

// Str returns argument i, as do the others; their types were compared with the table.
func (c *Call) Str(i int) string { s, _ := c.body[i].(string); return s }

// U32 is Str for "u".
func (c *Call) U32(i int) uint32 { n, _ := c.body[i].(uint32); return n }

// U64 is Str for "t".
func (c *Call) U64(i int) uint64 { n, _ := c.body[i].(uint64); return n }

// Bool is Str for "b".
func (c *Call) Bool(i int) bool { b, _ := c.body[i].(bool); return b }

// Store reads argument i into what dest points to.
func (c *Call) Store(i int, dest any) error { return dbus.Store(c.body[i:i+1], dest) }

// Flags returns argument i if it has no bits but the known ones.
func (c *Call) Flags(i int, known uint64) (uint64, error) {
	f := c.U64(i)
	if f&^known != 0 {
		return 0, bus.Errorf(bus.InvalidArgs, "Unknown flags 0x%x.", f&^known)
	}
	return f, nil
}

// takeSlot waits for the call's turn. One call is worked on at a time, so that calls that are quick find the processors free,
// and peers take turns: one that has sent many calls does not keep another waiting for all of them.
func (c *Call) takeSlot() {
	c.peer.busy <- struct{}{}
	c.session.busy <- struct{}{}
	c.hasSlot = true
}

// yieldSlot lets other calls go on while this one waits for something, or takes long.
func (c *Call) yieldSlot() {
	if c.hasSlot {
		c.hasSlot = false
		<-c.session.busy
		<-c.peer.busy
	}
}

// TakeLargeSlot waits until the call may make a reply that takes memory and time. One is made at a time, however many ask.
func (c *Call) TakeLargeSlot() error {
	c.yieldSlot()
	var err error
	c.large, err = c.session.takeLarge(c.ctx, c.sender, c.root)
	return err
}

// Authorize returns why the caller may not, or nil if it may. Those whom the action does not let through are left to polkit,
// every time: what polkit keeps is its own business.
func (c *Call) Authorize(a Action) error { return c.authorize(a, c.interactive) }

// Allows reports whether the caller may, without asking a human. If that cannot be found out it may not.
func (c *Call) Allows(a Action) bool { return c.authorize(a, false) == nil }

// authorize asks a human for a password only if it is interactive.
func (c *Call) authorize(a Action, interactive bool) error {
	if a == nil {
		return nil
	}
	p, err := c.credentials()
	if err != nil {
		return bus.Errorf(bus.AccessDenied, "Cannot find out who calls: %s.", err)
	}
	c.user, c.root = p.UID, p.UID == 0
	if a.Opens(p) {
		return nil
	}
	c.yieldSlot()
	defer c.takeSlot()
	ctx, cancel := context.WithCancel(c.ctx)
	defer cancel()
	if interactive {
		go func() {
			select {
			case <-c.peer.left:
				cancel()
			case <-ctx.Done():
			}
		}()
	}
	return c.session.askAboutPeer(ctx, c.sender, c.serial, a, interactive)
}

// credentials asks the bus who calls, once for each peer.
func (c *Call) credentials() (Credentials, error) {
	if known := c.peer.user.Load(); known != nil {
		return *known, nil
	}
	c.yieldSlot()
	defer c.takeSlot()
	var all map[string]dbus.Variant
	err := c.session.conn.BusObject().CallWithContext(c.ctx, bus.Driver+".GetConnectionCredentials", 0, c.sender).Store(&all)
	if err != nil {
		return Credentials{}, err
	}
	uid, ok := all["UnixUserID"].Value().(uint32)
	if !ok {
		return Credentials{}, errors.New("the bus does not say which user it is")
	}
	groups, _ := all["UnixGroupIDs"].Value().([]uint32) // an old bus does not know them
	p := Credentials{UID: uid, Groups: groups}
	c.peer.user.Store(&p)
	return p, nil
}

// Subscribe has announcements sent to the caller.
func (c *Call) Subscribe() error {
	return c.session.subscribe(c.ctx, c.sender, c.user, c.peer)
}

// Unsubscribe ends that. It is no error if the caller has not subscribed.
func (c *Call) Unsubscribe() error {
	return c.session.unsubscribe(c.ctx, c.sender)
}

// Emit broadcasts a signal of the root object.
func (c *Call) Emit(member string, values ...any) {
	c.session.emit(c.session.cfg.Root, c.session.cfg.Interface+"."+member, values...)
}

// AnnounceChanges announces changed properties before it returns, unless the service does not answer.
func (c *Call) AnnounceChanges() { c.session.refreshNow(c.ctx) }

// Changed says that properties may have changed, which is announced soon.
func (c *Call) Changed() { c.session.changed() }

// ReplyFile makes the reply a sealed memory file that write has filled.
func (c *Call) ReplyFile(name string, write func(io.Writer) error) ([]any, error) {
	if !c.session.passesFiles() {
		return nil, bus.Errorf(bus.NotSupported, "This connection cannot pass file descriptors.")
	}
	release, err := c.session.openFiles.reserve(c.root)
	if err != nil {
		return nil, err
	}
	f, err := c.makeFile(name, write)
	if err != nil {
		release()
		return nil, err
	}
	if c.file, err = reopen(f); err != nil {
		release()
		return nil, errors.Join(err, f.Close())
	}
	go c.session.openFiles.watch(f, release)
	return nil, nil
}

func (c *Call) makeFile(name string, write func(io.Writer) error) (*os.File, error) {
	if err := c.TakeLargeSlot(); err != nil {
		return nil, err
	}
	return makeFile(name, write)
}

// ReplyPage makes the reply a body that write appends, as it goes over the wire, little-endian, to a buffer whose length is a
// multiple of 8. It is for replies so large that encoding them by reflection would delay everything else. The caller holds
// the large slot.
func (c *Call) ReplyPage(signature string, write func([]byte) []byte) error {
	head, err := c.encode(&dbus.Message{Type: dbus.TypeMethodReply, Flags: dbus.FlagNoReplyExpected, Headers: map[dbus.HeaderField]dbus.Variant{
		dbus.FieldReplySerial: dbus.MakeVariant(c.serial),
		dbus.FieldDestination: dbus.MakeVariant(c.sender),
		dbus.FieldSignature:   dbus.MakeVariant(dbus.ParseSignatureMust(signature)),
	}})
	if err != nil {
		return err
	}
	p := write(append(c.session.page[:0], head...))
	binary.LittleEndian.PutUint32(p[4:], uint32(len(p)-len(head)))
	c.session.page, c.page = p, p
	return nil
}

// maxSerial is the largest that godbus gives; ours are above.
const maxSerial = 1 << 31

// encode writes a reply as it goes over the wire. If godbus were asked to send it, it would encode it twice, to count its
// descriptors.
func (c *Call) encode(m *dbus.Message) ([]byte, error) {
	var b bytes.Buffer
	if err := m.EncodeTo(&b, binary.LittleEndian); err != nil {
		return nil, fmt.Errorf("write reply: %w", err)
	}
	p := b.Bytes()
	binary.LittleEndian.PutUint32(p[8:], maxSerial|c.serial) // of a message without a reply: any but 0
	return p, nil
}
