package services

import "regexp"

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

// Framable returns the patterns with which a client can have others banned, by what the file says, and which nobody has accepted yet. A jail
// must not read with these.
func (s *Service) Framable() []string { return s.framable }
