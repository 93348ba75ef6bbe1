package daemon

import (
	"fmt"
	"testing"
	"time"

	"exile/firewall/firewalltest"
	"exile/internal/banning"
	"exile/internal/control"
	"exile/jail"
)

// BenchmarkVerify is what the loop does each minute beside the questions to the kernel: nothing else is done meanwhile.
func BenchmarkVerify(b *testing.B) {
	for _, jails := range []int{1, 5} {
		b.Run(fmt.Sprintf("%d jails", jails), func(b *testing.B) {
			d := New(Config{})
			d.plan = new(Plan)
			for i := range jails {
				d.plan.Jails = append(d.plan.Jails, &Jail{Jail: banning.Jail{Jail: new(jail.Jail)}, Info: control.JailStatus{Name: fmt.Sprint("jail", i)}})
			}
			now := time.Now()
			for i, ban := range firewalltest.Many(100_000, false, now.Add(time.Hour)) {
				d.ledger.bans.put(control.Ban{Jail: fmt.Sprint("jail", i%jails), Prefix: ban.Prefix, Until: ban.Until})
			}
			for b.Loop() {
				if least, most := d.plan.count(d.ledger.bans, now); least != 100_000 || most != 100_000 {
					b.Fatal(least, most)
				}
			}
		})
	}
}
