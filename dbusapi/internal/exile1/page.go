package exile1

import (
	"encoding/binary"

	"exile/internal/control"
)

// PageSignature is of what AppendPage writes.
const PageSignature = "a(ssttuusb)s"

// AppendPage writes a page of bans as it goes over the wire, to a buffer whose length is a multiple of 8. By reflection, with
// a structure for each record, it would take ten times as long, and the garbage collector would delay everything else.
func AppendPage(p []byte, bans []control.Ban, next string) []byte {
	p = appendBans(p, bans)
	return appendText(p, func(p []byte) []byte { return append(p, next...) })
}

// appendBans writes a(ssttuusb).
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

// appendBan writes a BanRecord.
func appendBan(p []byte, b *control.Ban) []byte {
	p = appendText(align(p, 8), func(p []byte) []byte { return append(p, b.Jail...) })
	p = appendText(p, func(p []byte) []byte {
		if b.Prefix.IsSingleIP() {
			return b.Prefix.Addr().AppendTo(p)
		}
		return b.Prefix.AppendTo(p)
	})
	p = binary.LittleEndian.AppendUint64(align(p, 8), USec(b.Since))
	p = binary.LittleEndian.AppendUint64(p, UntilUSec(b.Until))
	p = binary.LittleEndian.AppendUint32(p, Count(b.Failures))
	p = binary.LittleEndian.AppendUint32(p, Count(b.Offence))
	p = appendText(p, func(p []byte) []byte { return append(p, b.Origin...) })
	return binary.LittleEndian.AppendUint32(align(p, 4), truth(b.Simulated))
}

// truth is a boolean on the wire.
func truth(b bool) uint32 {
	if b {
		return 1
	}
	return 0
}

// appendText writes the string that write appends.
func appendText(p []byte, write func([]byte) []byte) []byte {
	p = append(align(p, 4), 0, 0, 0, 0)
	begin := len(p)
	p = write(p)
	binary.LittleEndian.PutUint32(p[begin-4:], uint32(len(p)-begin))
	return append(p, 0)
}

// align pads to a multiple of n.
func align(p []byte, n int) []byte {
	for len(p)%n != 0 {
		p = append(p, 0)
	}
	return p
}
