package route

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// Requests that change the table.
const (
	addRoute = netlink.HeaderType(unix.RTM_NEWROUTE)
	delRoute = netlink.HeaderType(unix.RTM_DELROUTE)
)

// flags of a request. With Excl the kernel leaves a route of somebody else alone that is in the place of ours.
func flags(t netlink.HeaderType) netlink.HeaderFlags {
	if t == addRoute {
		return netlink.Request | netlink.Create | netlink.Excl
	}
	return netlink.Request
}

// settled reports whether err says that there was nothing to do.
func settled(t netlink.HeaderType, err error) bool {
	if t == addRoute {
		return errors.Is(err, unix.EEXIST)
	}
	return errors.Is(err, unix.ESRCH)
}

// familyOf is the address family of p.
func familyOf(p netip.Prefix) uint8 {
	if p.Addr().Is4() {
		return unix.AF_INET
	}
	return unix.AF_INET6
}

// appendRtmsg appends the struct rtmsg of our routes: family, dst_len, src_len, tos, table, protocol, scope, type, flags.
func (c Config) appendRtmsg(b []byte, family uint8, bits int) []byte {
	return append(b, family, byte(bits), 0, 0, c.Table, c.Protocol, unix.RT_SCOPE_UNIVERSE, unix.RTN_BLACKHOLE, 0, 0, 0, 0)
}

// appendRoute appends the body of a request about the blackhole of p.
func (c Config) appendRoute(b []byte, p netip.Prefix) []byte {
	b = c.appendRtmsg(b, familyOf(p), p.Bits())
	addr := p.Addr().AsSlice()
	b = binary.NativeEndian.AppendUint16(b, uint16(unix.SizeofRtAttr+len(addr)))
	b = binary.NativeEndian.AppendUint16(b, unix.RTA_DST)
	return append(b, addr...)
}

var errShort = errors.New("kernel sent a message that is too short")

// parseRoute reads the answer of a dump. It returns false for a route that is not ours: kernels before 4.20 do not filter.
func (c Config) parseRoute(m []byte) (netip.Prefix, bool, error) {
	if len(m) < unix.SizeofRtMsg {
		return netip.Prefix{}, false, errShort
	}
	family, bits, table, protocol, kind := m[0], m[1], m[4], m[5], m[7]
	if table != c.Table || protocol != c.Protocol || kind != unix.RTN_BLACKHOLE {
		return netip.Prefix{}, false, nil
	}
	addr, err := attribute(m[unix.SizeofRtMsg:], unix.RTA_DST)
	if err != nil || addr == nil { // nil: the default route, which is none of ours
		return netip.Prefix{}, false, err
	}
	ip, ok := netip.AddrFromSlice(addr)
	p := netip.PrefixFrom(ip, int(bits))
	if !ok || !p.IsValid() || familyOf(p) != family {
		return netip.Prefix{}, false, fmt.Errorf("kernel sent a route to %x/%d in address family %d", addr, bits, family)
	}
	return p, true, nil
}

// attribute returns the value of the first attribute of that type in b, nil if there is none.
func attribute(b []byte, typ uint16) ([]byte, error) {
	for len(b) >= unix.SizeofRtAttr {
		length := int(binary.NativeEndian.Uint16(b))
		if length < unix.SizeofRtAttr || length > len(b) {
			return nil, errShort
		}
		if binary.NativeEndian.Uint16(b[2:]) == typ {
			return b[unix.SizeofRtAttr:length], nil
		}
		b = b[min((length+3)&^3, len(b)):]
	}
	return nil, nil
}

// rule returns the body of a request about the rule that has our table asked: struct fib_rule_hdr and its attributes.
func (c Config) rule(family uint8) []byte {
	b := []byte{family, 0, 0, 0, c.Table, 0, 0, unix.FR_ACT_TO_TBL, 0, 0, 0, 0}
	b = appendUint32(b, unix.FRA_PRIORITY, c.Priority)
	b = appendUint32(b, unix.FRA_TABLE, uint32(c.Table))
	return append(b, 5, 0, unix.FRA_PROTOCOL, 0, c.Protocol, 0, 0, 0)
}

func appendUint32(b []byte, typ uint16, v uint32) []byte {
	b = binary.NativeEndian.AppendUint16(b, unix.SizeofRtAttr+4)
	b = binary.NativeEndian.AppendUint16(b, typ)
	return binary.NativeEndian.AppendUint32(b, v)
}

// isRule reports whether m, the answer of a dump, is our rule with no further condition.
func (c Config) isRule(m []byte) (bool, error) {
	const header = 12 // struct fib_rule_hdr
	if len(m) < header {
		return false, errShort
	}
	unconditional := m[1] == 0 && m[2] == 0 && m[3] == 0 && binary.NativeEndian.Uint32(m[8:])&unix.FIB_RULE_INVERT == 0
	if m[4] != c.Table || m[7] != unix.FR_ACT_TO_TBL || !unconditional {
		return false, nil
	}
	priority, err := attribute(m[header:], unix.FRA_PRIORITY)
	if err != nil || len(priority) != 4 || binary.NativeEndian.Uint32(priority) != c.Priority {
		return false, err
	}
	protocol, err := attribute(m[header:], unix.FRA_PROTOCOL)
	return len(protocol) == 1 && protocol[0] == c.Protocol, err
}
