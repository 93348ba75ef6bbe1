package services

import (
	"errors"
	"net/netip"
	"strconv"

	"exile/jail"
	"exile/journal"
)

// maxLine is how many bytes of a line are read. Servers take requests of 8 kB, and write what they do not print as up to four bytes. What is
// longer matches nothing: its end is not known, and a client may not decide how long the daemon looks at its lines.
const maxLine = 16 << 10

// reader is a service's filter in one mode.
type reader struct {
	*Service
	counts []bool // by pattern
	peers  *peers // of the connections; nil: no pattern asks for them
}

// Filter returns the filter of the service in a mode: normal, ddos, extra or aggressive, which counts all. It may remember connections, and so is
// for one goroutine.
func (s *Service) Filter(mode string) jail.Filter {
	r := reader{Service: s, counts: make([]bool, len(s.patterns))}
	if s.connects {
		r.peers = newPeers()
	}
	for i, p := range s.patterns {
		r.counts[i] = p.kind != jail.Success && p.role == neither && (p.mode == modes[0] || p.mode == mode || mode == "aggressive")
	}
	return r
}

// Parse implements jail.Filter. Where the address is that of the connection, nobody's word counts without a sender: ParseEntry is what a jail asks.
func (r reader) Parse(message []byte) jail.Event {
	ev, i, id := r.parse(message)
	if id != nil && r.patterns[i].role == neither {
		return waiting(ev)
	}
	return ev
}

// ParseEntry implements jail.EntryFilter.
func (r reader) ParseEntry(e *journal.Entry) jail.Event {
	ev, i, id := r.parse(e.Message)
	if id == nil || r.peers == nil {
		return ev
	}
	return r.ofConnection(ev, i, id, e)
}

// event is what a line says that a pattern matches, without its texts.
func (r reader) event(i int) jail.Event {
	p := &r.patterns[i]
	return jail.Event{
		Kind: p.kind, Count: 1, Counts: r.counts[i], Unknown: p.unknown, Rule: p.name, Alone: r.alone, Brief: true, Ignored: p.role != neither,
	}
}

// parse returns what a line says, the pattern that matches it and, if that asks for one, the connection's id.
func (r reader) parse(message []byte) (ev jail.Event, i int, id []byte) {
	i, groups := r.match(message)
	if groups == nil {
		return jail.Event{Ignored: i < 0}, i, nil
	}
	p := &r.patterns[i]
	ev = r.event(i)
	if p.addr > 0 {
		addr, err := netip.ParseAddr(string(group(message, groups, p.addr)))
		if err != nil || !isRemote(addr.Unmap()) || !isWhole(message, groups[2*p.addr], groups[2*p.addr+1]) {
			return jail.Event{}, i, nil
		}
		ev.Addr = addr.Unmap().WithZone("")
	}
	if p.user > 0 {
		ev.User = group(message, groups, p.user)
	}
	if p.count > 0 {
		n, _ := strconv.Atoi(string(group(message, groups, p.count))) // up to three digits
		ev.Count = max(n, 1)
	}
	if p.conn > 0 {
		id = group(message, groups, p.conn)
	}
	return ev, i, id
}

// match returns the first pattern that matches and its groups, or nil; with -1 for a line that is ignored.
func (s *Service) match(message []byte) (int, []int) {
	if len(message) > maxLine {
		return 0, nil
	}
	for i := range s.patterns {
		p := &s.patterns[i]
		if len(s.ignore) > 0 && p.matches(message) && s.ignored(message) {
			return -1, nil
		}
		if groups := p.find(message); groups != nil {
			return i, groups
		}
	}
	return 0, nil
}

func (s *Service) ignored(message []byte) bool {
	for i := range s.ignore {
		if s.ignore[i].matches(message) {
			return true
		}
	}
	return false
}

// group returns the text of a group, which is empty if the group took no part in the match.
func group(message []byte, groups []int, n int) []byte {
	if groups[2*n] < 0 {
		return nil
	}
	return message[groups[2*n]:groups[2*n+1]]
}

// isWhole reports whether an address ends where the text from there to there does, and is not a part of a longer one.
func isWhole(message []byte, from, to int) bool {
	return (from == 0 || !isWord(message[from-1]) && message[from-1] != '.') && (to == len(message) || !isWord(message[to]))
}

func isWord(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '_'
}

// isRemote reports whether a client can have that address.
func isRemote(addr netip.Addr) bool { return !addr.IsUnspecified() && !addr.IsMulticast() }

// try reads the samples: each must be what it says, every pattern must have one, and one line must match nothing.
func (s *Service) try(samples []sample) error {
	var errs []error
	seen := make(map[string]bool)
	for _, sample := range samples {
		seen[sample.Pattern] = true
		if err := sample.try(s.Filter("aggressive")); err != nil {
			errs = append(errs, s.fault(sample.line, "sample %.200q: %w", sample.Line, err))
		}
	}
	for _, p := range s.patterns {
		if !seen[p.name] {
			errs = append(errs, s.fault(0, "pattern %q has no sample: a line that it must match", p.name))
		}
	}
	if !seen[nothing] {
		errs = append(errs, s.fault(0, "there is no sample with pattern: none, a line that no pattern may match"))
	}
	return errors.Join(errs...)
}
