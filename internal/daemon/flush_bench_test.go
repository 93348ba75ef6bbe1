package daemon_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"testing"
	"time"

	"exile/firewall"
	"exile/internal/control"
	"exile/internal/daemon"
	"exile/internal/state"
)

// BenchmarkFlush lifts so many bans: in the table, on disk and in announcements, but not in a kernel.
func BenchmarkFlush(b *testing.B) {
	for _, many := range []int{100_000, 1_000_000} {
		b.Run(fmt.Sprint(many), func(b *testing.B) {
			for range b.N {
				b.StopTimer()
				d, stop := flushable(b, many)
				b.StartTimer()
				if n, err := d.Unban(b.Context(), "", netip.Prefix{}); n != many || err != nil {
					b.Fatal(n, err)
				}
				b.StopTimer()
				stop()
			}
		})
	}
}

// flushable is a daemon with so many bans.
func flushable(b *testing.B, many int) (d *daemon.Daemon, stop func()) {
	w := &world{t: &testing.T{}, dir: b.TempDir(), source: &script{}}
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
			return &daemon.Plan{Jails: jails, Backend: firewall.NewDryRun(), Name: "dry-run", Sources: sources}, nil
		},
		Store: store, Announce: func(control.Event) {}, Log: slog.New(slog.DiscardHandler),
		Notify: func(s string) {
			if s == "READY=1" {
				ready <- struct{}{}
			}
		},
	})
	ctx, cancel := context.WithCancel(b.Context())
	done := make(chan error)
	go func() { done <- d.Run(ctx) }()
	<-ready
	return d, func() {
		cancel()
		if err := <-done; err != nil {
			b.Fatal(err)
		}
		_ = store.Close()
	}
}
