package e2e

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"exile/e2e/host"
	"exile/journal"
	"exile/journal/follow"
)

// bare boots a host without exile, for tests of the code that reads its journal.
func bare(t testing.TB, files map[string]string) *host.Host {
	t.Helper()
	if err := host.Available(); err != nil {
		t.Skip("SKIPPED, NOTHING WAS TESTED:", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	h, err := host.Boot(ctx, host.Options{Lower: *root, Files: files})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	})
	return h
}

// in runs a command in the host that must succeed.
func in(t testing.TB, h *host.Host, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	out, err := h.Run(ctx, args...)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(out)
}

// journalOf returns where a host has its journal, or that of a namespace, and which boot is running.
func journalOf(t testing.TB, h *host.Host, namespace string) follow.Config {
	t.Helper()
	id := readHost(t, h, "/etc/machine-id") + namespace
	boot, err := hex.DecodeString(strings.ReplaceAll(readHost(t, h, "/proc/sys/kernel/random/boot_id"), "-", ""))
	if err != nil {
		t.Fatal(err)
	}
	return follow.Config{
		Dirs: []string{h.Path("/var/log/journal/" + id), h.Path("/run/log/journal/" + id)},
		Boot: journal.ID(boot),
	}
}

func readHost(t testing.TB, h *host.Host, name string) string {
	t.Helper()
	b, err := os.ReadFile(h.Path(name))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(b))
}

// teller logs to a host's journald in its own protocol.
type teller struct {
	path string
	conn net.Conn
}

func newTeller(h *host.Host, namespace string) *teller {
	return &teller{path: h.Path("/run/systemd/journal" + namespace + "/socket")}
}

// tell sends an entry. While journald is busy or absent it waits.
func (w *teller) tell(ctx context.Context, fields ...string) error {
	var b []byte
	for _, f := range fields {
		name, value, _ := strings.Cut(f, "=")
		b = append(append(b, name...), '\n')
		b = binary.LittleEndian.AppendUint64(b, uint64(len(value)))
		b = append(append(b, value...), '\n')
	}
	for {
		err := w.send(b)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(err, ctx.Err())
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func (w *teller) send(b []byte) (err error) {
	if w.conn == nil {
		if w.conn, err = net.Dial("unixgram", w.path); err != nil {
			w.conn = nil
			return err
		}
	}
	if _, err = w.conn.Write(b); err != nil {
		w.close()
	}
	return err
}

func (w *teller) close() {
	if w.conn != nil {
		_ = w.conn.Close() // a datagram is either sent or not
	}
	w.conn = nil
}

// tag is the SYSLOG_IDENTIFIER of the entries whose messages are numbers.
const tag = "exile-e2e-numbers"

func (w *teller) number(ctx context.Context, n int) error {
	return w.tell(ctx, "SYSLOG_IDENTIFIER="+tag, "MESSAGE="+strconv.Itoa(n))
}

// readerEnv tells this program to read a journal and to print what it finds.
const readerEnv = "EXILE_E2E_READER"

// reading is what a reader is told to do.
type reading struct {
	Config follow.Config
	Resume string
}

// line is what a reader reports of a batch, if it lives long enough.
type line struct {
	Position string
	Gaps     []journal.Gap
	Seqnums  []uint64
	Numbers  []int // -1: not one of our entries
}

// readJournal is the reader process.
func readJournal(told string, out io.Writer) error {
	var r reading
	if err := json.Unmarshal([]byte(told), &r); err != nil {
		return err
	}
	resume, err := journal.ParsePosition(r.Resume)
	if err != nil {
		return err
	}
	s, err := follow.New(r.Config)
	if err != nil {
		return err
	}
	return s.Follow(context.Background(), journal.Start{Resume: resume}, func(b journal.Batch) error {
		l := line{Position: b.Position.String(), Gaps: b.Gaps}
		for i := range b.Entries {
			l.Seqnums = append(l.Seqnums, b.Entries[i].Position.Seqnum)
			l.Numbers = append(l.Numbers, numberOf(&b.Entries[i]))
		}
		text, err := json.Marshal(l)
		if err != nil {
			return err
		}
		_, err = out.Write(append(text, '\n'))
		return err
	})
}

// numberOf returns the number that is the entry's message; -1 if there is none.
func numberOf(e *journal.Entry) int {
	if e.Identifier != tag {
		return -1
	}
	n, err := strconv.Atoi(string(e.Message))
	if err != nil {
		return -1
	}
	return n
}

// mortal follows a journal in a process that gets killed, and continues from the last batch that the process reported.
type mortal struct {
	reading
	seqnums []uint64
	numbers []int
	gaps    []journal.Gap
	lives   int
}

// live runs the reader until done, and kills it a moment later.
func (m *mortal) live(ctx context.Context, done func() bool, moment time.Duration) error {
	told, err := json.Marshal(m.reading)
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "/proc/self/exe")
	cmd.Env = []string{readerEnv + "=" + string(told)}
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	m.lives++
	err = m.listen(bufio.NewReader(out), done)
	time.Sleep(moment) // it reads on meanwhile
	_ = cmd.Process.Kill()
	_ = cmd.Wait() // it was killed
	if stderr.Len() > 0 {
		return errors.New(stderr.String())
	}
	return err
}

// listen takes what the reader says; an incomplete line does not count.
func (m *mortal) listen(r *bufio.Reader, done func() bool) error {
	for !done() {
		text, err := r.ReadBytes('\n')
		if err != nil {
			return nil // it is dead
		}
		var l line
		if err := json.Unmarshal(text, &l); err != nil {
			return err
		}
		m.Resume = l.Position
		m.seqnums, m.numbers = append(m.seqnums, l.Seqnums...), append(m.numbers, l.Numbers...)
		m.gaps = append(m.gaps, l.Gaps...)
	}
	return nil
}

// last is the last number that was read, -1 before the first.
func (m *mortal) last() int {
	for _, n := range slices.Backward(m.numbers) {
		if n >= 0 {
			return n
		}
	}
	return -1
}

// check reports what was read twice, out of order, or neither read nor reported as vacuumed. It returns how many were
// vacuumed.
func (m *mortal) check(t *testing.T) (vacuumed uint64) {
	t.Helper()
	for _, g := range m.gaps {
		if g.Kind != journal.GapVacuumed {
			t.Errorf("gap: %+v", g)
		}
		vacuumed += g.Entries
	}
	var skipped uint64
	number := -1
	for i, s := range m.seqnums {
		jump := uint64(1)
		if i > 0 {
			jump = s - m.seqnums[i-1]
		}
		if jump == 0 || jump > 1<<40 {
			t.Fatalf("entry %d after entry %d", s, m.seqnums[i-1])
		}
		skipped += jump - 1
		if n := m.numbers[i]; n >= 0 {
			if n <= number || uint64(n-number) > skipped+1 {
				t.Fatalf("number %d after %d at entry %d, where %d were skipped", n, number, s, skipped)
			}
			number = n
		}
	}
	if skipped != vacuumed {
		t.Errorf("%d entries were skipped, and %d reported as vacuumed: %+v", skipped, vacuumed, m.gaps)
	}
	return vacuumed
}
