package daemon_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"testing"
	"time"

	"exile/firewall"
	"exile/internal/control"
	"exile/internal/daemon"
	"exile/internal/state"
	"exile/journal"
)

// BenchmarkFlush lifts many bans: in the table, on disk and in announcements, but not in a kernel. Meanwhile other addresses attack, and the
// benchmark reports how long it took to ban them.
func BenchmarkFlush(b *testing.B) {
	for _, many := range []int{100_000, 1_000_000} {
		b.Run(fmt.Sprint(many), func(b *testing.B) {
			var took []time.Duration
			for range b.N {
				b.StopTimer()
				d, w, stop := flushable(b, many)
				attacked := w.underAttack(b)
				b.StartTimer()
				if n, err := d.Unban(b.Context(), "", netip.Prefix{}); n < many || err != nil {
					b.Fatal(n, err)
				}
				b.StopTimer()
				took = append(took, attacked()...)
				stop()
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "ban-p50-ms")
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "ban-p99-ms")
			b.ReportMetric(float64(took[len(took)-1].Microseconds())/1000, "slowest-ban-ms")
		})
	}
}

// witness is a dry run that says when it got a ban.
type witness struct {
	*firewall.DryRun
	banned chan netip.Prefix
}

func (w witness) Apply(ctx context.Context, c firewall.Change) error {
	err := w.DryRun.Apply(ctx, c)
	for _, b := range c.Add {
		w.banned <- b.Prefix
	}
	return err
}

// underAttack makes one address after another guess until the returned function is called, which returns how long it took to ban each.
func (w *world) underAttack(b *testing.B) func() []time.Duration {
	banned := w.backend.(witness).banned
	stop, stopped := make(chan struct{}), make(chan []time.Duration)
	go func() {
		var took []time.Duration
		pardoned := 0
		for i := 0; ; i++ {
			select {
			case <-stop:
				stopped <- took
				return
			case <-time.After(5 * time.Millisecond):
			}
			at := time.Now()
			w.source.live <- w.guesses(netip.AddrFrom4([4]byte{198, 18, byte(i >> 8), byte(i)}).String(), 3)
			select {
			case <-banned:
				took = append(took, time.Since(at))
			case <-time.After(10 * time.Second): // the flush has pardoned it
				if pardoned++; pardoned > 1 {
					b.Error("an attack was not seen")
				}
			}
		}
	}()
	return func() []time.Duration {
		close(stop)
		return <-stopped
	}
}

// flushable is a daemon with so many bans.
func flushable(b *testing.B, many int) (d *daemon.Daemon, w *world, stop func()) {
	w = &world{
		t: &testing.T{}, dir: b.TempDir(), source: &script{live: make(chan []journal.Entry)},
		backend: witness{firewall.NewDryRun(), make(chan netip.Prefix, many)},
	}
	w.keepMany(many, 24*time.Hour)
	store, err := state.Open(w.dir)
	if err != nil {
		b.Fatal(err)
	}
	jails := []*daemon.Jail{w.jail("sshd", nil)}
	ready := make(chan struct{}, 1)
	d = daemon.New(daemon.Config{
		Plan: func(context.Context, string) (*daemon.Plan, error) {
			sources := []daemon.Source{{Name: "journal", Source: w.source, Jails: jails}}
			return &daemon.Plan{Jails: jails, Backend: w.backend, Name: "dry-run", Sources: sources}, nil
		},
		Store: store, Announce: func(control.Event) {}, Log: slog.New(slog.DiscardHandler),
		Notify:   func(string) {},
		Informed: func() { ready <- struct{}{} },
	})
	ctx, cancel := context.WithCancel(b.Context())
	done := make(chan error)
	go func() { done <- d.Run(ctx) }()
	<-ready
	if err := d.Pause(ctx, 0); err != nil { // so that the first transaction, which tidies the file, is over
		b.Fatal(err)
	}
	for len(w.backend.(witness).banned) > 0 {
		<-w.backend.(witness).banned
	}
	return d, w, func() {
		cancel()
		if err := <-done; err != nil {
			b.Fatal(err)
		}
		_ = store.Close()
	}
}
