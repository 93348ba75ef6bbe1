// Package lists reads block lists, files of addresses that somebody calls bad, cuts out of them who is never banned, and keeps the rest in
// the kernel.
package lists

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"

	"exile/firewall"
)

const (
	// MaxFile is the maximum size of a file, in bytes.
	MaxFile = 64 << 20
	// MaxEntries is the maximum number of entries of a list.
	MaxEntries = 1_000_000
	// maxLine is the maximum length of a line, in bytes.
	maxLine = 64 << 10
	// maxBad is how many lines without an address are named.
	maxBad = 3
)

// The widest entries that a list may have: whoever writes a wider one means to close the host, or made a mistake.
const (
	widest4 = 8
	widest6 = 16
)

// Parsed is what a file says.
type Parsed struct {
	Ranges  []firewall.Range // merged
	Entries int              // addresses, networks and ranges that were read
	Wide    int              // entries left out because they are wider than /8 or, of IPv6, /16
	Bad     []int            // the first lines without an address; comments and a heading of columns are none
	BadMore int              // further such lines
}

// Parse reads a list: on each line the first address, network (192.0.2.0/24) or range (192.0.2.1-192.0.2.9) counts, and what
// stands beside it in other columns does not. Blanks, commas, semicolons, quotes and brackets separate columns, so plain text, CSV and
// JSON with a record on each line are read alike. # and // begin comments. It returns an error if there is more than a list may have.
func Parse(r io.Reader) (p Parsed, err error) {
	lines := bufio.NewScanner(io.LimitReader(r, MaxFile+1))
	lines.Buffer(nil, maxLine)
	size := 0
	var all []firewall.Range
	for n := 1; lines.Scan(); n++ {
		if size += len(lines.Bytes()) + 1; size > MaxFile {
			return p, fmt.Errorf("larger than %d bytes", MaxFile)
		}
		one, found, blank := parseLine(lines.Text())
		switch {
		case found && tooWide(one):
			p.Wide++
		case found:
			if p.Entries++; p.Entries > MaxEntries {
				return p, fmt.Errorf("more than %d entries", MaxEntries)
			}
			all = append(all, one)
		case !blank && n > 1: // the first line may name columns
			p.bad(n)
		}
	}
	if err := lines.Err(); errors.Is(err, bufio.ErrTooLong) {
		return p, fmt.Errorf("a line is longer than %d bytes", maxLine)
	} else if err != nil {
		return p, err
	}
	p.Ranges = merge(all)
	return p, nil
}

func (p *Parsed) bad(line int) {
	if len(p.Bad) < maxBad {
		p.Bad = append(p.Bad, line)
	} else {
		p.BadMore++
	}
}

// parseLine returns the entry of a line, or whether there is nothing but blanks and a comment.
func parseLine(line string) (one firewall.Range, found, blank bool) {
	line, _, _ = strings.Cut(line, "#")
	line, _, _ = strings.Cut(line, "//")
	blank = true
	for word := range strings.FieldsFuncSeq(line, separates) {
		if one, found = parseWord(word); found {
			return one, true, false
		}
		blank = false
	}
	return one, false, blank
}

func separates(r rune) bool {
	return r <= ' ' || strings.ContainsRune(`,;"'|{}[]()`, r) || r == 0xFEFF // the mark that some put at the beginning of a file
}

// parseWord reads an address, a network, or a range.
func parseWord(word string) (one firewall.Range, ok bool) {
	if from, to, is := strings.Cut(word, "-"); is {
		a, errA := netip.ParseAddr(from)
		b, errB := netip.ParseAddr(to)
		one = firewall.Range{From: a.Unmap(), To: b.Unmap()}
		ok = errA == nil && errB == nil && a.Zone() == "" && b.Zone() == "" && one.From.BitLen() == one.To.BitLen() && !one.To.Less(one.From)
		return one, ok
	}
	if strings.Contains(word, "/") {
		p, err := netip.ParsePrefix(word)
		if err != nil || p.Addr().Is4In6() {
			return one, false
		}
		return rangeOf(p), true
	}
	a, err := netip.ParseAddr(word)
	if err != nil || a.Zone() != "" {
		return one, false
	}
	return firewall.Range{From: a.Unmap(), To: a.Unmap()}, true
}

// tooWide reports whether a range has more addresses than the widest network may.
func tooWide(r firewall.Range) bool {
	if r.From.Is4() {
		return distance(r) >= 1<<(32-widest4)
	}
	return distance(r) >= 1<<(64-widest6)
}

// distance is how far the last address is from the first; of IPv6, how far the first 64 bits are.
func distance(r firewall.Range) uint64 {
	if r.From.Is4() {
		from, to := r.From.As4(), r.To.As4()
		return uint64(binary.BigEndian.Uint32(to[:]) - binary.BigEndian.Uint32(from[:]))
	}
	from, to := r.From.As16(), r.To.As16()
	return binary.BigEndian.Uint64(to[:8]) - binary.BigEndian.Uint64(from[:8])
}
