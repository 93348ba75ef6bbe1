// Package efficacy replays login attempts of real hosts against detectors and says what each would have prevented.
package efficacy

import (
	"bufio"
	"cmp"
	"compress/gzip"
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
}

// LoadDir reads all *.tsv.gz and *.tsv files of a folder, in order of their names.
func LoadDir(dir string) ([]Host, error) {
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
		if hosts[i], err = loadFile(path); err != nil {
			return nil, err
		}
	}
	return hosts, nil
}

func loadFile(path string) (Host, error) {
	name, zipped := strings.CutSuffix(filepath.Base(path), ".gz")
	h := Host{Name: strings.TrimSuffix(name, ".tsv")}
	f, err := os.Open(path)
	if err != nil {
		return h, err
	}
	defer f.Close()
	text := io.Reader(f)
	if zipped {
		if text, err = gzip.NewReader(f); err != nil {
			return h, fmt.Errorf("%s: %w", path, err)
		}
	}
	h.Rows, err = Read(text)
	if err != nil {
		return h, fmt.Errorf("%s: %w", path, err)
	}
	return h, nil
}

// Read reads attempts: a line each, tab-separated, behind a line that names the columns.
func Read(r io.Reader) ([]Row, error) {
	var rows []Row
	lines := bufio.NewScanner(r)
	for n := 1; lines.Scan(); n++ {
		if strings.HasPrefix(lines.Text(), "start\t") {
			continue
		}
		row, err := parseRow(lines.Text())
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		rows = append(rows, row)
	}
	slices.SortStableFunc(rows, func(a, b Row) int { return a.Start.Compare(b.Start) })
	return rows, lines.Err()
}

func parseRow(line string) (r Row, err error) {
	f := strings.Split(line, "\t")
	if len(f) < 8 {
		return r, fmt.Errorf("%d columns, want 8", len(f))
	}
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
	if r.Guesses < 0 {
		return r, fmt.Errorf("%d guesses", r.Guesses)
	}
	r.Addr = r.Addr.Unmap()
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
