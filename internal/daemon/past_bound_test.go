package daemon

import (
	"maps"
	"net/netip"
	"testing"
	"time"

	"exile/internal/control"
	"exile/internal/state"
)

// Of the addresses that are not banned any more, a limited number is remembered, in memory and on disk. The oldest are forgotten first; banned
// addresses are not forgotten.
func TestPastIsBounded(t *testing.T) {
	t.Parallel()
	store, err := state.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	now := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	d := New(Config{Store: store})
	d.plan = new(Plan) // an offence counts for ever
	d.ledger.purged = now
	who := func(i int) state.Who {
		return state.Who{Jail: "sshd", Prefix: netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), 32)}
	}
	const banned, many = 10, keepPast
	for i := range banned {
		d.ledger.bans.put(control.Ban{Jail: "sshd", Prefix: who(i).Prefix})
	}
	for i := range banned + many {
		d.ledger.remember(who(i), state.Past{Offences: 1, Last: now.Add(time.Duration(i) * time.Second)})
	}
	commit := func() {
		t.Helper()
		d.ledger.forgetPast(now)
		if err := store.Commit(d.ledger.pending.batch); err != nil {
			t.Fatal(err)
		}
		d.ledger.pending = newPending()
	}
	commit()
	if n := d.ledger.past.all.Len(); n != banned+many {
		t.Errorf("%d are remembered, want all %d: they are not yet too many", n, banned+many)
	}
	const more = 2 * purgeStep
	for i := range more {
		d.ledger.remember(who(banned+many+i), state.Past{Offences: 2, Last: now})
	}
	want := d.ledger.knownPast()
	for i := range more { // the oldest of those who are not banned
		delete(want, who(banned+many+i))
	}
	commit()
	commit() // so many are forgotten at once and no more
	contents, err := store.Load()
	if err != nil {
		t.Fatal(err)
	}
	if have := d.ledger.knownPast(); len(have) != banned+keepPast || !maps.Equal(want, have) {
		t.Errorf("%d are remembered, want %d, the youngest", len(have), banned+keepPast)
	}
	if !maps.EqualFunc(want, contents.Past, func(a, b state.Past) bool { return a.Offences == b.Offences && a.Last.Equal(b.Last) }) {
		t.Errorf("%d are on disk, and not those in memory", len(contents.Past))
	}
}
