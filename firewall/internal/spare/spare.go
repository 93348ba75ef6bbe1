// Package spare has what backends with nftables rules need to spare connections and addresses: sets of both in their table,
// and rules before those of the bans that accept what is in them.
//
// A connection is matched by both its ends, without connection tracking, and packets that would begin one are not accepted:
// after the connection ends, the same port cannot open another.
package spare

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"exile/firewall"

	nft "github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// kind is what the elements of one set have in common.
type kind struct {
	v6         bool
	connection bool // else whole addresses
}

// kinds are those that a table of the family can have.
func kinds(family nft.TableFamily) []kind {
	four, six := []kind{{false, true}, {false, false}}, []kind{{true, true}, {true, false}}
	switch family {
	case nft.TableFamilyIPv4:
		return four
	case nft.TableFamilyIPv6:
		return six
	}
	return append(four, six...)
}

func kindOf(s firewall.Spared) kind { return kind{s.Remote.Addr().Is6(), s.Remote.Port() != 0} }

func (k kind) name() string {
	name := "addresses"
	if k.connection {
		name = "connections"
	}
	if k.v6 {
		return name + "6"
	}
	return name + "4"
}

// set is the set of the kind as the library wants it.
func (k kind) set(t *nft.Table) *nft.Set {
	addr := nft.TypeIPAddr
	if k.v6 {
		addr = nft.TypeIP6Addr
	}
	s := &nft.Set{Table: t, Name: k.name(), KeyType: addr}
	if k.connection {
		s.KeyType = nft.MustConcatSetType(addr, nft.TypeInetService, addr, nft.TypeInetService)
	}
	return s
}

// key is the element: an address, or addresses and ports of both ends, each padded to 4 bytes.
func (k kind) key(s firewall.Spared) []byte {
	b := s.Remote.Addr().AsSlice()
	if !k.connection {
		return b
	}
	b = append(binary.BigEndian.AppendUint16(b, s.Remote.Port()), 0, 0)
	b = append(b, s.Local.Addr().AsSlice()...)
	return append(binary.BigEndian.AppendUint16(b, s.Local.Port()), 0, 0)
}

// parse is the reverse of key. It returns false for bytes that are not ours.
func (k kind) parse(b []byte) (s firewall.Spared, ok bool) {
	size := k.size()
	end := func(b []byte) netip.AddrPort {
		addr, _ := netip.AddrFromSlice(b[:size])
		if !k.connection {
			return netip.AddrPortFrom(addr, 0)
		}
		return netip.AddrPortFrom(addr, binary.BigEndian.Uint16(b[size:]))
	}
	switch {
	case !k.connection && len(b) == size:
		return firewall.Spared{Remote: end(b)}, true
	case k.connection && len(b) == 2*(size+4):
		return firewall.Spared{Remote: end(b), Local: end(b[size+4:])}, true
	}
	return s, false
}

// size is how many bytes an address has.
func (k kind) size() int {
	if k.v6 {
		return 16
	}
	return 4
}

// register is the number that the kernel reports for the n-th register of 32 bits.
func register(n int) uint32 {
	if n%4 == 0 {
		return unix.NFT_REG_1 + uint32(n/4)
	}
	return unix.NFT_REG32_00 + uint32(n)
}

// Where the parts of a packet are.
const (
	source4, target4 = 12, 16
	source6, target6 = 8, 24
	flagsAt          = 13 // of TCP
	synFlag          = 2
)

// rule accepts what is in the set.
func (k kind) rule(family nft.TableFamily) []expr.Any {
	protocol, source, target := byte(unix.NFPROTO_IPV4), uint32(source4), uint32(target4)
	if k.v6 {
		protocol, source, target = unix.NFPROTO_IPV6, source6, target6
	}
	var e []expr.Any
	if family == nft.TableFamilyINet {
		e = append(e,
			&expr.Meta{Key: expr.MetaKeyNFPROTO, Register: register(0)},
			&expr.Cmp{Op: expr.CmpOpEq, Register: register(0), Data: []byte{protocol}})
	}
	load := func(base expr.PayloadBase, offset uint32, size, to int) {
		e = append(e, &expr.Payload{DestRegister: register(to), Base: base, Offset: offset, Len: uint32(size)})
	}
	if k.connection {
		e = append(e,
			&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: register(0)},
			&expr.Cmp{Op: expr.CmpOpEq, Register: register(0), Data: []byte{unix.IPPROTO_TCP}})
		load(expr.PayloadBaseTransportHeader, flagsAt, 1, 0)
		e = append(e,
			&expr.Bitwise{SourceRegister: register(0), DestRegister: register(0), Len: 1, Mask: []byte{synFlag}, Xor: []byte{0}},
			&expr.Cmp{Op: expr.CmpOpEq, Register: register(0), Data: []byte{0}})
	}
	words := k.size() / 4
	load(expr.PayloadBaseNetworkHeader, source, k.size(), 0)
	if k.connection {
		load(expr.PayloadBaseTransportHeader, 0, 2, words)
		load(expr.PayloadBaseNetworkHeader, target, k.size(), words+1)
		load(expr.PayloadBaseTransportHeader, 2, 2, 2*words+1)
	}
	return append(e,
		&expr.Lookup{SourceRegister: register(0), SetName: k.name()},
		&expr.Verdict{Kind: expr.VerdictAccept})
}

// rules are the rules of a table that spares all of these, in order. There is none for an empty set, since each costs every
// packet a look-up.
func rules(family nft.TableFamily, all []firewall.Spared) (list [][]expr.Any) {
	for _, k := range kinds(family) {
		if slices.ContainsFunc(all, func(s firewall.Spared) bool { return kindOf(s) == k }) {
			list = append(list, k.rule(family))
		}
	}
	return list
}

// Queue adds the sets with what is spared in the table's family, and the rules, to the transaction, after what makes the table
// and its empty chain. The library keeps the first error for the flush to return.
func Queue(conn *nft.Conn, chain *nft.Chain, all []firewall.Spared) {
	for _, k := range kinds(chain.Table.Family) {
		set := k.set(chain.Table)
		_ = conn.AddSet(set, nil)
		conn.FlushSet(set)
		var elements []nft.SetElement
		for _, s := range all {
			if kindOf(s) == k {
				elements = append(elements, nft.SetElement{Key: k.key(s)})
			}
		}
		if len(elements) > 0 {
			_ = conn.SetAddElements(set, elements)
		}
	}
	for _, r := range rules(chain.Table.Family, all) {
		conn.AddRule(&nft.Rule{Table: chain.Table, Chain: chain, Exprs: r})
	}
}

// Intact reports whether the chain begins with exactly the rules that Queue makes for these, and returns the rest.
func Intact(family nft.TableFamily, all []firewall.Spared, chain []*nft.Rule) (rest []*nft.Rule, ok bool) {
	want := rules(family, all)
	if len(chain) < len(want) {
		return nil, false
	}
	for i, r := range want {
		if !Same(r, chain[i].Exprs) {
			return nil, false
		}
	}
	return chain[len(want):], true
}

// Is reports whether a rule is one that Queue makes.
func Is(family nft.TableFamily, r *nft.Rule) bool {
	return slices.ContainsFunc(kinds(family), func(k kind) bool { return Same(k.rule(family), r.Exprs) })
}

// Read returns what the table spares: what is in the sets that have their rule in the chain. Without a table that is nothing.
func Read(conn *nft.Conn, chain *nft.Chain) ([]firewall.Spared, error) {
	have, err := conn.GetRules(chain.Table, chain)
	if err != nil {
		return nil, unlessMissing("rules", err)
	}
	var all []firewall.Spared
	for _, k := range kinds(chain.Table.Family) {
		if !slices.ContainsFunc(have, func(r *nft.Rule) bool { return Same(k.rule(chain.Table.Family), r.Exprs) }) {
			continue
		}
		elements, err := conn.GetSetElements(k.set(chain.Table))
		if err := unlessMissing("set "+k.name(), err); err != nil {
			return nil, err
		}
		for _, e := range elements {
			if s, ok := k.parse(e.Key); ok {
				all = append(all, s)
			}
		}
	}
	return all, nil
}

func unlessMissing(what string, err error) error {
	if err == nil || errors.Is(err, unix.ENOENT) {
		return nil
	}
	return fmt.Errorf("read %s of what is spared: %w", what, err)
}

// Same reports whether the kernel's rule is the wanted one, whatever its counter says.
func Same(want, have []expr.Any) bool {
	if len(have) != len(want) {
		return false
	}
	for i := range want {
		if _, counts := have[i].(*expr.Counter); counts {
			have[i] = &expr.Counter{}
		}
		a, errA := expr.Marshal(unix.NFPROTO_INET, want[i])
		b, errB := expr.Marshal(unix.NFPROTO_INET, have[i])
		if errA != nil || errB != nil || !bytes.Equal(a, b) {
			return false
		}
	}
	return true
}
