package filter_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"exile/jail/filter"
	"exile/journal/textlog"
)

// attackMix is what the log of a host under attack is made of, in lines of a thousand.
var attackMix = []struct {
	permille int
	line     string
}{
	{300, "Failed password for root from 198.51.100.%d port %d ssh2"},
	{150, "Failed password for invalid user admin from 198.51.100.%d port %d ssh2"},
	{100, "Invalid user admin from 198.51.100.%d port %d"},
	{100, "Connection closed by authenticating user root 198.51.100.%d port %d [preauth]"},
	{50, "Disconnected from invalid user admin 198.51.100.%d port %d [preauth]"},
	{100, "pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost=198.51.100.%d  user=root%.0d"},
	{50, "pam_unix(sshd:auth): check pass; user unknown%.0d%.0d"},
	{50, "Received disconnect from 198.51.100.%d port %d:11: Bye Bye [preauth]"},
	{20, "Failed password for root from 2001:db8:%x::17 port %d ssh2"},
	{20, "Connection closed by 198.51.100.%d port %d [preauth]"},
	{20, "Accepted publickey for alice from 198.51.100.%d port %d ssh2: ED25519 SHA256:ZLD2vb7vRcRAbh4hvBjsYlXIqPpCc8S1jK9xL9mnWnA"},
	{20, "pam_unix(sshd:session): session opened for user alice(uid=1000) by (uid=0)%.0d%.0d"},
	{20, "Server listening on :: port 22.%.0d%.0d"},
}

func attackLog(n int) [][]byte {
	var lines [][]byte
	for i := range n {
		at := i * 7919 % 1000 // prime to a thousand: mixed
		for _, m := range attackMix {
			if at -= m.permille; at < 0 {
				lines = append(lines, fmt.Appendf(nil, m.line, i%200+1, 1024+i%60000))
				break
			}
		}
	}
	return lines
}

// BenchmarkSSHD reads one line of the mix.
func BenchmarkSSHD(b *testing.B) {
	f := newSSHD(b, filter.Options{Mode: "aggressive"})
	lines := attackLog(10_000)
	counting := 0
	b.ReportAllocs()
	cpu, i := cpuTime(b), 0
	for b.Loop() {
		if ev := f.Parse(lines[i]); ev.Counts {
			counting++
		}
		if i++; i == len(lines) {
			i = 0
		}
	}
	spent := cpuTime(b) - cpu
	b.ReportMetric(float64(b.N)/spent.Seconds(), "lines/cpu-s")
	if counting == 0 {
		b.Fatal("no line counts")
	}
}

// cpuTime is the processor time of this process. It says more than the wall clock where others are at work.
func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	return usage(b, syscall.RUSAGE_SELF)
}

func usage(b *testing.B, who int) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(who, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkFile has exile and others read the same lines, as a syslog file with times and tags.
func BenchmarkFile(b *testing.B) {
	const n = 20_000
	file := filepath.Join(b.TempDir(), "auth.log")
	var text bytes.Buffer
	for _, l := range attackLog(n) {
		fmt.Fprintf(&text, "Nov 22 10:00:00 host sshd[4242]: %s\n", l)
	}
	if err := os.WriteFile(file, text.Bytes(), 0o600); err != nil {
		b.Fatal(err)
	}
	b.Run("exile", func(b *testing.B) {
		f := newSSHD(b, filter.Options{})
		now := textlog.Reference{Location: time.UTC, Now: time.Date(2026, 11, 22, 11, 0, 0, 0, time.UTC)}
		cpu := usage(b, syscall.RUSAGE_SELF)
		for b.Loop() {
			for line := range bytes.Lines(text.Bytes()) {
				f.Parse(textlog.ParseLine(bytes.TrimSuffix(line, []byte("\n")), now).Message)
			}
		}
		b.ReportMetric(float64(b.N)*n/(usage(b, syscall.RUSAGE_SELF)-cpu).Seconds(), "lines/cpu-s")
	})
	for _, peer := range [][]string{
		{"/usr/libexec/sshguard/sshg-parser"},
		{"fail2ban-regex", file, "sshd"},
	} {
		b.Run(filepath.Base(peer[0]), func(b *testing.B) {
			if _, err := exec.LookPath(peer[0]); err != nil {
				b.Skipf("%s is not installed", peer[0])
			}
			cpu := usage(b, syscall.RUSAGE_CHILDREN)
			for b.Loop() {
				cmd := exec.Command(peer[0], peer[1:]...)
				cmd.Stdin = bytes.NewReader(text.Bytes())
				if out, err := cmd.CombinedOutput(); err != nil {
					b.Fatalf("%v: %v: %.200s", peer, err, out)
				}
			}
			b.ReportMetric(float64(b.N)*n/(usage(b, syscall.RUSAGE_CHILDREN)-cpu).Seconds(), "lines/cpu-s")
		})
	}
}

// TestNoAllocations: no line of the mix allocates.
func TestNoAllocations(t *testing.T) {
	f := newSSHD(t, filter.Options{Mode: "aggressive"})
	for _, line := range attackLog(1000) {
		if n := testing.AllocsPerRun(10, func() { f.Parse(line) }); n != 0 {
			t.Errorf("%s: %v allocations, want none", line, n)
		}
	}
	for _, c := range readCorpus(t, "testdata/sshd/*.txt") {
		line := []byte(c.message)
		if n := testing.AllocsPerRun(10, func() { f.Parse(line) }); n != 0 {
			t.Errorf("%s: %s: %v allocations, want none", c.where, line, n)
		}
	}
}
