package ipset

import (
	"encoding/binary"
	"errors"
	"iter"
	"math"
	"net/netip"
	"time"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"exile/firewall"
)

// maxTimeout is the longest timeout the kernel keeps, in seconds: 24.8 days.
const maxTimeout = math.MaxUint32 / 1000 / 2

// perMessage is how many elements go into one message. The list of them must stay below 64 KiB, and the kernel sends the
// whole message back with an error: 500 of the largest kind are 30 KB.
const perMessage = 500

var errShort = errors.New("answer of the kernel is cut short")

// appendAttr adds one netlink attribute, padded.
func appendAttr(b []byte, typ uint16, data ...byte) []byte {
	b = binary.NativeEndian.AppendUint16(b, uint16(4+len(data)))
	b = binary.NativeEndian.AppendUint16(b, typ)
	b = append(b, data...)
	return append(b, 0, 0, 0)[:(len(b)+3)&^3]
}

func appendString(b []byte, typ uint16, s string) []byte {
	return appendAttr(b, typ, append([]byte(s), 0)...)
}

func appendUint32(b []byte, typ uint16, v uint32) []byte {
	var data [4]byte
	binary.BigEndian.PutUint32(data[:], v)
	return appendAttr(b, typ|unix.NLA_F_NET_BYTEORDER, data[:]...)
}

// appendNested adds an attribute that holds what add appends.
func appendNested(b []byte, typ uint16, add func([]byte) []byte) []byte {
	start := len(b)
	b = add(appendAttr(b, typ|unix.NLA_F_NESTED))
	binary.NativeEndian.PutUint16(b[start:], uint16(len(b)-start))
	return b
}

// appendElement adds the element of a ban: without timeout it is only named, as for a deletion.
func appendElement(b []byte, k firewall.Key, timeout *uint32) []byte {
	return appendNested(b, nl.IPSET_ATTR_DATA, func(b []byte) []byte {
		b = appendNested(b, nl.IPSET_ATTR_IP, func(b []byte) []byte {
			if addr := k.Prefix.Addr(); addr.Is4() {
				a := addr.As4()
				return appendAttr(b, nl.IPSET_ATTR_IPADDR_IPV4|unix.NLA_F_NET_BYTEORDER, a[:]...)
			}
			a := k.Prefix.Addr().As16()
			return appendAttr(b, nl.IPSET_ATTR_IPADDR_IPV6|unix.NLA_F_NET_BYTEORDER, a[:]...)
		})
		b = appendAttr(b, nl.IPSET_ATTR_CIDR, uint8(k.Prefix.Bits()))
		if k.Port != (firewall.Port{}) {
			b = appendAttr(b, nl.IPSET_ATTR_PORT|unix.NLA_F_NET_BYTEORDER, byte(k.Port.Number>>8), byte(k.Port.Number))
			b = appendAttr(b, nl.IPSET_ATTR_PROTO, k.Port.Proto)
		}
		if timeout != nil {
			b = appendUint32(b, nl.IPSET_ATTR_TIMEOUT, *timeout)
		}
		return b
	})
}

// timeout returns what the kernel is to keep, in seconds rounded up: 0 is for ever, at least 1 otherwise.
func timeout(until, now time.Time) uint32 {
	if until.IsZero() {
		return 0
	}
	left := min(until.Sub(now), maxTimeout*time.Second)
	return uint32(max((left+time.Second-1)/time.Second, 1))
}

// attrs yields type (without flags) and data of the attributes in b, as far as they are whole.
func attrs(b []byte) iter.Seq2[uint16, []byte] {
	return func(yield func(uint16, []byte) bool) {
		for len(b) >= 4 {
			size := int(binary.NativeEndian.Uint16(b))
			typ := binary.NativeEndian.Uint16(b[2:]) &^ (unix.NLA_F_NESTED | unix.NLA_F_NET_BYTEORDER)
			if size < 4 || size > len(b) || !yield(typ, b[4:size]) {
				return
			}
			b = b[min((size+3)&^3, len(b)):]
		}
	}
}

// attr returns the data of the first attribute of a type, or nil.
func attr(b []byte, typ uint16) []byte {
	for t, data := range attrs(b) {
		if t == typ {
			return data
		}
	}
	return nil
}

// number returns the big-endian number of an attribute.
func number(data []byte) (n uint32) {
	for _, c := range data[:min(len(data), 4)] {
		n = n<<8 | uint32(c)
	}
	return n
}

// parseElement reads an element of a listing. An exception from a ban (nomatch), which we never make, is not a ban: false.
func parseElement(b []byte, now time.Time) (firewall.Ban, bool, error) {
	var ban firewall.Ban
	var addr netip.Addr
	bits := -1
	for typ, data := range attrs(b) {
		switch typ {
		case nl.IPSET_ATTR_IP:
			for _, ip := range attrs(data) {
				addr, _ = netip.AddrFromSlice(ip)
			}
		case nl.IPSET_ATTR_CIDR:
			bits = int(number(data))
		case nl.IPSET_ATTR_PORT:
			ban.Port.Number = uint16(number(data))
		case nl.IPSET_ATTR_PROTO:
			ban.Port.Proto = uint8(number(data))
		case nl.IPSET_ATTR_TIMEOUT:
			if left := number(data); left != 0 {
				ban.Until = now.Add(time.Duration(left) * time.Second)
			}
		case nl.IPSET_ATTR_CADT_FLAGS:
			if number(data)&nl.IPSET_FLAG_NOMATCH != 0 {
				return ban, false, nil
			}
		}
	}
	if bits < 0 {
		bits = addr.BitLen()
	}
	ban.Prefix = netip.PrefixFrom(addr, bits)
	if !ban.Prefix.IsValid() {
		return ban, false, errShort
	}
	return ban, true, nil
}
