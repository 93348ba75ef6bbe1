// Package efficacy replays login attempts of real hosts against detectors and says what each would have prevented.
package efficacy

import (
	"bufio"
	"cmp"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"math"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Row is one attempt: one sshd connection that offered a user name.
type Row struct {
	Start, Last time.Time // of the connection, and of its last failure
	Addr        netip.Addr
	User        string
	Guesses     int
	Success     bool
	Unknown     bool // the host has no such user
	Method      string
}

// Host is all attempts on one host, in order of their start.
type Host struct {
	Name string
	Rows []Row

	legit map[netip.Addr]bool // see legitimate; nil: not looked for yet
}

// judged is the host with its legitimate addresses looked for, once for many replays.
func (h Host) judged() Host {
	if h.legit == nil {
		h.legit = legitimate(h.Rows)
	}
	return h
}

// LoadDir reads all *.tsv.gz and *.tsv files of a folder, in order of their names. What it leaves out of a file it reports.
func LoadDir(dir string, report func(error)) ([]Host, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var paths []string
	for _, e := range entries {
		if name := strings.TrimSuffix(e.Name(), ".gz"); filepath.Ext(name) == ".tsv" {
			paths = append(paths, filepath.Join(dir, e.Name()))
		}
	}
	if len(paths) == 0 {
		return nil, fmt.Errorf("no *.tsv.gz in %s: DATA must name a folder of attempts", dir)
	}
	hosts := make([]Host, len(paths))
	for i, path := range paths {
		var bad Unreadable
		if hosts[i], bad, err = loadFile(path); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		if bad.Rows > 0 {
			report(fmt.Errorf("%s: %w", path, bad))
		}
	}
	return hosts, nil
}

func loadFile(path string) (Host, Unreadable, error) {
	name, zipped := strings.CutSuffix(filepath.Base(path), ".gz")
	h := Host{Name: strings.TrimSuffix(name, ".tsv")}
	f, err := os.Open(path)
	if err != nil {
		return h, Unreadable{}, err
	}
	defer f.Close()
	text := io.Reader(f)
	if zipped {
		text, err = gzip.NewReader(f)
		if errors.Is(err, io.EOF) { // an empty file is a host that nobody called on
			return h, Unreadable{}, nil
		}
		if err != nil {
			return h, Unreadable{}, err
		}
	}
	var bad Unreadable
	h.Rows, bad, err = Read(text)
	return h, bad, err
}

// Unreadable is what was left out of a file because it is no attempt.
type Unreadable struct {
	Rows  int
	Line  int   // of the first
	First error // why
}

// Error implements error.
func (u Unreadable) Error() string {
	return fmt.Sprintf("left out %d lines that are no attempts; the first is line %d: %v", u.Rows, u.Line, u.First)
}

func (u *Unreadable) note(line int, err error) {
	if u.Rows++; u.Rows == 1 {
		u.Line, u.First = line, err
	}
}

// maxLine bounds a line, in bytes.
const maxLine = 1 << 20

// Read reads attempts: a line each, tab-separated, behind a line that names the columns, in any order of time. Lines that
// are none are left out and counted; a file of nothing else is an error.
func Read(r io.Reader) ([]Row, Unreadable, error) {
	var rows []Row
	var bad Unreadable
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxLine)
	n := 0
	for n = 1; lines.Scan(); n++ {
		if strings.HasPrefix(lines.Text(), "start\t") || strings.TrimSpace(lines.Text()) == "" {
			continue
		}
		row, err := parseRow(lines.Text())
		if err != nil {
			bad.note(n, err)
			continue
		}
		rows = append(rows, row)
	}
	if err := lines.Err(); err != nil {
		return nil, bad, fmt.Errorf("line %d: %w", n, err)
	}
	if len(rows) == 0 && bad.Rows > 0 {
		return nil, bad, fmt.Errorf("no attempts in it; line %d: %w", bad.Line, bad.First)
	}
	slices.SortStableFunc(rows, func(a, b Row) int { return a.Start.Compare(b.Start) })
	return rows, bad, nil
}

// columns are start, last failure, address, user, guesses, success, unknown, method. Those after the address may be
// missing.
const columns = 8

// maxGuesses bounds what one connection can have guessed.
const maxGuesses = 1_000_000

func parseRow(line string) (r Row, err error) {
	f := strings.Split(line, "\t")
	if len(f) < 3 {
		return r, fmt.Errorf("%d columns, want %d with tabs between them", len(f), columns)
	}
	f = append(f, make([]string, columns)...)
	if r.Start, err = parseTime(f[0]); err != nil {
		return r, err
	}
	if r.Last, err = parseTime(cmp.Or(f[1], f[0])); err != nil {
		return r, err
	}
	if r.Addr, err = netip.ParseAddr(f[2]); err != nil {
		return r, err
	}
	if r.Guesses, err = strconv.Atoi(cmp.Or(f[4], "0")); err != nil {
		return r, err
	}
	if r.Guesses < 0 || r.Guesses > maxGuesses {
		return r, fmt.Errorf("%d guesses: must be 0 to %d", r.Guesses, maxGuesses)
	}
	r.Addr = r.Addr.Unmap().WithZone("")
	r.User, r.Success, r.Unknown, r.Method = f[3], f[5] == "1", f[6] == "1", f[7]
	return r, nil
}

// parseTime reads seconds since 1970, with or without a fraction.
func parseTime(s string) (time.Time, error) {
	sec, err := strconv.ParseFloat(s, 64)
	if err == nil && !(sec >= 0 && sec <= math.MaxUint32) {
		err = fmt.Errorf("%q seconds since 1970: must be 0 to %d", s, uint32(math.MaxUint32))
	}
	return time.UnixMicro(int64(sec * 1e6)), err
}
