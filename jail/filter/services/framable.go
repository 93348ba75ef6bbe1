package services

import (
	"regexp"
	"strings"
)

// This file is for who writes filters by program.

// Check reports why a client could have others banned with a pattern.
func Check(match string) error { return check(match, "") }

// Compile returns the expression of a pattern with tags, and the group of the address; 0: there is none.
func Compile(match string) (re *regexp.Regexp, addr int, err error) {
	m, err := newMatcher(match)
	if err != nil {
		return nil, 0, err
	}
	return m.re, max(m.re.SubexpIndex("addr"), 0), nil
}

// Risk says, as a sentence without a full stop, how a client can have others banned with the filter; empty: it cannot, as far as is known.
func (s *Service) Risk() string {
	switch {
	case s.because != "":
		return s.because
	case len(s.framable) > 0:
		return "whoever is read can have others banned with the pattern " + strings.Join(s.framable, ", ")
	}
	return ""
}

// Accepted reports whether the file says that the risk is known and taken. A jail must not read with a filter of which neither its file nor the
// jail's settings say that.
func (s *Service) Accepted() bool { return s.accepted }
