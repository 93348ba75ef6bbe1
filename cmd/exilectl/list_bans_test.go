package main

import (
	"context"
	"log/slog"
	"net/netip"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"exile/dbusapi"
	"exile/dbusapi/dbustest"
	"exile/internal/control"
	"exile/internal/control/controltest"
)

// BenchmarkListBans lists 100,000 bans with the real command in its own process, and reports its time and peak memory.
func BenchmarkListBans(b *testing.B) {
	const many = 100_000
	bans := make([]control.Ban, many)
	for i := range bans {
		a := netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
		bans[i] = control.Ban{Jail: "sshd", Prefix: netip.PrefixFrom(a, 32), Since: hour(9), Until: hour(13), Failures: 6, Offence: 2, Origin: control.OriginJournal}
	}
	bus, fake := dbustest.Start(b), &controltest.Fake{}
	fake.Set(control.Status{}, []control.JailStatus{{Name: "sshd"}}, bans, nil)
	ctx, cancel := context.WithCancel(context.Background())
	up, done := make(chan error, 1), make(chan struct{})
	s := dbusapi.New(dbusapi.Config{Address: bus.Address, Reader: fake, Writer: fake, LogLevel: new(slog.LevelVar), Connected: func(err error) { up <- err }})
	go func() {
		defer close(done)
		_ = s.Serve(ctx) // returns nil
	}()
	b.Cleanup(func() { cancel(); <-done })
	if err := <-up; err != nil {
		b.Fatal(err)
	}
	var cpu time.Duration
	var peak int64
	for b.Loop() {
		cmd := exec.Command(os.Args[0], "list-bans")
		cmd.Args[0] = "exilectl"
		cmd.Path = exilectlLink(b)
		cmd.Env = append(os.Environ(), "DBUS_SYSTEM_BUS_ADDRESS="+bus.Address)
		out, err := cmd.Output()
		if err != nil || len(out) < many*40 {
			b.Fatalf("%d bytes, %v", len(out), err)
		}
		usage := cmd.ProcessState.SysUsage().(*syscall.Rusage)
		cpu += cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
		peak = max(peak, usage.Maxrss)
	}
	b.ReportMetric(float64(cpu.Milliseconds())/float64(b.N), "cpu-ms/op")
	b.ReportMetric(float64(peak)/1024, "peak-MB")
}

// exilectlLink is the test binary under the name that makes it the command.
func exilectlLink(b *testing.B) string {
	b.Helper()
	link := b.TempDir() + "/exilectl"
	self, err := os.Executable()
	if err == nil {
		err = os.Symlink(self, link)
	}
	if err != nil {
		b.Fatal(err)
	}
	return link
}
