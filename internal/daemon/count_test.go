package daemon

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"exile/firewall"
	"exile/internal/banning"
	"exile/internal/control"
	"exile/jail"
)

// The fast count equals the number of bans that the kernel gets.
func TestCount(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
	ssh, web := firewall.Port{Proto: 6, Number: 22}, firewall.Port{Proto: 6, Number: 80}
	named := func(name string, j Jail) *Jail {
		j.Jail, j.Info.Name = banning.Jail{Jail: new(jail.Jail)}, name
		return &j
	}
	for name, jails := range map[string][]*Jail{
		"one":                  {named("a", Jail{})},
		"one with groups":      {named("a", Jail{GroupPorts: []firewall.Port{ssh, web}})},
		"one with ports":       {named("a", Jail{Ports: []firewall.Port{ssh, web}})},
		"a route":              {named("a", Jail{GroupPorts: []firewall.Port{ssh}, Whole: true})},
		"two":                  {named("a", Jail{Ports: []firewall.Port{ssh}}), named("b", Jail{Ports: []firewall.Port{web}})},
		"two that overlap":     {named("a", Jail{}), named("b", Jail{GroupPorts: []firewall.Port{ssh}})},
		"two, one by groups":   {named("a", Jail{GroupPorts: []firewall.Port{ssh}}), named("b", Jail{Ports: []firewall.Port{ssh}})},
		"two, one of them not": {named("a", Jail{Simulate: true}), named("b", Jail{})},
	} {
		p, bans, random := &Plan{Jails: jails}, newTable(), rand.New(rand.NewPCG(1, 2))
		for i := range 2000 {
			origin, until := control.OriginJournal, now.Add(time.Duration(random.IntN(8000))*time.Millisecond)
			if random.IntN(3) == 0 {
				origin = control.OriginGroup
			}
			if random.IntN(10) == 0 {
				until = time.Time{}
			}
			bans.put(control.Ban{
				Jail: string("abc"[random.IntN(3)]), Prefix: netip.MustParsePrefix(fmt.Sprintf("10.0.0.%d/32", random.IntN(256))),
				Until: until, Origin: origin,
			})
			if i%100 != 0 {
				continue
			}
			bans.bound(random.IntN(300))
			bans.remove("a", netip.MustParsePrefix(fmt.Sprintf("10.0.0.%d/32", random.IntN(256))))
			least, most := p.count(bans, now)
			if wantLeast, wantMost := p.countEach(bans, now.Add(3*time.Second)); least != wantLeast || most != wantMost {
				t.Fatalf("%s, after %d bans: %d to %d, want %d to %d", name, i, least, most, wantLeast, wantMost)
			}
		}
	}
}
