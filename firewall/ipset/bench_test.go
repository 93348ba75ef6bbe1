package ipset

import (
	"bytes"
	"fmt"
	"os/exec"
	"slices"
	"testing"
	"time"

	"exile/firewall"
	"exile/firewall/firewalltest"
)

func openBench(b *testing.B) (*Backend, firewalltest.NetNS) {
	b.Helper()
	ns := firewalltest.New(b)
	backend, err := New(Config{NetNS: ns.FD})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { backend.Close() })
	return backend, ns
}

// BenchmarkRestore is a start with nothing in the kernel: list, compare, ban. Beside it, `ipset restore` of the same.
func BenchmarkRestore(b *testing.B) {
	for _, n := range []int{1000, 100_000, 1_000_000} {
		for _, v6 := range []bool{false, true} {
			bans := firewalltest.Many(n, v6, time.Now().Add(time.Hour))
			family := map[bool]string{false: "v4", true: "v6"}[v6]
			b.Run(fmt.Sprintf("exile/%s/%d", family, n), func(b *testing.B) { benchRestore(b, bans) })
			b.Run(fmt.Sprintf("tool/%s/%d", family, n), func(b *testing.B) { benchTool(b, bans) })
		}
	}
}

func benchRestore(b *testing.B, bans []firewall.Ban) {
	backend, _ := openBench(b)
	for b.Loop() {
		have, err := backend.List(b.Context())
		if err == nil {
			err = backend.Apply(b.Context(), firewall.Diff(bans, have))
		}
		if err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		h, err := backend.kernel.header(backend.sets[setOf(bans[0].Key)].name)
		if err != nil || int(h.elements) != len(bans) {
			b.Fatalf("%d elements, %v; want %d", h.elements, err, len(bans))
		}
		b.ReportMetric(float64(h.memory)/float64(h.elements), "kernelB/ban")
		if err := backend.Destroy(b.Context()); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}

func benchTool(b *testing.B, bans []firewall.Ban) {
	ns := firewalltest.New(b)
	family := "inet"
	if !bans[0].Prefix.Addr().Is4() {
		family = "inet6"
	}
	var script bytes.Buffer
	fmt.Fprintf(&script, "create exile4 hash:net family %s timeout 0 maxelem %d\n", family, max(len(bans), defaultMaxElem))
	for _, ban := range bans {
		fmt.Fprintf(&script, "add exile4 %v timeout 3600\n", ban.Prefix)
	}
	for b.Loop() {
		ns.Do(b, func() error {
			cmd := exec.Command("ipset", "restore")
			cmd.Stdin = bytes.NewReader(script.Bytes())
			return cmd.Run()
		})
		b.StopTimer()
		ns.Exec(b, "ipset", "destroy", "exile4")
		b.StartTimer()
	}
}

// BenchmarkOne is one ban with 100000 there already, from the call until it is enforced.
func BenchmarkOne(b *testing.B) {
	backend, _ := openBench(b)
	until := time.Now().Add(time.Hour)
	bans := firewalltest.Many(100_000+1<<18, false, until)
	if err := backend.Apply(b.Context(), firewall.Change{Add: bans[:100_000]}); err != nil {
		b.Fatal(err)
	}
	var took []time.Duration
	next := 100_000
	for b.Loop() {
		start := time.Now()
		err := backend.Apply(b.Context(), firewall.Change{Add: bans[next : next+1]})
		took = append(took, time.Since(start))
		if err != nil {
			b.Fatal(err)
		}
		next = 100_000 + (next+1-100_000)%(1<<14) // some are new, later ones are extended
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
}

// BenchmarkList is the comparison that runs each minute.
func BenchmarkList(b *testing.B) {
	for _, n := range []int{100_000, 1_000_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			backend, _ := openBench(b)
			bans := firewalltest.Many(n, false, time.Now().Add(time.Hour))
			if err := backend.Apply(b.Context(), firewall.Change{Add: bans}); err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				have, err := backend.List(b.Context())
				if c := firewall.Diff(bans, have); err != nil || !c.Empty() {
					b.Fatalf("%d to add, %d to remove, %v", len(c.Add), len(c.Del), err)
				}
			}
		})
	}
}

// BenchmarkRepair is a foreign `nft flush ruleset` with 100000 bans on a kernel that cannot protect our tables.
func BenchmarkRepair(b *testing.B) {
	backend, ns := openBench(b)
	if err := backend.Destroy(b.Context()); err != nil {
		b.Fatal(err)
	}
	backend.rules.flags = 0
	bans := firewalltest.Many(100_000, false, time.Now().Add(time.Hour))
	if err := backend.Apply(b.Context(), firewall.Change{Add: bans}); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		b.StopTimer()
		ns.Exec(b, "nft", "flush", "ruleset")
		b.StartTimer()
		have, err := backend.List(b.Context())
		if err == nil {
			err = backend.Apply(b.Context(), firewall.Diff(bans, have))
		}
		if err != nil || len(have) != 0 {
			b.Fatalf("listed %d, %v", len(have), err)
		}
	}
}
