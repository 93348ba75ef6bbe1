package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"strings"
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
	s := dbusapi.New(dbusapi.Config{Address: bus.Address, Daemon: fake, LogLevel: new(slog.LevelVar), Connected: func(err error) { up <- err }})
	go func() {
		defer close(done)
		_ = s.Serve(ctx) // returns nil
	}()
	b.Cleanup(func() { cancel(); <-done })
	if err := <-up; err != nil {
		b.Fatal(err)
	}
	var cpu time.Duration
	var most float64
	for b.Loop() {
		cmd := exec.Command(exilectlLink(b), "list-bans")
		cmd.Env = append(os.Environ(), "DBUS_SYSTEM_BUS_ADDRESS="+bus.Address)
		mega, err := measure(cmd, many)
		if err != nil {
			b.Fatal(err)
		}
		cpu += cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
		most = max(most, mega)
	}
	b.ReportMetric(float64(cpu.Milliseconds())/float64(b.N), "cpu-ms/op")
	b.ReportMetric(most, "peak-MB")
}

// measure runs list-bans, which should list n bans, and returns its peak resident memory in MB.
func measure(cmd *exec.Cmd, n int) (float64, error) {
	var said strings.Builder
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err == nil && len(out) < n*40 {
		err = fmt.Errorf("%d bytes are not %d bans", len(out), n)
	}
	if err != nil {
		return 0, fmt.Errorf("list-bans: %w: %s", err, &said)
	}
	return strconv.ParseFloat(strings.TrimSpace(said.String()), 64)
}

// peakName is the name under which the test binary acts as exilectl and reports its peak resident memory at the end, in MB.
// The kernel's accounts of an ended child are no use: they begin with the memory of its parent.
const peakName = "exilectl-peak"

func peak() {
	status := run()
	mega, err := peakMemory("/proc/self/status")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Fprintf(os.Stderr, "%.1f\n", mega)
	os.Exit(status)
}

// peakMemory reads the peak resident memory of a process, in MB.
func peakMemory(file string) (float64, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(text), "VmHWM:")
	number, _, _ := strings.Cut(strings.TrimSpace(rest), " ")
	kilo, err := strconv.ParseFloat(number, 64)
	return kilo / 1024, err
}

// exilectlLink is a link to the test binary under the name that makes it the command.
func exilectlLink(b *testing.B) string {
	b.Helper()
	link := b.TempDir() + "/" + peakName
	self, err := os.Executable()
	if err == nil {
		err = os.Symlink(self, link)
	}
	if err != nil {
		b.Fatal(err)
	}
	return link
}
