package state

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	bolt "go.etcd.io/bbolt"

	"exile/internal/control"
	"exile/journal"
)

func at(seconds int) time.Time { return time.Unix(1_700_000_000+int64(seconds), 123456789).UTC() }

func who(i int) Who {
	var a [4]byte
	binary.BigEndian.PutUint32(a[:], 0x0a000000+uint32(i))
	return Who{"sshd", netip.PrefixFrom(netip.AddrFrom4(a), 32)}
}

func ban(w Who, n int) control.Ban {
	return control.Ban{
		Jail: w.Jail, Prefix: w.Prefix, Since: at(n), Until: at(n + 600), Failures: n, Offence: 1,
		Origin: control.OriginJournal, Reason: fmt.Sprintf("%d failures, user %q", n, "ro\x00ot"),
	}
}

func mark(n int) Mark {
	return Mark{Position: journal.Position{SeqnumID: journal.ID{1}, Seqnum: uint64(n), Realtime: 7}, Low: at(n)}
}

// sample is one of everything; n makes it differ.
func sample(n int) Batch {
	w, permanent := who(n), Who{"sshd", netip.MustParsePrefix("2001:db8::/64")}
	forEver := ban(permanent, n)
	forEver.Until = time.Time{}
	paused := at(3 * n)
	evident := ban(w, n)
	evident.Reason, evident.Evidence = "told", "one\ntwo"
	return Batch{
		Marks:     map[string]Mark{"journal": mark(n), "text": {}},
		Bans:      map[Who]control.Ban{w: ban(w, n), permanent: forEver},
		Past:      map[Who]Past{w: {Offences: n + 1, Last: at(n), Cleared: at(2 * n), Welcome: n%2 == 0}},
		Flushed:   map[string]time.Time{"old": at(n), fmt.Sprint(n): at(n)},
		Repeats:   map[netip.Prefix][]time.Time{w.Prefix: {at(n), at(n + 1)}, permanent.Prefix: {at(n)}},
		Reports:   map[uint64]Report{uint64(n): {Time: at(n), Jail: "sshd", Addr: w.Prefix.Addr(), User: "ro\xff\x00ot", Success: n%2 == 0}},
		Snapshots: map[string]Snapshot{"sshd": {Version: 3, Data: bytes.Repeat([]byte{byte(n)}, 2000)}},
		Paused:    &paused,
		Trial:     &control.Trial{Text: fmt.Sprintf("defaults: {maxretry: %d}\n", n+1), Since: at(n), Until: at(n + 60)},
		Days:      &[]control.Day{{Date: at(0).Truncate(time.Hour), Passed: 1}, {Date: at(n).Truncate(time.Second), Passed: 2, Dropped: 3, Bans: 4, Protected: 5, Denied: uint64(n)}},
		Announcements: &[]control.Event{
			{Kind: control.BanNew, Time: at(n), Ban: evident, Latency: time.Duration(n)},
			{Kind: control.Repaired, Time: at(n + 1), Count: n, Reason: "\xff"},
		},
	}
}

var compare = cmp.Options{
	cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }), cmp.Comparer(func(a, b netip.Addr) bool { return a == b }),
}

func open(t *testing.T, dir string) *Store {
	t.Helper()
	s, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func load(t *testing.T, s *Store) Contents {
	t.Helper()
	c, err := s.Load()
	if err != nil && !errors.Is(err, ErrSetAside) {
		t.Fatal(err)
	}
	return c
}

func commit(t *testing.T, s *Store, b Batch) {
	t.Helper()
	if err := s.Commit(b); err != nil {
		t.Fatal(err)
	}
}

// apply is what a commit should do, on plain maps.
func apply(c *Contents, b Batch) {
	maps.DeleteFunc(c.Bans, func(w Who, _ control.Ban) bool {
		_, flushed := b.Flushed[w.Jail]
		return flushed || b.Lifted[w]
	})
	merge(&c.Flushed, b.Flushed)
	maps.DeleteFunc(c.Past, func(w Who, p Past) bool { return p.Latest().Before(b.Forgotten[w.Jail]) })
	merge(&c.Marks, b.Marks)
	merge(&c.Bans, b.Bans)
	merge(&c.Past, b.Past)
	merge(&c.Snapshots, b.Snapshots)
	merge(&c.Reports, b.Reports)
	maps.DeleteFunc(c.Reports, func(_ uint64, r Report) bool { return !r.Addr.IsValid() })
	merge(&c.Repeats, b.Repeats)
	maps.DeleteFunc(c.Repeats, func(_ netip.Prefix, times []time.Time) bool { return len(times) == 0 })
	if b.Paused != nil {
		c.Paused = *b.Paused
	}
	if b.Trial != nil {
		c.Trial = *b.Trial
	}
	if b.Days != nil {
		c.Days = *b.Days
	}
	if b.Announcements != nil {
		c.Announcements = *b.Announcements
	}
}

func TestCommitAndReopen(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	want := NewContents()
	for i, b := range []Batch{
		sample(1), sample(2),
		{Lifted: map[Who]bool{who(1): true}},
		{Lifted: map[Who]bool{who(2): true}, Bans: map[Who]control.Ban{who(2): ban(who(2), 9)}}, // lifted and banned again
		{Marks: map[string]Mark{"journal": mark(99)}},
		{Bans: map[Who]control.Ban{{"web", who(1).Prefix}: ban(Who{"web", who(1).Prefix}, 1)}},
		{Flushed: map[string]time.Time{"sshd": at(100)}, Bans: map[Who]control.Ban{who(3): ban(who(3), 101)}}, // banned since
		{Flushed: map[string]time.Time{"web": at(101)}},
		{Repeats: map[netip.Prefix][]time.Time{who(1).Prefix: nil}, Paused: new(time.Time), Trial: new(control.Trial)},
		{Announcements: new([]control.Event), Reports: map[uint64]Report{1: {}}},
		{},
	} {
		s := open(t, dir)
		commit(t, s, b)
		apply(&want, b)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		s = open(t, dir)
		if diff := cmp.Diff(want, load(t, s), compare); diff != "" {
			t.Fatalf("after batch %d (-want +got):\n%s", i, diff)
		}
		if err := errors.Join(s.SetAside(), s.Err(), s.Close()); err != nil {
			t.Fatal(err)
		}
	}
}

// A flush of one of several jails leaves the bans of the others alone, be they few or many, and what was banned after it. It
// reaches the disk as well where that refused it at first.
func TestFlush(t *testing.T) {
	t.Parallel()
	for _, others := range []int{0, 10, 3000} {
		t.Run(fmt.Sprint(others), func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			s := open(t, dir)
			want := NewContents()
			all := Batch{Bans: map[Who]control.Ban{}, Past: map[Who]Past{}}
			for i := range 1000 {
				all.Bans[who(i)] = ban(who(i), i)
				all.Past[who(i)] = Past{Offences: 1, Last: at(i), Cleared: at(i - i%2)}
			}
			for i := range others {
				w := Who{[]string{"ssh", "sshd-2"}[i%2], who(i).Prefix}
				all.Bans[w] = ban(w, i)
				all.Past[w] = Past{Offences: 1, Last: at(i)}
			}
			commit(t, s, all)
			apply(&want, all)
			s.pending.add(Batch{Bans: map[Who]control.Ban{who(5): ban(who(5), 5), who(6): ban(who(6), 6)}}) // the disk was full
			flush := Batch{Bans: map[Who]control.Ban{who(5): ban(who(5), 5)}, Lifted: map[Who]bool{who(7): true}}
			flush.Flush("sshd", at(2000), at(500))
			flush.Bans[who(7)] = ban(who(7), 8)
			commit(t, s, flush)
			apply(&want, flush)
			if diff := cmp.Diff(want, load(t, s), compare); diff != "" {
				t.Errorf("flushed (-want +got):\n%s", diff)
			}
			if len(want.Bans) != others+1 || len(want.Past) != others+500 {
				t.Errorf("%d bans and %d pasts are left, want %d and %d", len(want.Bans), len(want.Past), others+1, others+500)
			}
		})
	}
}

func TestSecondDaemonIsRefused(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) { // the wait for the lock takes no time
		dir := t.TempDir()
		open(t, dir)
		if _, err := Open(dir); !errors.Is(err, ErrLocked) {
			t.Errorf("error %v, want ErrLocked", err)
		}
	})
}

func TestReplaceAndPurge(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	commit(t, s, sample(1))
	c := NewContents()
	for i := range 10 {
		c.Past[who(i)] = Past{Offences: 1, Last: at(i)}
		c.Repeats[who(i).Prefix] = []time.Time{at(i), at(i + 1)}
	}
	if err := s.Replace(c); err != nil {
		t.Fatal(err)
	}
	if err := s.Purge(at(3)); err != nil {
		t.Fatal(err)
	}
	commit(t, s, Batch{Past: map[Who]Past{who(1): {}, who(2): {}}})
	for i := 1; i <= 2; i++ {
		delete(c.Past, who(i))
	}
	delete(c.Repeats, who(0).Prefix)
	delete(c.Repeats, who(1).Prefix) // the second ban of 2 was at(3)
	if diff := cmp.Diff(c, load(t, s), compare); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestExportImport(t *testing.T) {
	t.Parallel()
	want := NewContents()
	apply(&want, sample(1))
	apply(&want, sample(2))
	want.Trial, want.Announcements = control.Trial{}, nil // belong to this host
	want.Reports[3], want.Reports[math.MaxUint64] = want.Reports[1], want.Reports[2]
	var once, twice bytes.Buffer
	if err := want.Export(&once); err != nil {
		t.Fatal(err)
	}
	got, err := Import(bytes.NewReader(once.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	want.Reports[4] = want.Reports[math.MaxUint64] // numbers begin anew, in the same order
	delete(want.Reports, math.MaxUint64)
	if diff := cmp.Diff(want, got, compare); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if err := got.Export(&twice); err != nil || !bytes.Equal(once.Bytes(), twice.Bytes()) {
		t.Errorf("exported twice: error %v, or other bytes", err)
	}
}

func TestImportRefuses(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"nothing":         ``,
		"other program":   `{"format":"x","version":1}`,
		"newer":           `{"format":"exile-state","version":2}`,
		"unknown field":   `{"format":"exile-state","version":1,"x":1}`,
		"no jail":         `{"format":"exile-state","version":1,"bans":[{"prefix":"192.0.2.1/32"}]}`,
		"zero in jail":    `{"format":"exile-state","version":1,"bans":[{"jail":"a\u0000b","prefix":"192.0.2.1/32"}]}`,
		"no prefix":       `{"format":"exile-state","version":1,"bans":[{"jail":"sshd"}]}`,
		"unmasked prefix": `{"format":"exile-state","version":1,"history":[{"jail":"sshd","prefix":"192.0.2.1/24"}]}`,
		"mapped prefix":   `{"format":"exile-state","version":1,"bans":[{"jail":"sshd","prefix":"::ffff:192.0.2.1/128"}]}`,
		"all of IPv4":     `{"format":"exile-state","version":1,"bans":[{"jail":"sshd","prefix":"0.0.0.0/0"}]}`,
		"half of IPv6":    `{"format":"exile-state","version":1,"bans":[{"jail":"sshd","prefix":"8000::/1"}]}`,
		"zero in origin":  `{"format":"exile-state","version":1,"bans":[{"jail":"sshd","prefix":"192.0.2.1/32","origin":"a\u0000b"}]}`,
		"bad cursor":      `{"format":"exile-state","version":1,"positions":[{"source":"j","position":"x"}]}`,
		"no repeats":      `{"format":"exile-state","version":1,"repeats":[{"prefix":"192.0.2.1/32","bans":[]}]}`,
		"no source":       `{"format":"exile-state","version":1,"positions":[{"source":"","position":""}]}`,
	} {
		if _, err := Import(bytes.NewReader([]byte(text))); !errors.Is(err, ErrFormat) {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

// Every damaged or foreign file is set aside, and the store works.
func TestSetAside(t *testing.T) {
	t.Parallel()
	good := t.TempDir()
	s := open(t, good)
	commit(t, s, sample(1))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	bytesOf := func() []byte {
		data, err := os.ReadFile(filepath.Join(good, "state.db"))
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	for name, damage := range map[string]func(path string) error{
		"text":   func(p string) error { return os.WriteFile(p, []byte("hello"), 0o600) },
		"zeros":  func(p string) error { return os.WriteFile(p, make([]byte, 1<<16), 0o600) },
		"folder": func(p string) error { return os.Mkdir(p, 0o700) },
		"flipped byte in a value": func(p string) error {
			data := bytesOf()
			data[bytes.Index(data, []byte("failures, user"))] ^= 1
			return os.WriteFile(p, data, 0o600)
		},
		"other program": func(p string) error {
			return edit(p, func(tx *bolt.Tx) error { _, err := tx.CreateBucket([]byte("x")); return err })
		},
		"newer schema": func(p string) error {
			return edit(p, func(tx *bolt.Tx) error {
				return migrateWith(tx, append(migrations(), func(*bolt.Tx) error { return nil }))
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			if err := damage(filepath.Join(dir, "state.db")); err != nil {
				t.Fatal(err)
			}
			s := open(t, dir)
			if !errors.Is(s.SetAside(), ErrSetAside) || s.Err() != nil {
				t.Fatalf("set aside: %v; error: %v", s.SetAside(), s.Err())
			}
			if c, err := s.Load(); !errors.Is(err, ErrSetAside) || !cmp.Equal(c, NewContents()) {
				t.Errorf("loaded %+v, %v; want nothing, %v", c, err, ErrSetAside)
			}
			if _, err := os.Stat(filepath.Join(dir, "state.db.damaged")); err != nil {
				t.Error(err)
			}
			commit(t, s, sample(2))
			if n := len(load(t, s).Bans); n != 2 {
				t.Errorf("%d bans in the new file", n)
			}
		})
	}
}

func edit(path string, do func(*bolt.Tx) error) error {
	db, err := bolt.Open(path, 0o600, nil)
	if err != nil {
		return err
	}
	return errors.Join(db.Update(do), db.Close())
}

// Damage to what is not essential affects nothing else.
func TestDamagedSnapshotIsDropped(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	commit(t, s, sample(7))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "state.db")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	i := bytes.Index(data, bytes.Repeat([]byte{7}, 100))
	data[i+50] ^= 1
	data[bytes.Index(data, []byte("one\ntwo"))] ^= 1
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir)
	c := load(t, s)
	if s.SetAside() != nil || len(c.Snapshots) != 0 || len(c.Announcements) != 0 || len(c.Bans) != 2 {
		t.Errorf("set aside %v, %d snapshots, %d announcements, %d bans", s.SetAside(), len(c.Snapshots), len(c.Announcements), len(c.Bans))
	}
}

func TestMigration(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "state.db")
	if err := edit(path, migrate); err != nil {
		t.Fatal(err)
	}
	ran := 0
	next := append(migrations(), func(*bolt.Tx) error { ran++; return nil })
	for range 2 {
		if err := edit(path, func(tx *bolt.Tx) error { return migrateWith(tx, next) }); err != nil {
			t.Fatal(err)
		}
	}
	if ran != 1 {
		t.Errorf("the new migration ran %d times", ran)
	}
}

// A file of the first schema is read, where the disk is read-only as it is, and brought to the newest.
func TestFirstSchema(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "state.db")
	b := sample(1)
	b.Flushed, b.Repeats, b.Reports, b.Paused, b.Trial, b.Days, b.Announcements = nil, nil, nil, nil, nil, nil, nil
	if err := edit(path, func(tx *bolt.Tx) error {
		old := func(tx *bolt.Tx) error {
			return errors.Join(
				putAll(tx, marksBucket, b.Marks, nameKey, encodeMark), putAll(tx, bansBucket, b.Bans, Who.key, encodeBan),
				putAll(tx, pastBucket, b.Past, Who.key, encodePast), putAll(tx, snapshotBucket, b.Snapshots, nameKey, encodeSnapshot),
			)
		}
		return errors.Join(migrateWith(tx, migrations()[:1]), old(tx))
	}); err != nil {
		t.Fatal(err)
	}
	s := open(t, dir)
	if err := errors.Join(s.SetAside(), s.Err()); err != nil {
		t.Fatal(err)
	}
	want := NewContents()
	apply(&want, b)
	if diff := cmp.Diff(want, load(t, s), compare); diff != "" {
		t.Errorf("first schema (-want +got):\n%s", diff)
	}
	commit(t, s, sample(2))
	apply(&want, sample(2))
	if diff := cmp.Diff(want, load(t, s), compare); diff != "" {
		t.Errorf("after a commit (-want +got):\n%s", diff)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(encodeBan(ban(who(1), 1)))
	f.Add(encodeMark(mark(1)))
	f.Add(encodePast(Past{Offences: 1, Last: at(1)}))
	f.Add(encodeDays(*sample(1).Days))
	f.Add(encodeReport(sample(1).Reports[1]))
	f.Add(encodeEvents(*sample(1).Announcements))
	f.Add(encodeFlushed(sample(1).Flushed))
	f.Fuzz(func(t *testing.T, data []byte) {
		bans, marks := map[int]control.Ban{}, map[int]Mark{}
		if store(bans, 0, data, decodeBan) == nil {
			again := map[int]control.Ban{}
			if err := store(again, 0, encodeBan(bans[0]), decodeBan); err != nil || again[0] != bans[0] {
				t.Errorf("%+v read back as %+v, error %v", bans[0], again[0], err)
			}
		}
		_ = store(marks, 0, data, decodeMark)
		days := map[int][]control.Day{}
		if store(days, 0, data, decodeDays) == nil {
			same := map[int][]control.Day{}
			if err := store(same, 0, encodeDays(days[0]), decodeDays); err != nil || !slices.Equal(same[0], days[0]) {
				t.Errorf("%v read back as %v, error %v", days[0], same[0], err)
			}
		}
		reports, once := map[int]Report{}, map[int]Report{}
		if store(reports, 0, data, decodeReport) == nil {
			if err := store(once, 0, encodeReport(reports[0]), decodeReport); err != nil || once[0] != reports[0] {
				t.Errorf("%v read back as %v, error %v", reports[0], once[0], err)
			}
		}
		events := map[int][]control.Event{}
		if store(events, 0, data, decodeEvents) == nil {
			same := map[int][]control.Event{}
			if err := store(same, 0, encodeEvents(events[0]), decodeEvents); err != nil || !slices.Equal(same[0], events[0]) {
				t.Errorf("%v read back as %v, error %v", events[0], same[0], err)
			}
		}
		flushed := map[int]map[string]time.Time{}
		if store(flushed, 0, data, decodeFlushed) == nil {
			same := map[int]map[string]time.Time{}
			if err := store(same, 0, encodeFlushed(flushed[0]), decodeFlushed); err != nil || !maps.Equal(same[0], flushed[0]) {
				t.Errorf("%v read back as %v, error %v", flushed[0], same[0], err)
			}
		}
		times, again := map[int][]time.Time{}, map[int][]time.Time{}
		if store(times, 0, data, decodeTimes) == nil {
			if err := store(again, 0, encodeTimes(times[0]), decodeTimes); err != nil || !slices.Equal(again[0], times[0]) {
				t.Errorf("%v read back as %v, error %v", times[0], again[0], err)
			}
		}
		_, _ = parseWho(data)
	})
}
