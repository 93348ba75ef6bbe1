package journal

// maxStrings bounds what an attacker who makes up identifiers can make us keep.
const maxStrings = 1024

// Strings keeps one copy of each of the few strings that recur in a log (units, identifiers), so that a source does not
// allocate them for each entry. The zero value is ready to use. It belongs to one goroutine.
type Strings struct{ known map[string]string }

// Of returns b as a string that stays valid.
func (s *Strings) Of(b []byte) string {
	if known, ok := s.known[string(b)]; ok {
		return known
	}
	if s.known == nil || len(s.known) >= maxStrings {
		s.known = make(map[string]string)
	}
	text := string(b)
	s.known[text] = text
	return text
}
