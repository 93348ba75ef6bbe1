package follow_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"exile/journal"
	"exile/journal/follow"
	"exile/journal/internal/makejournal"
	"exile/journal/journalfile"
)

// journald is a pretended writer: it numbers entries and has the clocks.
type journald struct {
	t         *testing.T
	dir       string
	id        journal.ID // seqnum id
	boot      journal.ID
	seqnum    uint64
	realtime  uint64
	monotonic uint64
	open      map[string]*makejournal.Writer
}

func newJournald(t *testing.T) *journald {
	return &journald{
		t: t, dir: t.TempDir(), id: journal.ID{9}, boot: journal.ID{1}, realtime: 1700000000000000,
		open: map[string]*makejournal.Writer{},
	}
}

// log writes entries to the open file of that name; their messages are their numbers.
func (j *journald) log(name string, n int, fields ...string) {
	for range n {
		j.seqnum++
		j.realtime += 1000
		j.monotonic += 1000
		w := j.writer(name)
		w.Seqnum = j.seqnum - 1
		w.Add(j.boot, j.realtime, j.monotonic, append([]string{"_TRANSPORT=syslog", fmt.Sprintf("MESSAGE=%d", j.seqnum)}, fields...)...)
	}
	j.write(name)
}

func (j *journald) writer(name string) *makejournal.Writer {
	if j.open[name] == nil {
		j.open[name] = makejournal.NewWriter(true, true, makejournal.ZSTD)
		j.open[name].SeqnumID = j.id
	}
	return j.open[name]
}

// write puts the file there as journald does: objects first, the header last, and never shorter than it was.
func (j *journald) write(name string) {
	j.t.Helper()
	b := j.writer(name).Bytes()
	f, err := os.OpenFile(filepath.Join(j.dir, name), os.O_CREATE|os.O_WRONLY, 0o600)
	if err == nil {
		_, err = f.WriteAt(b[272:], 272)
	}
	if err == nil {
		_, err = f.WriteAt(b[:272], 0)
	}
	if err = errors.Join(err, f.Close()); err != nil {
		j.t.Fatal(err)
	}
}

// rotate renames the open file.
func (j *journald) rotate(name, archived string) {
	j.t.Helper()
	delete(j.open, name)
	if err := os.Rename(filepath.Join(j.dir, name), filepath.Join(j.dir, archived)); err != nil {
		j.t.Fatal(err)
	}
}

func (j *journald) remove(name string) {
	j.t.Helper()
	delete(j.open, name)
	if err := os.Remove(filepath.Join(j.dir, name)); err != nil {
		j.t.Fatal(err)
	}
}

// play follows and makes each step when everything before has been delivered, until want entries have come. Nothing runs
// at the same time: steps are made in the goroutine that reads.
func play(t *testing.T, cfg follow.Config, from journal.Start, want int, steps ...func()) *stream {
	t.Helper()
	got := &stream{}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	err := source(t, cfg).Follow(ctx, from, func(b journal.Batch) error {
		got.add(b)
		if !b.CaughtUp {
			return nil
		}
		if len(steps) == 0 && len(got.texts) >= want {
			return errDone
		}
		if len(steps) > 0 {
			steps[0]()
			steps = steps[1:]
		}
		return nil
	})
	if !errors.Is(err, errDone) {
		t.Fatalf("%d steps left, %d entries of %d: %q: gaps %v: %v", len(steps), len(got.texts), want, got.texts, got.gaps, err)
	}
	return got
}

func numbers(first, last int) (all []string) {
	for i := first; i <= last; i++ {
		all = append(all, fmt.Sprint(i))
	}
	return all
}

// same compares what was delivered and which gaps were reported.
func (s *stream) same(t *testing.T, texts []string, gaps ...journal.Gap) {
	t.Helper()
	if diff := cmp.Diff(texts, s.texts, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("entries (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(gaps, s.gaps, cmpopts.EquateEmpty(), cmpopts.IgnoreFields(journal.Gap{}, "File", "Since", "Until", "Err")); diff != "" {
		t.Errorf("gaps (-want +got):\n%s", diff)
	}
}

const system = "system.journal"

func TestRotation(t *testing.T) {
	t.Parallel()
	j := newJournald(t)
	j.log(system, 10)
	got := play(t, follow.Config{Dirs: []string{j.dir}}, journal.Start{}, 35,
		func() { j.log(system, 5) },
		func() { j.log(system, 5); j.rotate(system, "system@a.journal"); j.log(system, 5) },
		func() { j.rotate(system, "system@b.journal"); j.log(system, 1) },
		func() {
			j.rotate(system, "system@c.journal")
			j.log(system, 1)
			j.rotate(system, "system@d.journal")
			j.log(system, 8)
		},
	)
	got.same(t, numbers(1, 35))
}

func TestVacuumWhatWasRead(t *testing.T) {
	t.Parallel()
	j := newJournald(t)
	j.log(system, 10)
	got := play(t, follow.Config{Dirs: []string{j.dir}}, journal.Start{}, 30,
		func() { j.log(system, 5); j.rotate(system, "system@a.journal"); j.log(system, 5) },
		func() { j.remove("system@a.journal"); j.log(system, 5) },
		func() { j.rotate(system, "system@b.journal"); j.remove("system@b.journal"); j.log(system, 5) },
	)
	got.same(t, numbers(1, 30))
}

func TestVacuumUnread(t *testing.T) {
	t.Parallel()
	j := newJournald(t)
	j.log(system, 10)
	got := play(t, follow.Config{Dirs: []string{j.dir}}, journal.Start{}, 15,
		func() {
			j.rotate(system, "system@a.journal")
			j.log(system, 7) // 11 to 17 come and go before anybody looks
			j.remove(system)
			j.log(system, 5)
		})
	got.same(t, append(numbers(1, 10), numbers(18, 22)...), journal.Gap{Kind: journal.GapVacuumed, Entries: 7})
}

func TestResumeVacuumed(t *testing.T) {
	t.Parallel()
	j := newJournald(t)
	j.log(system, 10)
	first := play(t, follow.Config{Dirs: []string{j.dir}}, journal.Start{}, 10)
	j.log(system, 3)
	j.remove(system)
	j.log(system, 4)
	cfg := follow.Config{Dirs: []string{j.dir}}
	play(t, cfg, journal.Start{Resume: first.end}, 4).same(t, numbers(14, 17), journal.Gap{Kind: journal.GapVacuumed, Entries: 3})

	j.remove(system)
	j.id, j.boot, j.seqnum = journal.ID{8}, journal.ID{2}, 0
	j.log(system, 2)
	play(t, cfg, journal.Start{Resume: first.end}, 2).same(t, numbers(1, 2), journal.Gap{Kind: journal.GapVacuumed})
}

// A journal in memory ends with its boot. One that is gone within a boot, or from a disk, is missing.
func TestResumeAfterBoot(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		boot   byte // that is running, 1 is the one before
		memory bool
		older  bool // there are older files on a disk
		gaps   []journal.Gap
	}{
		"memory":           {boot: 2, memory: true},
		"memory, old disk": {boot: 2, memory: true, older: true},
		"disk":             {boot: 2, gaps: []journal.Gap{{Kind: journal.GapVacuumed}}},
		"disk, old disk":   {boot: 2, older: true, gaps: []journal.Gap{{Kind: journal.GapVacuumed}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			j := newJournald(t)
			cfg := follow.Config{Dirs: []string{j.dir}, Boot: journal.ID{1}}
			if c.older {
				disk := newJournald(t)
				disk.id, disk.boot = journal.ID{7}, journal.ID{5}
				disk.realtime -= 1e9
				disk.log(system, 3)
				cfg.Dirs = append(cfg.Dirs, disk.dir)
			}
			j.log(system, 10)
			if c.memory {
				cfg.Memory = filepath.Dir(j.dir)
			}
			first := play(t, cfg, journal.Start{}, 10+3*len(cfg.Dirs[1:]))
			j.remove(system)
			cfg.Boot = journal.ID{c.boot}
			j.id, j.boot, j.seqnum = journal.ID{8}, cfg.Boot, 0
			j.log(system, 2)
			play(t, cfg, journal.Start{Resume: first.end}, 2).same(t, numbers(1, 2), c.gaps...)
		})
	}
}

// TestFlush: what was logged to /run before /var was there is copied to /var under other numbers.
func TestFlush(t *testing.T) {
	t.Parallel()
	run, disk := newJournald(t), newJournald(t)
	disk.id, disk.boot, disk.realtime = journal.ID{7}, journal.ID{3}, 1600000000000000
	disk.log(system, 3) // an earlier boot
	var early *stream
	cfg := follow.Config{Dirs: []string{disk.dir, run.dir}, Boot: run.boot}
	flush := func() {
		disk.boot, disk.realtime, disk.monotonic = run.boot, run.realtime-5000, run.monotonic-5000
		disk.seqnum = 100
		for i := 1; i <= 5; i++ {
			disk.seqnum++
			disk.realtime, disk.monotonic = disk.realtime+1000, disk.monotonic+1000
			w := disk.writer(system)
			w.Seqnum = disk.seqnum - 1
			w.Add(disk.boot, disk.realtime, disk.monotonic, "_TRANSPORT=syslog", fmt.Sprintf("MESSAGE=%d", i))
		}
		disk.write(system)
		run.remove(system)
	}
	run.log(system, 5)
	early = play(t, cfg, journal.Start{}, 8)
	early.same(t, append(numbers(1, 3), numbers(1, 5)...))
	got := play(t, cfg, journal.Start{Resume: early.at[5]}, 4, func() { flush(); disk.log(system, 2) }, func() { disk.log(system, 1) })
	got.same(t, append(numbers(4, 5), "106", "107", "108"))
	after := play(t, cfg, journal.Start{Resume: early.at[5]}, 5) // the position is of /run, the entries are in /var
	after.same(t, append(numbers(4, 5), "106", "107", "108"))
}

// TestClockBack: after a crash journald begins anew, on a machine that believes that it is 1970.
func TestClockBack(t *testing.T) {
	t.Parallel()
	j := newJournald(t)
	j.log(system, 5)
	first := play(t, follow.Config{Dirs: []string{j.dir}, Boot: j.boot}, journal.Start{}, 5)
	j.log(system, 2)
	j.rotate(system, "system@x.journal~")
	j.id, j.boot, j.realtime, j.monotonic = journal.ID{8}, journal.ID{2}, 1000, 0
	j.log(system, 3)
	cfg := follow.Config{Dirs: []string{j.dir}, Boot: j.boot}
	got := play(t, cfg, journal.Start{Resume: first.end}, 7,
		func() { j.realtime = 1800000000000000; j.log(system, 1) }, // the clock is set
		func() { j.realtime = 1500000000000000; j.log(system, 1) },
	)
	got.same(t, numbers(6, 12))
	for i, p := range got.at {
		play(t, cfg, journal.Start{Resume: p}, len(got.at)-i-1).same(t, numbers(7+i, 12))
	}
}

// TestUsers: system.journal and the journals of users are one stream when that is wanted.
func TestUsers(t *testing.T) {
	t.Parallel()
	j := newJournald(t)
	j.log(system, 3)
	j.log("user-1000.journal", 2)
	j.log(system, 1)
	steps := func() []func() {
		return []func(){
			func() { j.log("user-1000.journal", 2); j.log(system, 2) },
			func() {
				j.rotate(system, "system@a.journal")
				j.rotate("user-1000.journal", "user-1000@a.journal")
				j.log("user-1000.journal", 1)
				j.log(system, 1)
			},
		}
	}
	all := play(t, follow.Config{Dirs: []string{j.dir}, AllUsers: true}, journal.Start{}, 12, steps()...)
	all.same(t, numbers(1, 12))
	// Of the system alone, numbers are missing, and that is no gap.
	only := play(t, follow.Config{Dirs: []string{j.dir}}, journal.Start{}, 7)
	only.same(t, []string{"1", "2", "3", "6", "9", "10", "12"})
	play(t, follow.Config{Dirs: []string{j.dir}}, journal.Start{Resume: all.at[6]}, 3).same(t, []string{"9", "10", "12"})
}

func TestSuppressed(t *testing.T) {
	t.Parallel()
	j := newJournald(t)
	j.log(system, 2, "_SYSTEMD_UNIT=ssh.service", "_UID=0")
	w := j.writer(system)
	j.seqnum++
	w.Add(j.boot, j.realtime+1, j.monotonic+1, "_TRANSPORT=driver", "MESSAGE_ID=a596d6fe7bfa4994828e72309e95d61e",
		"N_DROPPED=4711", "OBJECT_SYSTEMD_UNIT=ssh.service", "MESSAGE=Suppressed 4711 messages from ssh.service", "_UID=0")
	j.log(system, 1, "_SYSTEMD_UNIT=ssh.service", "_UID=0")
	gap := journal.Gap{Kind: journal.GapSuppressed, Unit: "ssh.service", Entries: 4711}
	cfg := follow.Config{Dirs: []string{j.dir}, Select: sshd}
	got := play(t, cfg, journal.Start{}, 3)
	got.same(t, []string{"1", "2", "4"}, gap)
	play(t, cfg, journal.Start{Resume: got.at[2]}, 0).same(t, nil)
	everything := play(t, follow.Config{Dirs: []string{j.dir}}, journal.Start{}, 4)
	everything.same(t, []string{"1", "2", "Suppressed 4711 messages from ssh.service", "4"}, gap)
}

func TestReplay(t *testing.T) {
	t.Parallel()
	j := newJournald(t)
	j.log(system, 5)
	j.rotate(system, "system@a.journal")
	j.log(system, 5)
	cfg := follow.Config{Dirs: []string{j.dir}}
	all := play(t, cfg, journal.Start{}, 10)
	since := time.UnixMicro(1700000000003000)
	play(t, cfg, journal.Start{Since: since}, 8).same(t, numbers(3, 10))
	play(t, cfg, journal.Start{Resume: all.at[6], Since: since}, 8).same(t, []string{"(3)", "(4)", "(5)", "(6)", "(7)", "8", "9", "10"})
	play(t, cfg, journal.Start{Resume: all.at[1], Since: since}, 8).same(t, numbers(3, 10))
	play(t, cfg, journal.Start{Since: since.Add(time.Hour)}, 1, func() { j.log(system, 1) }).same(t, numbers(11, 11))
}

// TestBadFile: one that is damaged is reported once and stops no other.
func TestBadFile(t *testing.T) {
	t.Parallel()
	j := newJournald(t)
	j.log(system, 5)
	bad := filepath.Join(j.dir, "system@bad.journal")
	if err := os.WriteFile(bad, append([]byte("LPKSHHRH"), make([]byte, 1000)...), 0o600); err != nil {
		t.Fatal(err)
	}
	got := play(t, follow.Config{Dirs: []string{j.dir}}, journal.Start{}, 7,
		func() { j.log(system, 1) }, func() { j.rotate(system, "system@a.journal"); j.log(system, 1) })
	got.same(t, numbers(1, 7), journal.Gap{Kind: journal.GapUnreadable})
}

func TestTruncated(t *testing.T) {
	t.Parallel()
	j := newJournald(t)
	j.log(system, 5)
	got := play(t, follow.Config{Dirs: []string{j.dir}}, journal.Start{}, 7, func() {
		if err := os.Truncate(filepath.Join(j.dir, system), 0); err != nil {
			t.Error(err)
		}
		j.rotate(system, "system@a.journal~")
		j.log(system, 2)
	})
	got.same(t, numbers(1, 7), journal.Gap{Kind: journal.GapUnreadable})
}

func TestUnsupported(t *testing.T) {
	t.Parallel()
	j := newJournald(t)
	j.log(system, 1)
	path := filepath.Join(j.dir, system)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[13] = 1
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := follow.New(follow.Config{Dirs: []string{j.dir}}); !errors.Is(err, journalfile.ErrUnsupported) {
		t.Errorf("new: %v, want %v", err, journalfile.ErrUnsupported)
	}
}

// TestLateDirectory: /var/log/journal/... may be made while we run.
func TestLateDirectory(t *testing.T) {
	t.Parallel()
	j := newJournald(t)
	late := *j
	late.dir, late.open = filepath.Join(j.dir, "late"), map[string]*makejournal.Writer{}
	j.log(system, 2)
	got := play(t, follow.Config{Dirs: []string{late.dir, j.dir}}, journal.Start{}, 4, func() {
		if err := os.Mkdir(late.dir, 0o700); err != nil {
			t.Error(err)
		}
		late.seqnum, late.monotonic, late.realtime = j.seqnum, j.monotonic, j.realtime
		late.log(system, 2)
	})
	got.same(t, numbers(1, 4))
}
