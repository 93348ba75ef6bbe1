package ipset

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/google/nftables/xt"
	"golang.org/x/sys/unix"

	"exile/firewall"
	"exile/firewall/internal/spare"
)

// priority of our chains: before raw (-300) and connection tracking (-200), so that banned packets cost nothing more, and so
// that established and forwarded connections are dropped too.
const priority = nftables.ChainPriority(-310)

// protected keeps other programs from changing the table (owner), and the kernel from removing it when we end (persist).
// Linux 6.9.
const protected = nftables.TableFlagOwner | nftables.TableFlagPersist

const chainName = "prerouting"

// rules are our two tables, one per family because family inet has no set match of xtables.
type rules struct {
	conn  *nftables.Conn // lasting: the socket is the owner
	name  string
	flags nftables.TableFlags
	// extension is the match of xtables that looks into a set. Tests name one that no kernel has.
	extension string
	spared    []firewall.Spared
}

// match is one rule: drop what the set contains.
type match struct {
	index uint16 // of the set
	port  bool   // the set has (source, destination port), not only the source
}

// info is the kernel's struct xt_set_info_match_v1.
func (m match) info() []byte {
	dim, flags := uint8(1), uint8(1<<1) // dimension one is the source, dimension two the destination
	if m.port {
		dim = 2
	}
	b := binary.NativeEndian.AppendUint16(nil, m.index)
	return append(b, dim, flags, 0, 0, 0, 0) // padded to 8
}

func (m match) exprs(extension string) []expr.Any {
	info := xt.Unknown(m.info())
	return []expr.Any{
		&expr.Match{Name: extension, Rev: 1, Info: &info},
		&expr.Counter{},
		&expr.Verdict{Kind: expr.VerdictDrop},
	}
}

// same reports whether the kernel's rule is this one, whatever its counter says.
func (m match) same(r *nftables.Rule) bool {
	info := setInfo(r)
	return len(info) >= 4 && bytes.Equal(info[:4], m.info()[:4])
}

// setInfo returns what a rule of our form matches, or nil for any other rule.
func setInfo(r *nftables.Rule) xt.Unknown {
	if len(r.Exprs) != 3 {
		return nil
	}
	set, ok := r.Exprs[0].(*expr.Match)
	_, counts := r.Exprs[1].(*expr.Counter)
	verdict, drops := r.Exprs[2].(*expr.Verdict)
	if !ok || set.Name != "set" || !counts || !drops || verdict.Kind != expr.VerdictDrop {
		return nil
	}
	info, ok := set.Info.(*xt.Unknown)
	if !ok {
		return nil
	}
	return *info
}

func (r *rules) table(family nftables.TableFamily) *nftables.Table {
	return &nftables.Table{Family: family, Name: r.name, Flags: r.flags}
}

// intact reports whether the kernel has exactly our rules in the table of the family.
func (r *rules) intact(family nftables.TableFamily, want []match) (bool, error) {
	table, err := r.conn.ListTableOfFamily(r.name, family)
	if err != nil || table.Flags&nftables.TableFlagDormant != 0 {
		return false, ignoreMissing(err)
	}
	chain, err := r.conn.ListChain(table, chainName)
	if err != nil || chain.Hooknum == nil || *chain.Hooknum != *nftables.ChainHookPrerouting {
		return false, ignoreMissing(err)
	}
	have, err := r.conn.GetRules(table, chain)
	if err != nil {
		return false, ignoreMissing(err)
	}
	have, ok := spare.Intact(family, r.spared, have)
	if !ok || len(have) != len(want) {
		return false, nil
	}
	for i, m := range want {
		if !m.same(have[i]) {
			return false, nil
		}
	}
	return true, nil
}

// refuseForeign returns an error if another program has a table of our name: one with chains or rules that are not ours.
func (r *rules) refuseForeign() error {
	for family, word := range map[nftables.TableFamily]string{nftables.TableFamilyIPv4: "ip", nftables.TableFamilyIPv6: "ip6"} {
		foreign, err := r.foreign(family)
		if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.EOPNOTSUPP) {
			return fmt.Errorf("%w: %w", errNoTables, err)
		}
		if err != nil {
			return fmt.Errorf("look at nftables table %s %s: %w", word, r.name, err)
		}
		if foreign {
			return fmt.Errorf("nftables table %[1]s %[2]s is another program's: remove it (nft delete table %[1]s %[2]s): %[3]w",
				word, r.name, unix.EEXIST)
		}
	}
	return nil
}

func (r *rules) foreign(family nftables.TableFamily) (bool, error) {
	chains, err := r.conn.ListChainsOfTableFamily(family)
	if err != nil {
		return false, err
	}
	for _, c := range chains {
		if c.Table.Name != r.name {
			continue
		}
		if c.Name != chainName || c.Priority == nil || *c.Priority != priority {
			return true, nil
		}
		rules, err := r.conn.GetRules(r.table(family), c)
		if err != nil {
			return false, ignoreMissing(err)
		}
		if len(rules) > 0 && !slices.ContainsFunc(rules, func(r *nftables.Rule) bool { return setInfo(r) != nil }) {
			return true, nil
		}
	}
	return false, nil
}

func ignoreMissing(err error) error {
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	return err
}

// build replaces the tables with new ones in one transaction, protected if the kernel can do that.
func (r *rules) build(want map[nftables.TableFamily][]match) error {
	err := firewall.Await(unix.EPERM, func() error { return r.tryBuild(want) })
	if r.flags != 0 && (errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EINVAL)) { // EINVAL: before Linux 5.12
		r.flags = 0
		err = r.tryBuild(want)
	}
	if errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("the kernel has no set match: load modules nft_compat and xt_set: %w", err)
	}
	return err
}

func (r *rules) tryBuild(want map[nftables.TableFamily][]match) error {
	accept := nftables.ChainPolicyAccept
	for family, matches := range want {
		r.drop(family)
		table := r.conn.AddTable(r.table(family))
		chain := r.conn.AddChain(&nftables.Chain{
			Name: chainName, Table: table, Type: nftables.ChainTypeFilter, Policy: &accept,
			Hooknum: nftables.ChainHookPrerouting, Priority: new(priority),
		})
		spare.Queue(r.conn, chain, r.spared)
		for _, m := range matches {
			r.conn.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: m.exprs(r.extension)})
		}
	}
	return r.conn.Flush()
}

// drop deletes the table. It adds it first, so that a missing one is not an error.
func (r *rules) drop(family nftables.TableFamily) {
	r.conn.AddTable(r.table(family))
	r.conn.DelTable(r.table(family))
}

// destroy removes both tables.
func (r *rules) destroy() error {
	r.drop(nftables.TableFamilyIPv4)
	r.drop(nftables.TableFamilyIPv6)
	return r.conn.Flush()
}
