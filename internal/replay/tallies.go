package replay

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"iter"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"exile/internal/control"
	"exile/jail"
)

// tallies count who tried what.
type tallies struct {
	sources sources
	names   map[string]uint32 // attempts
	logins  map[[16]byte][]string
	full    bool // there were more sources, names or addresses with logins than are counted
	lost    bool // of these, addresses with logins
}

// sources count attempts by address. IPv4 is on its own because there may be a million, with a third of the memory.
type sources struct {
	four map[uint32]uint32
	six  map[[16]byte]uint32
}

// add adds to the count of an address, and reports whether there was room for it.
func (s *sources) add(a netip.Addr, n uint32) bool {
	if a.Is4() {
		four := a.As4()
		return add(s.four, binary.BigEndian.Uint32(four[:]), n, maxSources)
	}
	return add(s.six, a.As16(), n, maxSources)
}

func (s *sources) len() int { return len(s.four) + len(s.six) }

// all yields the addresses with attempts, in no order.
func (s *sources) all(yield func([16]byte, uint32) bool) {
	for k, n := range s.four {
		var four [4]byte
		binary.BigEndian.PutUint32(four[:], k)
		if !yield(netip.AddrFrom4(four).As16(), n) {
			return
		}
	}
	for k, n := range s.six {
		if !yield(k, n) {
			return
		}
	}
}

// Bounds of the tallies. Names are what attackers choose, so there may be as many as attempts.
const (
	maxSources = 1 << 22
	maxNames   = 1 << 17
	maxLogins  = 1 << 16
	maxUsers   = 8 // of an address that logged in
)

func newTallies() *tallies {
	return &tallies{sources: sources{make(map[uint32]uint32), make(map[[16]byte]uint32)}, names: make(map[string]uint32), logins: make(map[[16]byte][]string)}
}

func (t *tallies) attempt(a *jail.Attempt) {
	n := uint32(min(a.Guesses, jail.MaxGuesses))
	t.full = !t.sources.add(a.Addr, n) || t.full
	if a.User != "" {
		t.full = !add(t.names, a.User, n, maxNames) || t.full
	}
}

// add adds to a count, and reports whether there was room for it.
func add[K comparable](m map[K]uint32, k K, n uint32, limit int) bool {
	old, known := m[k]
	if !known && len(m) >= limit {
		return false
	}
	m[k] = old + min(n, ^uint32(0)-old)
	return true
}

func (t *tallies) login(a *jail.Attempt) {
	k := a.Addr.As16()
	users, known := t.logins[k]
	switch {
	case !known && len(t.logins) >= maxLogins:
		t.full, t.lost = true, true
	case len(users) < maxUsers && !slices.Contains(users, a.User):
		t.logins[k] = append(users, a.User)
	}
}

// Tally is how many attempts were made from somewhere, or for a name.
type Tally struct {
	Name     string `json:"name"`
	Attempts uint64 `json:"attempts"`
}

// Top is who attacked most.
type Top struct {
	Sources  []Tally `json:"sources"`
	Networks []Tally `json:"networks"`
	Names    []Tally `json:"names"`
	More     bool    `json:"more"` // there were too many to count each
}

// Top returns the first n of each kind.
func (r *Replay) Top(n int) Top {
	networks := make(map[[16]byte]uint32)
	for k, attempts := range r.seen.sources.all {
		add(networks, networkOf(k), attempts, maxSources)
	}
	byAddr := func(a, b [16]byte) int { return bytes.Compare(a[:], b[:]) }
	return Top{
		Sources:  top(r.seen.sources.all, n, byAddr, func(k [16]byte) string { return netip.AddrFrom16(k).Unmap().String() }),
		Networks: top(maps.All(networks), n, byAddr, func(k [16]byte) string { return prefixOf(k).String() }),
		Names:    top(maps.All(r.seen.names), n, strings.Compare, func(name string) string { return name }),
		More:     r.seen.full || r.hours.full,
	}
}

// prefixOf returns the network around an address: what is likely to belong to one customer of a provider, or to its neighbours.
func prefixOf(k [16]byte) netip.Prefix {
	a := netip.AddrFrom16(k).Unmap()
	bits := 48
	if a.Is4() {
		bits = 24
	}
	p, _ := a.Prefix(bits)
	return p
}

func networkOf(k [16]byte) [16]byte { return prefixOf(k).Addr().As16() }

// top returns the n with the most attempts; of equal ones the first by compare.
func top[K comparable](counts iter.Seq2[K, uint32], n int, compare func(a, b K) int, name func(K) string) []Tally {
	type one struct {
		key      K
		attempts uint32
	}
	order := func(a, b one) int { return cmp.Or(cmp.Compare(b.attempts, a.attempts), compare(a.key, b.key)) }
	var best []one
	for k, attempts := range counts {
		now := one{k, attempts}
		if len(best) == n && order(now, best[n-1]) >= 0 {
			continue
		}
		at, _ := slices.BinarySearchFunc(best, now, order)
		best = slices.Insert(best, at, now)
		best = best[:min(n, len(best))]
	}
	list := make([]Tally, len(best))
	for i, b := range best {
		list[i] = Tally{name(b.key), uint64(b.attempts)}
	}
	return list
}

// Bans yields all bans since the time that is asked for, in the order of their decisions.
func (r *Replay) Bans(yield func(Ban) bool) {
	for _, piece := range r.bench.made {
		for i := range piece {
			if b := &piece[i]; !b.silent && !yield(r.shown(b)) {
				return
			}
		}
	}
}

// shown is a ban as others see it.
func (r *Replay) shown(b *record) Ban {
	out := Ban{
		Jail: r.rules.Jails[b.jail].Name, Prefix: control.FormatPrefix(b.prefix()), At: timeOf(b.at), Attempts: int(b.attempts),
		Offence: int(b.offence), Reason: r.bench.reasons[b.reason],
	}
	if b.until != never {
		out.Until = new(timeOf(b.until))
	}
	return out
}

// False returns the first ban of each address with a login, in the order of the decisions.
func (r *Replay) False() []False {
	var list []False
	owners, named := r.owners(), make(map[netip.Addr]bool)
	for _, piece := range r.bench.made {
		for i := range piece {
			b := &piece[i]
			k := b.key
			k.jail = 0
			if b.silent || len(owners[k]) == 0 {
				continue
			}
			for _, a := range owners[k] {
				if !named[a] {
					named[a] = true
					list = append(list, False{r.shown(b), a, r.seen.logins[a.As16()]})
				}
			}
			delete(owners, k)
		}
	}
	return list
}

// owners returns the addresses with logins, by each prefix around them of a length that was banned.
func (r *Replay) owners() map[key][]netip.Addr {
	owners := make(map[key][]netip.Addr)
	for raw := range r.seen.logins {
		a := netip.AddrFrom16(raw).Unmap()
		k := keyOf(0, netip.PrefixFrom(a, a.BitLen()))
		for bits := range r.bench.lengths {
			if !a.Is4() || bits > 96 {
				owners[k.around(bits)] = append(owners[k.around(bits)], a)
			}
		}
	}
	for _, addrs := range owners {
		slices.SortFunc(addrs, netip.Addr.Compare)
	}
	return owners
}

func timeOf(micro int64) time.Time { return time.UnixMicro(micro).UTC() }
