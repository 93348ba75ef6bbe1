package ipset

import (
	"encoding/binary"
	"math"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"exile/firewall"
	"exile/firewall/internal/bulk"
)

// maxTimeout is the longest timeout the kernel keeps, in seconds: 24.8 days.
const maxTimeout = math.MaxUint32 / 1000 / 2

// perMessage is how many elements go into one message. The list of them must stay below 64 KiB, and the kernel sends the
// whole message back with an error: 500 of the largest kind are 30 KB.
const perMessage = 500

func appendString(b []byte, typ uint16, s string) []byte {
	return bulk.AppendAttribute(b, typ, append([]byte(s), 0)...)
}

func appendUint32(b []byte, typ uint16, v uint32) []byte {
	var data [4]byte
	binary.BigEndian.PutUint32(data[:], v)
	return bulk.AppendAttribute(b, typ|unix.NLA_F_NET_BYTEORDER, data[:]...)
}

// appendNested adds an attribute that holds what add appends.
func appendNested(b []byte, typ uint16, add func([]byte) []byte) []byte {
	start := len(b)
	b = add(bulk.AppendAttribute(b, typ|unix.NLA_F_NESTED))
	binary.NativeEndian.PutUint16(b[start:], uint16(len(b)-start))
	return b
}

// appendElement adds the element of a ban; without timeout, to delete it.
func appendElement(b []byte, k firewall.Key, timeout *uint32) []byte {
	return appendNested(b, attrData, func(b []byte) []byte {
		b = appendNested(b, attrIP, func(b []byte) []byte {
			if addr := k.Prefix.Addr(); addr.Is4() {
				a := addr.As4()
				return bulk.AppendAttribute(b, attrIPv4|unix.NLA_F_NET_BYTEORDER, a[:]...)
			}
			a := k.Prefix.Addr().As16()
			return bulk.AppendAttribute(b, attrIPv6|unix.NLA_F_NET_BYTEORDER, a[:]...)
		})
		b = bulk.AppendAttribute(b, attrCIDR, uint8(k.Prefix.Bits()))
		if k.Port != (firewall.Port{}) {
			b = bulk.AppendAttribute(b, attrPort|unix.NLA_F_NET_BYTEORDER, byte(k.Port.Number>>8), byte(k.Port.Number))
			b = bulk.AppendAttribute(b, attrProto, k.Port.Proto)
		}
		if timeout != nil {
			b = appendUint32(b, attrTimeout, *timeout)
		}
		return b
	})
}

// timeout returns the kernel's timeout for an end, in seconds, rounded up: 0 for ever, otherwise at least 1.
func timeout(until, now time.Time) uint32 {
	if until.IsZero() {
		return 0
	}
	left := min(until.Sub(now), maxTimeout*time.Second)
	return uint32(max((left+time.Second-1)/time.Second, 1))
}

// attr returns the data of the first attribute of a type, or nil.
func attr(b []byte, typ uint16) (found []byte) {
	// What is cut short lacks the attribute, and the caller sees that.
	_ = bulk.Attributes(b, func(t uint16, data []byte) error {
		if t == typ && found == nil {
			found = data
		}
		return nil
	})
	return found
}

// number returns the big-endian number of an attribute.
func number(data []byte) (n uint32) {
	for _, c := range data[:min(len(data), 4)] {
		n = n<<8 | uint32(c)
	}
	return n
}

// parseElement reads an element of a listing. It returns false for an exception from a ban (nomatch), which we
// never make.
func parseElement(b []byte, now time.Time) (ban firewall.Ban, ok bool, err error) {
	var addr netip.Addr
	bits, exception := -1, false
	err = bulk.Attributes(b, func(typ uint16, data []byte) error {
		switch typ {
		case attrIP:
			return bulk.Attributes(data, func(_ uint16, ip []byte) error {
				addr, _ = netip.AddrFromSlice(ip)
				return nil
			})
		case attrCIDR:
			bits = int(number(data))
		case attrPort:
			ban.Port.Number = uint16(number(data))
		case attrProto:
			ban.Port.Proto = uint8(number(data))
		case attrTimeout:
			if left := number(data); left != 0 {
				ban.Until = now.Add(time.Duration(left) * time.Second)
			}
		case attrCADTFlags:
			exception = number(data)&flagNoMatch != 0
		}
		return nil
	})
	if err != nil || exception {
		return ban, false, err
	}
	if bits < 0 {
		bits = addr.BitLen()
	}
	ban.Prefix = netip.PrefixFrom(addr, bits)
	if !ban.Prefix.IsValid() {
		return ban, false, bulk.ErrShort
	}
	return ban, true, nil
}
