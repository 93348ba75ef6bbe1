package route

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"exile/firewall/internal/bulk"

	"golang.org/x/sys/unix"
)

// flags of a request. With NLM_F_EXCL the kernel does not replace another program's route.
func flags(typ uint16) uint16 {
	if typ == unix.RTM_NEWROUTE {
		return unix.NLM_F_CREATE | unix.NLM_F_EXCL
	}
	return 0
}

// settled reports whether err says that there was nothing to do.
func settled(typ uint16, err error) bool {
	if typ == unix.RTM_NEWROUTE {
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
	return bulk.AppendAttribute(b, unix.RTA_DST, p.Addr().AsSlice()...)
}

// parseRoute reads the answer of a dump. It returns false for a route that is not ours: kernels before 4.20 do not filter.
func (c Config) parseRoute(m []byte) (netip.Prefix, bool, error) {
	if len(m) < unix.SizeofRtMsg {
		return netip.Prefix{}, false, bulk.ErrShort
	}
	family, bits, table, protocol, kind := m[0], m[1], m[4], m[5], m[7]
	if table != c.Table || protocol != c.Protocol || kind != unix.RTN_BLACKHOLE {
		return netip.Prefix{}, false, nil
	}
	addr, err := attribute(m[unix.SizeofRtMsg:], unix.RTA_DST)
	if err != nil || addr == nil { // nil: the default route, which is not ours
		return netip.Prefix{}, false, err
	}
	ip, ok := netip.AddrFromSlice(addr)
	p := netip.PrefixFrom(ip, int(bits))
	if !ok || !p.IsValid() || familyOf(p) != family {
		return netip.Prefix{}, false, fmt.Errorf("kernel sent a route to %x/%d in address family %d", addr, bits, family)
	}
	return p, true, nil
}

// attribute returns the value of the last attribute of that type in b, nil if there is none.
func attribute(b []byte, want uint16) (found []byte, err error) {
	err = bulk.Attributes(b, func(typ uint16, value []byte) error {
		if typ == want {
			found = value
		}
		return nil
	})
	return found, err
}

// rule returns the body of a request about the rule for our table: struct fib_rule_hdr and its attributes.
func (c Config) rule(family uint8) []byte {
	b := []byte{family, 0, 0, 0, c.Table, 0, 0, unix.FR_ACT_TO_TBL, 0, 0, 0, 0}
	b = bulk.AppendAttribute(b, unix.FRA_PRIORITY, binary.NativeEndian.AppendUint32(nil, c.Priority)...)
	return bulk.AppendAttribute(b, unix.FRA_PROTOCOL, c.Protocol)
}

// isRule reports whether m, the answer of a dump, is our rule with no further condition.
func (c Config) isRule(m []byte) (bool, error) {
	const header = 12 // struct fib_rule_hdr
	if len(m) < header {
		return false, bulk.ErrShort
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
