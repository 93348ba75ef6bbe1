package follow_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"exile/journal"
	"exile/journal/follow"
	"exile/journal/internal/makejournal"
	"exile/journal/journalfile"
)

// The benchmarks read the same journal in three ways, with the same match: with this package, with a C program over
// libsystemd, and with journalctl. EXILE_BENCH_ENTRIES says how many entries it has (the published figures are of 1,000,000
// and 10,000,000) and EXILE_BENCH_DIR where to keep the files from one run to the next.
const benchFiles = 13

// benchMatch is a match for us and, where there are no patterns, for libsystemd and journalctl.
type benchMatch struct {
	name string
	sel  journal.Selector
	args []string
}

// matches are what the sshd jail selects, with what we add to hear of what journald suppressed, and a single field.
var matches = []benchMatch{
	{"jail", journal.Selector{
		{{Field: "_UID", Values: []string{"0"}}, {Field: "SYSLOG_IDENTIFIER", Values: []string{"sshd", "sshd-session", "sshd-auth"}}},
		{
			{Field: "_UID", Values: []string{"0"}},
			{Field: "_SYSTEMD_UNIT", Values: []string{"ssh.service", "sshd.service", "ssh@*.service", "sshd@*.service"}},
		},
	}, strings.Fields(`_UID=0 SYSLOG_IDENTIFIER=sshd SYSLOG_IDENTIFIER=sshd-session SYSLOG_IDENTIFIER=sshd-auth +
		_UID=0 _SYSTEMD_UNIT=ssh.service _SYSTEMD_UNIT=sshd.service +
		MESSAGE_ID=a596d6fe7bfa4994828e72309e95d61e _TRANSPORT=driver`)},
	{"unit", journal.Selector{{{Field: "_SYSTEMD_UNIT", Values: []string{"ssh.service"}}}}, []string{"_SYSTEMD_UNIT=ssh.service"}},
}

// BenchmarkDense reads a journal that is all sshd.
func BenchmarkDense(b *testing.B) { benchmark(b, "dense", 1) }

// BenchmarkSparse reads a journal of which sshd is 1 %.
func BenchmarkSparse(b *testing.B) { benchmark(b, "sparse", 100) }

func benchmark(b *testing.B, name string, every int) {
	dir, total := benchDir(b, name, every)
	hits := benchHits(total, every)
	tool := compileLibsystemd(b)
	for _, m := range matches {
		b.Run(m.name+"/exile", func(b *testing.B) { report(b, total, func() { benchExile(b, dir, m.sel, hits) }) })
		b.Run(m.name+"/libsystemd", func(b *testing.B) {
			if tool == "" {
				b.Skip("SKIPPED: no gcc, or no headers of libsystemd")
			}
			report(b, total, func() { benchLibsystemd(b, tool, dir, m.args, hits) })
		})
		b.Run(m.name+"/journalctl", func(b *testing.B) {
			report(b, total, func() { benchJournalctl(b, dir, m.args, hits) })
		})
	}
}

// benchDir returns the journal and how many entries it has.
func benchDir(b *testing.B, name string, every int) (dir string, total int) {
	total = 26_000
	if s := os.Getenv("EXILE_BENCH_ENTRIES"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil {
			b.Fatal(err)
		}
		total = n
	}
	return benchJournal(b, name, total, every), total / benchFiles * benchFiles
}

// report says what an entry costs: by the clock, and of the processors, which does not depend on who else is running.
func report(b *testing.B, total int, run func()) {
	b.ReportAllocs()
	before := processorTime(b)
	for b.Loop() {
		run()
	}
	all := float64(b.N) * float64(total)
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/all, "ns/entry")
	b.ReportMetric(float64(processorTime(b)-before)/all, "cpu-ns/entry")
}

// processorTime is that of this process and of its children that have ended, in ns.
func processorTime(b *testing.B) (ns int64) {
	for _, who := range []int{unix.RUSAGE_SELF, unix.RUSAGE_CHILDREN} {
		var u unix.Rusage
		if err := unix.Getrusage(who, &u); err != nil {
			b.Fatal(err)
		}
		ns += u.Utime.Nano() + u.Stime.Nano()
	}
	return ns
}

// BenchmarkMemory reads a whole journal and reports the most memory that was resident and was not of a file.
func BenchmarkMemory(b *testing.B) {
	dir, total := benchDir(b, "sparse", 100)
	most := 0
	for b.Loop() {
		s, err := follow.New(follow.Config{Dirs: []string{dir}, AllUsers: true})
		if err != nil {
			b.Fatal(err)
		}
		n := 0
		err = s.Follow(b.Context(), journal.Start{}, func(batch journal.Batch) error {
			if n/10_000 != (n+len(batch.Entries))/10_000 {
				most = max(most, anonymous(b))
			}
			n += len(batch.Entries)
			if batch.CaughtUp {
				return errDone
			}
			return nil
		})
		if !errors.Is(err, errDone) || n != total {
			b.Fatalf("%d entries, want %d: %v", n, total, err)
		}
	}
	b.ReportMetric(float64(most)/1024, "anon-MB")
}

// anonymous returns the KiB of this process's resident memory that are not of a file.
func anonymous(b *testing.B) (kib int) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		b.Fatal(err)
	}
	_, after, _ := bytes.Cut(status, []byte("RssAnon:"))
	if _, err := fmt.Sscan(string(after), &kib); err != nil {
		b.Fatal(err)
	}
	return kib
}

// BenchmarkSeek goes to a time in 4 GB of journal, in each file of it, as follow does when it starts.
func BenchmarkSeek(b *testing.B) {
	dir, total := benchDir(b, "sparse", 100)
	paths, err := filepath.Glob(filepath.Join(dir, "*.journal"))
	if err != nil {
		b.Fatal(err)
	}
	const enough = 4 << 30
	var cursors []*journalfile.Cursor
	var size int64
	for _, path := range paths {
		if size >= enough {
			break
		}
		f, err := journalfile.Open(path)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = f.Close() })
		cursors = append(cursors, f.Cursor(nil))
		st, err := os.Stat(path)
		if err != nil {
			b.Fatal(err)
		}
		size += st.Size()
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	for b.Loop() {
		to := benchStart + uint64(rnd.IntN(total))*1000
		for _, c := range cursors {
			if err := c.SeekRealtime(to); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(float64(size)/(1<<20), "MB")
	b.ReportMetric(float64(len(cursors)), "files")
}

func benchExile(b *testing.B, dir string, sel journal.Selector, hits int) {
	s, err := follow.New(follow.Config{Dirs: []string{dir}, Select: sel, AllUsers: true})
	if err != nil {
		b.Fatal(err)
	}
	n, size := 0, 0
	err = s.Follow(b.Context(), journal.Start{}, func(batch journal.Batch) error {
		n += len(batch.Entries)
		for i := range batch.Entries {
			size += len(batch.Entries[i].Message)
		}
		if len(batch.Gaps) > 0 {
			b.Errorf("gaps: %v", batch.Gaps)
		}
		if batch.CaughtUp {
			return errDone
		}
		return nil
	})
	if !errors.Is(err, errDone) || n != hits {
		b.Fatalf("%d entries, want %d: %v", n, hits, err)
	}
}

func benchLibsystemd(b *testing.B, tool, dir string, match []string, hits int) {
	out, err := exec.Command(tool, append([]string{dir}, match...)...).Output()
	if n, _, _ := bytes.Cut(out, []byte(" ")); err != nil || string(n) != strconv.Itoa(hits) {
		b.Fatalf("%s, want %d: %v", out, hits, err)
	}
}

func benchJournalctl(b *testing.B, dir string, match []string, hits int) {
	args := append([]string{"-D", dir, "-o", "cat", "--no-pager", "-q"}, match...)
	out, err := exec.Command("journalctl", args...).Output()
	if n := bytes.Count(out, []byte("\n")); err != nil || n != hits {
		b.Fatalf("%d lines, want %d: %v", n, hits, err)
	}
}

// compileLibsystemd returns the path of the C program; empty when it cannot be compiled.
func compileLibsystemd(b *testing.B) string {
	tool := filepath.Join(b.TempDir(), "libsystemd")
	out, err := exec.Command("gcc", "-O2", "-o", tool, "testdata/libsystemd.c", "-lsystemd").CombinedOutput()
	if err != nil {
		b.Logf("compile: %v: %s", err, out)
		return ""
	}
	return tool
}

func benchHits(total, every int) int { return (total + every - 1) / every }

// benchJournal makes a journal of total entries, of which one in every is of sshd.
func benchJournal(b *testing.B, name string, total, every int) string {
	makejournal.Tool(b)
	root := os.Getenv("EXILE_BENCH_DIR")
	if root == "" {
		root = b.TempDir()
	}
	dir := filepath.Join(root, fmt.Sprintf("%s-%d", name, total))
	if _, err := os.Stat(filepath.Join(dir, "complete")); err == nil {
		return dir
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		b.Fatal(err)
	}
	part := total / benchFiles
	for i := range benchFiles {
		path := filepath.Join(dir, fmt.Sprintf("system@%032x-%016x-%016x.journal", i, 1, i))
		makejournal.Write(b, path, format, benchLines(i*part, part, every))
	}
	if err := os.WriteFile(filepath.Join(dir, "complete"), nil, 0o644); err != nil {
		b.Fatal(err)
	}
	return dir
}

const benchStart = 1700000000000000 // µs since 1970

func benchLines(first, n, every int) (export []byte) {
	for i := first; i < first+n; i++ {
		unit, name := "nginx.service", "nginx"
		if i%every == 0 {
			unit, name = "ssh.service", "sshd"
		}
		pid := fmt.Sprint(1000 + i/4%30000)
		usec := benchStart + uint64(i)*1000
		export = makejournal.Entry{Realtime: usec, Monotonic: uint64(i+1) * 1000, Boot: boot1, Fields: []makejournal.Field{
			{Name: "_TRANSPORT", Value: "syslog"},
			{Name: "_UID", Value: "0"},
			{Name: "_GID", Value: "0"},
			{Name: "_PID", Value: pid},
			{Name: "_COMM", Value: name},
			{Name: "_EXE", Value: "/usr/sbin/" + name},
			{Name: "_CMDLINE", Value: name + ": [accepted]"},
			{Name: "_CAP_EFFECTIVE", Value: "1ffffffffff"},
			{Name: "_SYSTEMD_CGROUP", Value: "/system.slice/" + unit},
			{Name: "_SYSTEMD_UNIT", Value: unit},
			{Name: "_SYSTEMD_SLICE", Value: "system.slice"},
			{Name: "_SYSTEMD_INVOCATION_ID", Value: "0123456789abcdef0123456789abcdef"},
			{Name: "_MACHINE_ID", Value: boot2},
			{Name: "_HOSTNAME", Value: "host"},
			{Name: "PRIORITY", Value: "6"},
			{Name: "SYSLOG_FACILITY", Value: "4"},
			{Name: "SYSLOG_IDENTIFIER", Value: name},
			{Name: "SYSLOG_PID", Value: pid},
			{Name: "SYSLOG_TIMESTAMP", Value: "Nov 14 22:13:" + fmt.Sprint(i/1000%60)},
			{Name: "_SOURCE_REALTIME_TIMESTAMP", Value: fmt.Sprint(usec - 7)},
			{Name: "MESSAGE", Value: fmt.Sprintf("Failed password for invalid user admin%d from 203.0.113.%d port %d ssh2", i%977, i%251, 1024+i%60000)},
		}}.Export(export)
	}
	return export
}
