package firewalltest

import (
	"context"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"exile/firewall"
)

// BenchmarkRepair has another program take away, by a shell command, what 100,000 bans are enforced by, and repairs it as the
// daemon does: when the watcher calls, list, compare, apply. Time runs from the start of the command. Meanwhile a banned
// source sends a datagram each millisecond; those that were answered are the ones that got through.
func BenchmarkRepair(b *testing.B, open func(testing.TB, NetNS) firewall.Backend, command string) {
	l := newLab(b)
	backend := open(b, l.host)
	bans := append(scattered(100_000, false, time.Now().Add(time.Hour)), ban("10.9.0.2/32", until()))
	benchApply(b, backend, firewall.Change{Add: bans})
	touched := watching(b, backend.(firewall.Watcher))
	answered := l.pester(b, "10.9.0.2")
	if n := answered.Load(); n > 0 {
		b.Fatalf("%d datagrams of a banned source were answered before anything happened", n)
	}
	for b.Loop() {
		l.host.Exec(b, "sh", "-c", command)
		<-touched
		benchApply(b, backend, benchCompare(b, backend, bans))
		b.StopTimer()
		if c := benchCompare(b, backend, bans); !c.Empty() {
			b.Fatalf("kernel lacks %d bans and has %d too many", len(c.Add), len(c.Del))
		}
		select { // the command makes more than one change
		case <-touched:
		default:
		}
		b.StartTimer()
	}
	b.ReportMetric(float64(answered.Load())/float64(b.N), "let-through/op")
}

// watching returns a channel that hears of touches from now on.
func watching(b *testing.B, w firewall.Watcher) <-chan struct{} {
	b.Helper()
	touched, ended := make(chan struct{}, 1), make(chan error, 1)
	ctx, cancel := context.WithCancel(b.Context())
	go func() {
		ended <- w.Watch(ctx, func() {
			select {
			case touched <- struct{}{}:
			default:
			}
		})
	}()
	b.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			b.Errorf("Watch: %v", err)
		}
	})
	<-touched // it listens
	return touched
}

// pester sends a datagram each millisecond from the address to the host until the benchmark ends, and counts the answers.
func (l lab) pester(b *testing.B, src string) *atomic.Int64 {
	b.Helper()
	var conn net.Conn
	l.attacker.Do(b, func() (err error) {
		conn, err = net.DialUDP("udp", &net.UDPAddr{IP: net.ParseIP(src)}, &net.UDPAddr{IP: net.ParseIP(host4), Port: single})
		return err
	})
	b.Cleanup(func() { conn.Close() })
	answered := new(atomic.Int64)
	go func() {
		for buf := make([]byte, 1); ; answered.Add(1) {
			if _, err := conn.Read(buf); err != nil {
				return
			}
		}
	}()
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				_, _ = conn.Write([]byte{1}) // whether it arrives is the question
			case <-stop:
				return
			}
		}
	}()
	b.Cleanup(func() { close(stop); <-stopped })
	time.Sleep(100 * time.Millisecond) // what the ban lets through would be answered by then
	return answered
}
