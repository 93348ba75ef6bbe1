package dbusapi_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"exile/dbusapi"
	"exile/internal/control"
)

// stalled is a peer that never reads.
type stalled struct {
	t      *testing.T
	conn   net.Conn
	serial uint32
}

func (h *host) stalled(t *testing.T) *stalled {
	t.Helper()
	path, _ := strings.CutPrefix(h.bus.Address, "unix:path=")
	conn, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	m := &stalled{t: t, conn: conn}
	if _, err := fmt.Fprintf(conn, "\x00AUTH EXTERNAL %x\r\nBEGIN\r\n", strconv.Itoa(os.Geteuid())); err != nil {
		t.Fatal(err)
	}
	m.call("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "Hello")
	return m
}

// call reports whether the bus still takes calls.
func (m *stalled) call(to string, path dbus.ObjectPath, iface, member string, args ...any) bool {
	msg := &dbus.Message{Type: dbus.TypeMethodCall, Body: args, Headers: map[dbus.HeaderField]dbus.Variant{
		dbus.FieldDestination: dbus.MakeVariant(to), dbus.FieldPath: dbus.MakeVariant(path),
		dbus.FieldInterface: dbus.MakeVariant(iface), dbus.FieldMember: dbus.MakeVariant(member),
	}}
	if len(args) > 0 {
		msg.Headers[dbus.FieldSignature] = dbus.MakeVariant(dbus.SignatureOf(args...))
	}
	var out bytes.Buffer
	if err := msg.EncodeTo(&out, binary.LittleEndian); err != nil {
		m.t.Fatal(err)
	}
	m.serial++
	binary.LittleEndian.PutUint32(out.Bytes()[8:], m.serial)
	_ = m.conn.SetWriteDeadline(time.Now().Add(10 * time.Second))
	_, err := m.conn.Write(out.Bytes())
	return err == nil
}

// Peers that ask and do not read use a bounded part of what the bus buffers for us, so that it never stops reading from us.
func TestUnreadRepliesAreFew(t *testing.T) {
	t.Parallel()
	if testing.Short() { // for the race detector, which learns nothing from so many
		t.Skip("SKIPPED: many messages; tested without -short")
	}
	for name, ask := range map[string]func(*stalled) bool{
		"lists": func(m *stalled) bool {
			return m.call(dbusapi.BusName, "/org/exile1", dbusapi.ManagerInterface, "ListBans", "", "", uint32(10_000), uint64(0))
		},
		"introspection": func(m *stalled) bool {
			return m.call(dbusapi.BusName, "/org/exile1", "org.freedesktop.DBus.Introspectable", "Introspect")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := start(t)
			h.fake.Set(control.Status{}, []control.JailStatus{{Name: "sshd"}}, manyBans(t), nil)
			c := h.dial(t)
			peers := []*stalled{h.stalled(t), h.stalled(t), h.stalled(t)}
			for i := range 3000 {
				for _, m := range peers {
					if !ask(m) {
						t.Fatal("the bus has enough of the peer")
					}
				}
				if i%500 != 0 {
					continue
				}
				if _, err := c.Status(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := c.Status(t.Context()); err != nil {
				t.Fatal(err)
			}
			if n := h.unread(t); n > 48<<20 { // what is allowed, and what goes out until it is asked again
				t.Errorf("%d bytes lie with peers that do not read", n)
			}
		})
	}
}

// A subscriber that does not read is unsubscribed.
func TestStalledSubscriberIsRemoved(t *testing.T) {
	t.Parallel()
	if testing.Short() { // for the race detector, which learns nothing from so many
		t.Skip("SKIPPED: many messages; tested without -short")
	}
	h := start(t)
	h.stalled(t).call(dbusapi.BusName, "/org/exile1", dbusapi.ManagerInterface, "Subscribe")
	event := control.Event{Kind: control.BanNew, Ban: control.Ban{Jail: "sshd", Prefix: netip.MustParsePrefix("192.0.2.99/32"), Origin: control.OriginJournal}}
	before := uint32(0)
	for still := 0; still < 20; {
		for range 1000 {
			h.service.Announce(event)
		}
		time.Sleep(10 * time.Millisecond)
		switch n := h.unread(t); {
		case n > 24<<20:
			t.Fatalf("%d bytes lie with a subscriber that does not read", n)
		case n > 8<<20 && n == before:
			still++
		default:
			before, still = n, 0
		}
	}
}

// unread is how many bytes of the service wait for peers to read them.
func (h *host) unread(t *testing.T) uint32 {
	t.Helper()
	conn := h.raw(t)
	var owner string
	var stats map[string]dbus.Variant
	err := conn.BusObject().Call("org.freedesktop.DBus.GetNameOwner", 0, dbusapi.BusName).Store(&owner)
	if err == nil {
		err = conn.BusObject().Call("org.freedesktop.DBus.Debug.Stats.GetConnectionStats", 0, owner).Store(&stats)
	}
	if err != nil {
		t.Fatal(err)
	}
	n, _ := stats["IncomingBytes"].Value().(uint32)
	return n
}
