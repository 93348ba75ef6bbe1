// Package blocklist keeps block lists in the kernel, each in sets of its own, in an nftables table of its own. What bans does not
// matter to it, and it does not matter to what bans.
//
// Unlike a ban, a list stops only packets that open a connection: whoever is connected stays connected, and this host can open
// connections to listed addresses. UDP and other protocols without connections are dropped from there altogether.
package blocklist

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync/atomic"

	nft "github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"exile/firewall"
	"exile/firewall/nftwatch"
)

// Config says where the table is. The zero value stands for the caller's network namespace and the table inet exile-lists.
type Config struct {
	NetNS int    // open file of a network namespace; 0: the caller's own
	Table string // empty: exile-lists
}

// Table is the lists in the kernel. Use it from one goroutine at a time, except Watch.
type Table struct {
	config  Config
	conn    *nft.Conn
	held    map[string]held // by the list's name: what the last Replace put there
	before  map[string]uint64
	touched atomic.Bool // by another program, since the last Replace
}

// held is a list that the kernel has, by the names of its sets.
type held struct {
	four, six string // empty: no address of the family
	ranges    []firewall.Range
}

// New opens the table. It changes nothing in the kernel.
func New(c Config) (*Table, error) {
	if c.Table == "" {
		c.Table = "exile-lists"
	}
	conn, err := nft.New(nft.AsLasting(), nft.WithNetNSFd(c.NetNS))
	if err != nil {
		return nil, fmt.Errorf("open nftables: %w", err)
	}
	return &Table{config: c, conn: conn, held: map[string]held{}, before: map[string]uint64{}}, nil
}

// Close frees the socket and leaves the lists in place.
func (t *Table) Close() error { return t.conn.CloseLasting() }

func (t *Table) table() *nft.Table {
	return &nft.Table{Family: nft.TableFamilyINet, Name: t.config.Table}
}

// chain comes after the one of the bans.
func (t *Table) chain() *nft.Chain {
	return &nft.Chain{
		Table: t.table(), Name: "prerouting", Type: nft.ChainTypeFilter,
		Hooknum: nft.ChainHookPrerouting, Priority: new(nft.ChainPriority(-309)),
	}
}

// Replace has the kernel hold these lists and no other. Sets of changed lists are filled first, and then one transaction changes the rules,
// so each packet sees the old lists or the new ones. After an error the old ones are in force. No list at all removes the table.
func (t *Table) Replace(ctx context.Context, lists []firewall.Blocklist) error {
	if err := t.refuseForeign(); err != nil {
		return err
	}
	t.remember(ctx)
	if t.touched.Swap(false) {
		clear(t.held)
	}
	err := t.replace(ctx, lists)
	if err != nil {
		t.touched.Store(true) // nobody knows what the kernel holds now
		return fmt.Errorf("change nftables table inet %s: %w", t.config.Table, err)
	}
	return nil
}

func (t *Table) replace(ctx context.Context, lists []firewall.Blocklist) error {
	if len(lists) == 0 {
		return t.remove()
	}
	there, err := t.sets()
	if err != nil {
		return err
	}
	next := make(map[string]held, len(lists))
	for _, l := range lists {
		if h, ok := t.held[l.Name]; ok && slices.Equal(h.ranges, l.Ranges) {
			next[l.Name] = h
			continue
		}
		if next[l.Name], err = t.fill(ctx, l, there); err != nil {
			return err
		}
	}
	if err := t.enforce(lists, next, there); err != nil {
		return err
	}
	t.held = next
	return nil
}

// fill makes sets with names that the kernel does not have yet, which no rule refers to.
func (t *Table) fill(ctx context.Context, l firewall.Blocklist, there map[string]bool) (h held, err error) {
	h.ranges = l.Ranges
	six := slices.IndexFunc(l.Ranges, func(r firewall.Range) bool { return r.From.Is6() })
	if six < 0 {
		six = len(l.Ranges)
	}
	if h.four, err = t.fillSet(ctx, l.Name+"-4", nft.TypeIPAddr, l.Ranges[:six], there); err == nil {
		h.six, err = t.fillSet(ctx, l.Name+"-6", nft.TypeIP6Addr, l.Ranges[six:], there)
	}
	return h, err
}

// perTransaction is how many ranges one transaction adds: 2 MB of messages, and other programs need not wait long.
const perTransaction = 20_000

// perMessage is how many ranges one message has; each is two elements, and an attribute has 64 KiB.
const perMessage = 500

func (t *Table) fillSet(ctx context.Context, name string, key nft.SetDatatype, ranges []firewall.Range, there map[string]bool) (string, error) {
	if len(ranges) == 0 {
		return "", nil
	}
	set := &nft.Set{Table: t.table(), Name: fresh(name, there), KeyType: key, Interval: true}
	there[set.Name] = true
	t.conn.AddTable(t.table())
	_ = t.conn.AddSet(set, nil) // the library keeps the first error for the flush
	for part := range slices.Chunk(ranges, perTransaction) {
		if err := ctx.Err(); err != nil {
			return "", err
		}
		for few := range slices.Chunk(part, perMessage) {
			_ = t.conn.SetAddElements(set, elements(few))
		}
		if err := t.conn.Flush(); err != nil {
			return "", fmt.Errorf("fill set %s: %w", set.Name, err)
		}
	}
	return set.Name, nil
}

// fresh returns the name with the least number that is free.
func fresh(name string, there map[string]bool) string {
	for n := 1; ; n++ {
		if s := fmt.Sprintf("%s-%d", name, n); !there[s] {
			return s
		}
	}
}

// elements are the ranges as the kernel has them: the first address, and the one after the last. The end of all addresses needs none.
func elements(ranges []firewall.Range) []nft.SetElement {
	all := make([]nft.SetElement, 0, 2*len(ranges))
	for _, r := range ranges {
		all = append(all, nft.SetElement{Key: r.From.AsSlice()})
		if after := r.To.Next(); after.IsValid() {
			all = append(all, nft.SetElement{Key: after.AsSlice(), IntervalEnd: true})
		}
	}
	return all
}

// enforce makes the rules refer to what is held now, and removes the other sets.
func (t *Table) enforce(lists []firewall.Blocklist, now map[string]held, there map[string]bool) error {
	chain := t.chain()
	t.conn.AddTable(chain.Table)
	t.conn.AddChain(chain)
	t.conn.FlushChain(chain)
	t.conn.AddRule(&nft.Rule{Table: chain.Table, Chain: chain, Exprs: connected()})
	used := map[string]bool{}
	for _, l := range lists {
		h := now[l.Name]
		for _, set := range []string{h.four, h.six} {
			if set != "" {
				used[set] = true
				t.conn.AddRule(&nft.Rule{Table: chain.Table, Chain: chain, Exprs: drop(set, set == h.six)})
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(there)) {
		if !used[name] {
			t.conn.DelSet(&nft.Set{Table: chain.Table, Name: name})
		}
	}
	return t.conn.Flush()
}

// connected accepts TCP packets that do not open a connection. Other tables may still drop them.
func connected() []expr.Any {
	const flagsAt, syn, ack = 13, 2, 16
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{unix.IPPROTO_TCP}},
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: flagsAt, Len: 1},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 1, Mask: []byte{syn | ack}, Xor: []byte{0}},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: []byte{syn}},
		&expr.Verdict{Kind: expr.VerdictAccept},
	}
}

// drop drops and counts what comes from an address in the set.
func drop(set string, six bool) []expr.Any {
	protocol, offset, size := byte(unix.NFPROTO_IPV4), uint32(12), uint32(4)
	if six {
		protocol, offset, size = unix.NFPROTO_IPV6, 8, 16
	}
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyNFPROTO, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{protocol}},
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: size},
		&expr.Lookup{SourceRegister: 1, SetName: set},
		&expr.Counter{},
		&expr.Verdict{Kind: expr.VerdictDrop},
	}
}

// remove removes the table, if it is there.
func (t *Table) remove() error {
	clear(t.held)
	if _, err := t.conn.ListTableOfFamily(t.config.Table, nft.TableFamilyINet); errors.Is(err, unix.ENOENT) {
		return nil
	}
	t.conn.AddTable(t.table()) // so that it is no error if it goes meanwhile
	t.conn.DelTable(t.table())
	return t.conn.Flush()
}

// Remove removes what an earlier run left in the kernel.
func Remove(ctx context.Context, c Config) error {
	t, err := New(c)
	if err != nil {
		return err
	}
	return errors.Join(t.Replace(ctx, nil), t.Close())
}

// sets are the names of the sets that the table has.
func (t *Table) sets() (map[string]bool, error) {
	names := map[string]bool{}
	all, err := t.conn.GetSets(t.table())
	if err != nil && !errors.Is(err, unix.ENOENT) {
		return nil, fmt.Errorf("list sets: %w", err)
	}
	for _, s := range all {
		names[s.Name] = true
	}
	return names, nil
}

// refuseForeign returns an error if another program has a table of our name.
func (t *Table) refuseForeign() error {
	chains, err := t.conn.ListChainsOfTableFamily(nft.TableFamilyINet)
	if err != nil {
		return fmt.Errorf("list chains of nftables (a kernel without module nf_tables has none): %w", err)
	}
	ours := t.chain()
	for _, c := range chains {
		if c.Table.Name == t.config.Table && (c.Name != ours.Name || c.Priority == nil || *c.Priority != *ours.Priority) {
			return fmt.Errorf("nftables table inet %[1]s is another program's: remove it (nft delete table inet %[1]s): %[2]w",
				t.config.Table, unix.EEXIST)
		}
	}
	return nil
}

// Holds reports whether the rules of the last Replace are there, and nobody else has touched the table since.
func (t *Table) Holds() (bool, error) {
	if t.touched.Load() {
		return false, nil
	}
	if len(t.held) == 0 {
		return true, nil
	}
	counted, err := t.counted()
	if err != nil {
		return false, err
	}
	for _, h := range t.held {
		for _, set := range []string{h.four, h.six} {
			if _, there := counted[set]; set != "" && !there {
				return false, nil
			}
		}
	}
	return true, nil
}

// counted is how many packets each rule has dropped, by its set.
func (t *Table) counted() (map[string]uint64, error) {
	rules, err := t.conn.GetRules(t.table(), t.chain())
	if err != nil && !errors.Is(err, unix.ENOENT) {
		return nil, fmt.Errorf("read counters of nftables table inet %s: %w", t.config.Table, err)
	}
	packets := make(map[string]uint64)
	for _, r := range rules {
		if len(r.Exprs) < 3 {
			continue
		}
		lookup, looks := r.Exprs[len(r.Exprs)-3].(*expr.Lookup)
		counter, counts := r.Exprs[len(r.Exprs)-2].(*expr.Counter)
		if looks && counts {
			packets[lookup.SetName] = counter.Packets
		}
	}
	return packets, nil
}

// Dropped returns how many packets each list has stopped since New, by its name.
func (t *Table) Dropped() (map[string]uint64, error) {
	counted, err := t.counted()
	if err != nil {
		return nil, err
	}
	sum := maps.Clone(t.before)
	for name, h := range t.held {
		sum[name] += counted[h.four] + counted[h.six]
	}
	return sum, nil
}

// remember keeps the counters of rules that are about to be made anew. What cannot be read is lost.
func (t *Table) remember(context.Context) {
	if sum, err := t.Dropped(); err == nil {
		t.before = sum
	}
}

// Watch calls touched once it listens, and then each time another program may have changed the table, until ctx ends (nil) or it cannot
// get the kernel's messages (error).
func (t *Table) Watch(ctx context.Context, touched func()) error {
	own, err := t.conn.GetPortID()
	if err != nil {
		return fmt.Errorf("find own port id: %w", err)
	}
	listening := false
	return nftwatch.Watch(ctx, t.config.NetNS, t.config.Table, own, func() {
		if listening {
			t.touched.Store(true)
		}
		listening = true
		touched()
	})
}
