package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"exile/e2e/host"
	"exile/journal"
	"exile/journal/export"
	"exile/journal/follow"
	"exile/journal/journalfile"
)

// journalFormats are what journald can be told to write, by its environment. It ignores what it does not know, such as the
// compression method before version 253.
var journalFormats = []string{
	"SYSTEMD_JOURNAL_COMPACT=1 SYSTEMD_JOURNAL_KEYED_HASH=1 SYSTEMD_JOURNAL_COMPRESS=ZSTD",
	"SYSTEMD_JOURNAL_COMPACT=0 SYSTEMD_JOURNAL_KEYED_HASH=1 SYSTEMD_JOURNAL_COMPRESS=LZ4",
	"SYSTEMD_JOURNAL_COMPACT=0 SYSTEMD_JOURNAL_KEYED_HASH=0 SYSTEMD_JOURNAL_COMPRESS=XZ",
	"SYSTEMD_JOURNAL_COMPACT=1 SYSTEMD_JOURNAL_KEYED_HASH=1 SYSTEMD_JOURNAL_COMPRESS=0",
}

const (
	perFormat = 150 // numbers logged in each format
	journalNS = "other"
	archived  = "/var/log/journal/*/*@*.journal*" // with ~: what a reboot found open
	remote    = "/var/log/journal/remote/"
	dropIn    = "/etc/systemd/system/systemd-journald.service.d/e2e.conf"
)

// remoteFormats are what systemd-journal-remote can be told to write: by its environment, or with an option.
var remoteFormats = []struct{ environment, option string }{
	{"SYSTEMD_JOURNAL_COMPACT=1 SYSTEMD_JOURNAL_KEYED_HASH=1", "--compress=yes"},
	{"SYSTEMD_JOURNAL_COMPACT=1 SYSTEMD_JOURNAL_KEYED_HASH=1", "--compress=no"},
	{"SYSTEMD_JOURNAL_COMPACT=0 SYSTEMD_JOURNAL_KEYED_HASH=1", "--compress=yes"},
	{"SYSTEMD_JOURNAL_COMPACT=0 SYSTEMD_JOURNAL_KEYED_HASH=1", "--compress=no"},
	{"SYSTEMD_JOURNAL_COMPACT=0 SYSTEMD_JOURNAL_KEYED_HASH=0", "--compress=yes"},
	{"SYSTEMD_JOURNAL_COMPACT=0 SYSTEMD_JOURNAL_KEYED_HASH=0", "--compress=no"},
}

// TestJournal: what a real journald wrote in all its formats, before and after a reboot that set the clock back by a day, is
// read as journalctl reads it, and so is the output of systemd-journal-remote. A reader that stopped before the reboot misses
// nothing after it.
func TestJournal(t *testing.T) {
	t.Parallel()
	h := bare(t, nil)
	ctx := limit(t, 10*time.Minute)
	n, sealing := 0, false
	for i, format := range journalFormats {
		if i == 1 { // not all files
			sealing = seal(ctx, t, h)
		}
		setFormat(t, h, format, i < len(journalFormats)-1)
		n = tellAll(ctx, t, newTeller(h, ""), n)
	}
	// journald of a namespace lives as long as a service that logs to it.
	in(t, h, "systemd-run", "-q", "-p", "LogNamespace="+journalNS, "sleep", "infinity")
	tellAll(ctx, t, newTeller(h, "."+journalNS), 0)
	in(t, h, "journalctl", "--namespace="+journalNS, "--rotate")
	first := numbersFrom(ctx, t, journalOf(t, h, ""), journal.Position{}, n/2)
	setBack(t, h)
	if err := h.PowerOff(ctx); err != nil {
		t.Fatal(err)
	}
	if err := h.Start(ctx); err != nil {
		t.Fatal(err)
	}
	last := tellAll(ctx, t, newTeller(h, ""), n)
	rest := numbersFrom(ctx, t, journalOf(t, h, ""), first.end, last-1)
	checkReboot(t, first, rest, last)

	in(t, h, "journalctl", "--rotate")
	writeRemote(t, h)
	compareJournals(ctx, t, h, sealing)
}

// writeRemote makes the host's systemd-journal-remote write everything archived once in each format.
func writeRemote(t *testing.T, h *host.Host) {
	t.Helper()
	// One file after the other: given several at once, journalctl may omit entries where the clock was set back.
	in(t, h, "sh", "-c", "for f in "+archived+"; do journalctl --file $f -o export --all -q; done >/var/tmp/export && mkdir "+remote)
	for i, format := range remoteFormats {
		in(t, h, "sh", "-c", fmt.Sprintf("%s /lib/systemd/systemd-journal-remote %s -o %s%d@.journal - </var/tmp/export",
			format.environment, format.option, remote, i))
	}
}

// seal makes journald seal its new files, with a tag every second. It reports whether the host can do that.
func seal(ctx context.Context, t *testing.T, h *host.Host) bool {
	t.Helper()
	_, err := h.Run(ctx, "journalctl", "-q", "--setup-keys", "--interval=1s")
	if err != nil && strings.Contains(err.Error(), "not supported") {
		t.Log("SKIPPED: this host has no libgcrypt, and seals no files")
		return false
	}
	if err != nil {
		t.Fatal(err)
	}
	return true
}

// setFormat makes journald begin a file of that format.
func setFormat(t *testing.T, h *host.Host, environment string, compress bool) {
	t.Helper()
	in(t, h, "sh", "-c", fmt.Sprintf(`mkdir -p %s && printf '[Service]\nEnvironment=%s\n' >%s &&
		printf '[Journal]\nCompress=%v\n' >/etc/systemd/journald.conf.d/format.conf && systemctl daemon-reload &&
		systemctl restart systemd-journald && journalctl --rotate`, filepath.Dir(dropIn), environment, dropIn, compress))
}

// tellAll logs numbers from n on in all kinds of entries, and returns the next number.
func tellAll(ctx context.Context, t *testing.T, w *teller, n int) int {
	t.Helper()
	defer w.close()
	for i := range perFormat {
		fields := []string{"SYSLOG_IDENTIFIER=" + tag, fmt.Sprintf("MESSAGE=%d", n+i)}
		switch i % 5 {
		case 1:
			fields = append(fields, "BINARY=a\x00b\nc\xff=", "EMPTY=")
		case 2:
			fields = append(fields, "TWICE=one", "TWICE=two", "TWICE=one")
		case 3:
			fields = append(fields, "LARGE="+strings.Repeat(fmt.Sprintf("large %d ", i), 40*i))
		}
		if err := w.tell(ctx, fields...); err != nil {
			t.Fatal(err)
		}
	}
	return n + perFormat
}

// setBack makes journald believe from the next boot on that it is yesterday.
func setBack(t *testing.T, h *host.Host) {
	t.Helper()
	const library = "/usr/local/lib/yesterday.so"
	gcc := exec.Command("gcc", "-shared", "-fPIC", "-O2", "-o", h.Path(library), "testdata/yesterday.c")
	if out, err := gcc.CombinedOutput(); err != nil {
		t.Fatalf("compile: %v: %s", err, out)
	}
	in(t, h, "sh", "-c", `printf '[Service]\nEnvironment=LD_PRELOAD=`+library+`\n' >`+dropIn)
}

// numbered is what was read of a journal.
type numbered struct {
	numbers []int
	times   []time.Time
	gaps    []journal.Gap
	end     journal.Position
}

// numbersFrom reads until that number arrives.
func numbersFrom(ctx context.Context, t *testing.T, cfg follow.Config, from journal.Position, until int) (got numbered) {
	t.Helper()
	s, err := follow.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	err = s.Follow(ctx, journal.Start{Resume: from}, func(b journal.Batch) error {
		got.gaps = append(got.gaps, b.Gaps...)
		for i := range b.Entries {
			n := numberOf(&b.Entries[i])
			if n < 0 {
				continue
			}
			got.numbers, got.times = append(got.numbers, n), append(got.times, b.Entries[i].Time)
			if n == until {
				got.end = b.Entries[i].Position
				stop()
				return io.EOF
			}
		}
		return nil
	})
	if err != nil && !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	return got
}

// checkReboot compares what was read before and after a reboot with what was logged.
func checkReboot(t *testing.T, first, rest numbered, all int) {
	t.Helper()
	var want []int
	for n := range all {
		want = append(want, n)
	}
	if diff := cmp.Diff(want, slices.Concat(first.numbers, rest.numbers)); diff != "" {
		t.Errorf("numbers (-logged +read):\n%.2000s", diff)
	}
	if gaps := slices.Concat(first.gaps, rest.gaps); len(gaps) > 0 {
		t.Errorf("gaps: %+v", gaps)
	}
	if n := len(rest.times); n == 0 || !rest.times[n-1].Before(first.times[0]) {
		t.Error("the clock was not set back")
	}
}

// entryText is an entry as both sides print it: the cursor and all fields, sorted.
type entryText struct {
	cursor string
	fields string
}

const randomCursors = 100

// compareJournals reads every archived file, with journalctl and without.
func compareJournals(ctx context.Context, t *testing.T, h *host.Host, sealing bool) {
	t.Helper()
	files, err := filepath.Glob(h.Path(archived))
	if err != nil || len(files) < len(journalFormats)+len(remoteFormats)+2 {
		t.Fatalf("files: %q, %v", files, err)
	}
	flags, sealed, entries := make(map[string]int), 0, make(map[bool]int)
	for i, path := range files {
		inside := strings.TrimPrefix(path, h.Path("/"))
		header := in(t, h, "journalctl", "--header", "--file", inside)
		flags[valueOf(header, "Incompatible flags:")]++
		if valueOf(header, "Compatible flags:") != "" && valueOf(header, "Tag objects:") != "0" {
			sealed++
		}
		random := rand.New(rand.NewPCG(1, uint64(i)))
		n := compareJournal(ctx, t, h, inside, random, (randomCursors+len(files)-1)/len(files))
		entries[strings.HasPrefix(inside, remote)] += n
	}
	t.Logf("%d files, %d of them sealed, of the formats %v", len(files), sealed, flags)
	if entries[true] != len(remoteFormats)*entries[false] {
		t.Errorf("of %d entries %d were written again in %d formats", entries[false], entries[true], len(remoteFormats))
	}
	if version(t, h) >= 253 && (!has(flags, "COMPRESSED-XZ") || !has(flags, "COMPRESSED-LZ4")) {
		t.Errorf("nothing is compressed with XZ, or with LZ4: %v", flags)
	}
	if len(flags) < 4 || !has(flags, "COMPRESSED-ZSTD") || sealed == len(files) || (sealed > 0) != sealing {
		t.Errorf("%d of %d files are sealed, of the formats %v", sealed, len(files), flags)
	}
}

// compareJournal reads a whole file, then from random cursors on, forward and backward. It returns the number of its entries.
func compareJournal(ctx context.Context, t *testing.T, h *host.Host, inside string, random *rand.Rand, cursors int) int {
	t.Helper()
	path, want := h.Path(inside), journalctl(ctx, t, h, inside)
	sameEntries(t, inside, want, entriesOf(t, path, 0, (*journalfile.Cursor).Next))
	for range min(len(want), cursors) {
		from := want[random.IntN(len(want))].cursor
		p, err := journal.ParsePosition(from)
		if err != nil {
			t.Fatal(err)
		}
		sameEntries(t, inside+" from "+from, journalctl(ctx, t, h, inside, "--cursor", from),
			entriesOf(t, path, p.Seqnum, (*journalfile.Cursor).Next))
		sameEntries(t, inside+" back from "+from, journalctl(ctx, t, h, inside, "--reverse", "--cursor", from),
			entriesOf(t, path, p.Seqnum+1, (*journalfile.Cursor).Previous))
	}
	return len(want)
}

// has reports whether a file has that flag.
func has(flags map[string]int, flag string) bool {
	for f := range flags {
		if strings.Contains(f, flag) {
			return true
		}
	}
	return false
}

// version is the version of the host's systemd.
func version(t *testing.T, h *host.Host) (n int) {
	t.Helper()
	if _, err := fmt.Sscanf(in(t, h, "journalctl", "--version"), "systemd %d", &n); err != nil {
		t.Fatal(err)
	}
	return n
}

// valueOf returns what journalctl --header prints after the name.
func valueOf(header, name string) string {
	for line := range strings.Lines(header) {
		if value, ok := strings.CutPrefix(line, name); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

func sameEntries(t *testing.T, what string, want, got []entryText) {
	t.Helper()
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(entryText{})); diff != "" {
		t.Errorf("%s (-journalctl +ours):\n%.2000s", what, diff)
	}
}

// journalctl returns what the host's own journalctl says about a file.
func journalctl(ctx context.Context, t *testing.T, h *host.Host, inside string, args ...string) (all []entryText) {
	t.Helper()
	out, err := h.Run(ctx, append([]string{"journalctl", "--file", inside, "-o", "export", "--all", "-q"}, args...)...)
	if err != nil {
		t.Fatal(err)
	}
	for d := export.NewDecoder(strings.NewReader(out)); ; {
		fields, err := d.Next()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		var e entryText
		var lines []string
		for _, f := range fields {
			switch name := string(f.Name); {
			case name == "__CURSOR":
				e.cursor = string(f.Value)
			case !strings.HasPrefix(name, "__"):
				lines = append(lines, fmt.Sprintf("%s=%q", name, f.Value))
			}
		}
		slices.Sort(lines)
		e.fields = strings.Join(lines, "\n")
		all = append(all, e)
	}
}

// entriesOf returns what a cursor reads from a file, starting before the entry with that number.
func entriesOf(t *testing.T, path string, seqnum uint64, step func(*journalfile.Cursor) (bool, error)) (all []entryText) {
	t.Helper()
	f, err := journalfile.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	head, err := f.Header()
	if err != nil {
		t.Fatal(err)
	}
	c := f.Cursor(nil)
	if err := c.SeekSeqnum(seqnum); err != nil {
		t.Fatal(err)
	}
	for {
		ok, err := step(c)
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			return all
		}
		all = append(all, entryOf(t, c, head.SeqnumID))
	}
}

func entryOf(t *testing.T, c *journalfile.Cursor, id journal.ID) entryText {
	t.Helper()
	var lines []string
	for i := range c.Fields() {
		data, whole, err := c.Data(i, export.MaxValue)
		if err != nil || !whole {
			t.Fatalf("field %d: whole %v, %v", i, whole, err)
		}
		name, value, _ := bytes.Cut(data, []byte("="))
		lines = append(lines, fmt.Sprintf("%s=%q", name, value))
	}
	slices.Sort(lines)
	at := c.Entry()
	return entryText{at.Position(id).String(), strings.Join(lines, "\n")}
}
