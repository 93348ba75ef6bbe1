package dbusapi

import (
	"encoding/binary"

	"github.com/godbus/dbus/v5"

	"exile/internal/control"
)

// pageSignature is of what writePage writes.
const pageSignature = "a(ssttuus)s"

// writePage writes the reply that has a page of bans, as it goes over the wire, into the session's buffer. By reflection,
// with each record as a structure of its own first, it takes ten times as long, and what it leaves for the garbage
// collector delays everything else.
func (c *call) writePage(bans []control.Ban, next string) error {
	head, err := c.encode(&dbus.Message{Type: dbus.TypeMethodReply, Flags: dbus.FlagNoReplyExpected, Headers: map[dbus.HeaderField]dbus.Variant{
		dbus.FieldReplySerial: dbus.MakeVariant(c.serial),
		dbus.FieldDestination: dbus.MakeVariant(c.sender),
		dbus.FieldSignature:   dbus.MakeVariant(dbus.ParseSignatureMust(pageSignature)),
	}})
	if err != nil {
		return err
	}
	p := append(c.session.page[:0], head...) // padded to 8 bytes, so that what follows is aligned
	p = appendBans(p, bans)
	p = appendText(p, func(p []byte) []byte { return append(p, next...) })
	binary.LittleEndian.PutUint32(p[4:], uint32(len(p)-len(head)))
	c.session.page, c.message = p, p
	return nil
}

// appendBans writes a(ssttuus).
func appendBans(p []byte, bans []control.Ban) []byte {
	size := len(p)
	p = align(append(p, 0, 0, 0, 0), 8)
	begin := len(p)
	for i := range bans {
		p = appendBan(p, &bans[i])
	}
	binary.LittleEndian.PutUint32(p[size:], uint32(len(p)-begin))
	return p
}

// appendBan writes what banRecord holds.
func appendBan(p []byte, b *control.Ban) []byte {
	p = appendText(align(p, 8), func(p []byte) []byte { return append(p, b.Jail...) })
	p = appendText(p, func(p []byte) []byte {
		if b.Prefix.IsSingleIP() {
			return b.Prefix.Addr().AppendTo(p)
		}
		return b.Prefix.AppendTo(p)
	})
	p = binary.LittleEndian.AppendUint64(align(p, 8), usec(b.Since))
	p = binary.LittleEndian.AppendUint64(p, untilUSec(b.Until))
	p = binary.LittleEndian.AppendUint32(p, count(b.Failures))
	p = binary.LittleEndian.AppendUint32(p, count(b.Offence))
	return appendText(p, func(p []byte) []byte { return append(p, b.Origin...) })
}

// appendText writes a string, which write appends.
func appendText(p []byte, write func([]byte) []byte) []byte {
	p = append(align(p, 4), 0, 0, 0, 0)
	begin := len(p)
	p = write(p)
	binary.LittleEndian.PutUint32(p[begin-4:], uint32(len(p)-begin))
	return append(p, 0)
}

// align fills up to a multiple of n.
func align(p []byte, n int) []byte {
	for len(p)%n != 0 {
		p = append(p, 0)
	}
	return p
}
