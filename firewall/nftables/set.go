package nftables

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"time"

	"exile/firewall"
	"exile/firewall/internal/spare"

	nft "github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// class is what the bans of one set have in common.
type class struct {
	v6   bool
	bits uint8 // length of the prefix
	port bool  // the key has a port
}

// set is what we know about one set.
type set struct {
	ends  map[firewall.Key]time.Time // the elements, and when the kernel removes them; zero: never
	stale bool                       // the kernel may have more: the set has to be emptied before it is used again
}

// linger is how long after its end an element may still be there: the kernel's clock may be behind ours.
const linger = 5 * time.Second

// forget drops the elements that ended.
func (s *set) forget(now time.Time) {
	for k, end := range s.ends {
		if !end.IsZero() && now.Sub(end) > linger {
			delete(s.ends, k)
		}
	}
}

// expect notes what is about to be added and reports whether the element may be there already. It does so before the
// transaction because a look-up in so large a map is expensive. A stale set is emptied first, so nothing is there.
func (s *set) expect(st step) (there bool) {
	if s.stale || !st.add {
		return false
	}
	before := len(s.ends)
	s.ends[st.key] = st.end
	return len(s.ends) == before
}

// count is how many elements have not ended.
func (s *set) count(now time.Time) (n int) {
	for _, end := range s.ends {
		if end.IsZero() || end.After(now) {
			n++
		}
	}
	return n
}

func classOf(k firewall.Key) class {
	return class{v6: k.Prefix.Addr().Is6(), bits: uint8(k.Prefix.Bits()), port: k.Port != firewall.Port{}}
}

func (c class) name() string {
	name := fmt.Sprintf("ipv%d-%d", c.version(), c.bits)
	if c.port {
		name += "-port"
	}
	return name
}

// parseClass is the reverse of name. It returns false for a name that is not one of ours.
func parseClass(name string) (c class, ok bool) {
	var version int
	if _, err := fmt.Sscanf(name, "ipv%d-%d", &version, &c.bits); err != nil {
		return class{}, false
	}
	c.v6 = version == 6
	c.port = bytes.HasSuffix([]byte(name), []byte("-port"))
	return c, c.name() == name && c.bits > 0 && int(c.bits) <= 8*c.size()
}

func (c class) version() int {
	if c.v6 {
		return 6
	}
	return 4
}

// size is how many bytes an address has.
func (c class) size() int {
	if c.v6 {
		return net.IPv6len
	}
	return net.IPv4len
}

// keySize is how many bytes an element has: the address, protocol and port, each padded to 4.
func (c class) keySize() int {
	if c.port {
		return c.size() + 8
	}
	return c.size()
}

func (c class) appendKey(b []byte, k firewall.Key) []byte {
	b = append(b, k.Prefix.Addr().AsSlice()...)
	if c.port {
		b = append(b, k.Port.Proto, 0, 0, 0)
		b = append(binary.BigEndian.AppendUint16(b, k.Port.Number), 0, 0)
	}
	return b
}

// key is the reverse of appendKey. It returns an error for bytes that are not ours.
func (c class) key(b []byte) (firewall.Key, error) {
	if len(b) != c.keySize() {
		return firewall.Key{}, fmt.Errorf("set %s has element %x, want %d bytes", c.name(), b, c.keySize())
	}
	addr, _ := netip.AddrFromSlice(b[:c.size()])
	k := firewall.Key{Prefix: netip.PrefixFrom(addr, int(c.bits))}
	if c.port {
		k.Port = firewall.Port{Proto: b[c.size()], Number: binary.BigEndian.Uint16(b[c.size()+4:])}
	}
	return k, nil
}

// set is the set of the class as the library wants it.
func (c class) set(t *nft.Table) *nft.Set {
	s := &nft.Set{Table: t, Name: c.name(), HasTimeout: true, KeyType: nft.TypeIPAddr}
	if c.v6 {
		s.KeyType = nft.TypeIP6Addr
	}
	if c.port {
		s.KeyType = nft.MustConcatSetType(s.KeyType, nft.TypeInetProto, nft.TypeInetService)
	}
	return s
}

// rule drops what comes from an address whose first bits, and port, are in the set of the class.
func (c class) rule() []expr.Any {
	// The address is in register 1, the others follow it without a gap. The numbers are those that the kernel reports.
	const register = unix.NFT_REG_1
	protocol, offset := byte(unix.NFPROTO_IPV4), uint32(12)
	l4proto, dport := uint32(unix.NFT_REG32_01), uint32(unix.NFT_REG32_02)
	if c.v6 {
		protocol, offset = unix.NFPROTO_IPV6, 8
		l4proto, dport = unix.NFT_REG_2, unix.NFT_REG32_05
	}
	size := uint32(c.size())
	e := []expr.Any{
		&expr.Meta{Key: expr.MetaKeyNFPROTO, Register: register},
		&expr.Cmp{Op: expr.CmpOpEq, Register: register, Data: []byte{protocol}},
		&expr.Payload{DestRegister: register, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: size},
	}
	if int(c.bits) < 8*c.size() {
		e = append(e, &expr.Bitwise{
			SourceRegister: register, DestRegister: register, Len: size,
			Mask: net.CIDRMask(int(c.bits), 8*c.size()), Xor: make([]byte, size),
		})
	}
	if c.port {
		e = append(e,
			&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: l4proto},
			&expr.Payload{DestRegister: dport, Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2})
	}
	return append(e,
		&expr.Lookup{SourceRegister: register, SetName: c.name()},
		&expr.Counter{},
		&expr.Verdict{Kind: expr.VerdictDrop})
}

// isRule reports whether the kernel's rule is that of the class, whatever its counter says.
func (c class) isRule(have []expr.Any) bool { return spare.Same(c.rule(), have) }
