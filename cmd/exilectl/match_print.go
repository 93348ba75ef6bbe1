package main

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strconv"

	"exile/internal/human"
	"exile/jail"
)

// printLine prints a line for people or, as one object, for programs.
func (m *matcher) printLine(r *matched) error {
	m.summary.line(r)
	if m.out.wantJSON() {
		return m.out.document(r)
	}
	mark, color, attempts := " ", grey, ""
	if r.Counts {
		mark, color = "*", red
	}
	if r.Kind == "success" {
		color = green
	}
	if r.Attempts > 0 {
		attempts = "+" + strconv.Itoa(r.Attempts)
	}
	address := ""
	if r.Address != nil {
		address = *r.Address
	}
	m.out.line(mark, " ", fmt.Sprintf("%-7s %-17s ", r.Kind, r.Rule), m.out.paint(color, fmt.Sprintf("%-15s", address)),
		fmt.Sprintf(" %-4s ", attempts), strconv.Quote(r.message))
	if r.Nearest != "" {
		m.out.line("          ", m.out.paint(grey, fmt.Sprintf("%s matches up to %q", r.Nearest, r.Reached)))
	}
	return nil
}

// summary describes a file in numbers.
type summary struct {
	lines, counting, attempts, logins int
	kinds                             map[string]int
	addresses                         map[netip.Addr]int // attempts
	more                              bool               // there are more addresses than we count
}

// maxAddresses is how many addresses a summary distinguishes.
const maxAddresses = 1 << 18

func (s *summary) line(r *matched) {
	if s.kinds == nil {
		s.kinds = map[string]int{}
	}
	s.lines++
	s.kinds[r.Kind]++
	if r.Counts {
		s.counting++
	}
}

func (s *summary) add(a *jail.Attempt) {
	if a.Success {
		s.logins++
		return
	}
	s.attempts += a.Guesses
	if s.addresses == nil {
		s.addresses = map[netip.Addr]int{}
	}
	if _, known := s.addresses[a.Addr]; known || len(s.addresses) < maxAddresses {
		s.addresses[a.Addr] += a.Guesses
	} else {
		s.more = true
	}
}

// maxTop is how many addresses a summary lists.
const maxTop = 10

func (s *summary) print(c *console) {
	if !c.legend {
		return
	}
	addresses := human.Count(len(s.addresses), "addresses")
	if s.more {
		addresses = "more than " + addresses
	}
	if s.lines > 0 {
		c.line()
	}
	c.line(fmt.Sprintf("%s, %d counted: %s, %s, %s, %s, %d nothing.", human.Count(s.lines, "lines"), s.counting,
		human.Count(s.kinds["failure"], "failures"), human.Count(s.kinds["probe"], "probes"), human.Count(s.kinds["success"], "logins"),
		human.Count(s.kinds["end"], "ends"), s.kinds["none"]))
	c.line(fmt.Sprintf("%s from %s.", human.Count(s.attempts, "attempts"), addresses))
	type tally struct {
		addr netip.Addr
		n    int
	}
	var top []*tally // the program already contains a sort of this type
	for addr, n := range s.addresses {
		top = append(top, &tally{addr, n})
	}
	slices.SortFunc(top, func(a, b *tally) int { return cmp.Or(cmp.Compare(b.n, a.n), a.addr.Compare(b.addr)) })
	for _, t := range top[:min(maxTop, len(top))] {
		c.line(fmt.Sprintf("%8d  ", t.n), c.paint(red, t.addr.String()))
	}
}
