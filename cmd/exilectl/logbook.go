package main

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"slices"
	"strings"
	"time"

	"exile/internal/announce"
	"exile/internal/control"
	"exile/internal/setup"
	"exile/journal"
	"exile/journal/journalfile"
)

// logbook is the journal as explain and why-not read it: from its end backwards, by its indexes.
type logbook struct {
	files    []*journalfile.File
	users    []string // that exiled may run as; none: of a directory of whatever host
	troubles []string // what could not be read
}

// maxQuoted is how much of a message is shown, in bytes.
const maxQuoted = 1024

// openLogbook opens the journal of this host or, if a directory is named, what is in it.
func openLogbook(dirs []string, named bool) (*logbook, error) {
	l := &logbook{}
	if !named {
		l.users = daemonUsers()
	}
	var denied error
	for _, path := range newestJournals(dirs, maxHistoryFiles) {
		f, err := journalfile.Open(path)
		switch {
		case err == nil:
			l.files = append(l.files, f)
		case errors.Is(err, fs.ErrPermission):
			denied = err
		case !errors.Is(err, fs.ErrNotExist): // journald has just removed it
			l.troubles = append(l.troubles, fmt.Sprintf("Skipping %s: %v", path, err))
		}
	}
	if len(l.files) == 0 {
		return l, cmp.Or(denied, fmt.Errorf("no journal that you may read in %s", strings.Join(dirs, " or ")))
	}
	if denied != nil {
		l.troubles = append(l.troubles, "Skipping journal files that only root and the groups systemd-journal and adm may read.")
	}
	return l, nil
}

func (l *logbook) close() {
	for _, f := range l.files {
		_ = f.Close() // it was only read
	}
	l.files = nil
}

// behind is a file that is read backwards, and the time of the entry that it is at.
type behind struct {
	*journalfile.Cursor
	at     uint64
	unread int
}

// back goes to the entry before; it returns false at the beginning of the file, and if too much cannot be read.
func (b *behind) back() bool {
	for {
		ok, err := b.Previous()
		if err == nil {
			b.at = b.Entry().Realtime
			return ok
		}
		if b.unread++; b.unread >= maxUnread || errors.Is(err, journalfile.ErrUnreadable) {
			return false
		}
	}
}

// backwards calls f with each entry that is wanted and not after a time, the newest first, until f returns false or there are none. It reads
// at most so many, and returns whether that ended it.
func (l *logbook) backwards(wanted setup.Sought, until time.Time, most int, f func(*journalfile.Cursor) bool) (exhausted bool, err error) {
	var open []*behind
	for _, file := range l.files {
		b, err := startBehind(file, wanted, until)
		if err != nil {
			l.troubles = append(l.troubles, fmt.Sprintf("Skipping %s: %v", file.Path(), err))
			continue
		}
		if b.back() {
			open = append(open, b)
		}
	}
	for n := 0; len(open) > 0; n++ {
		if n == most {
			return true, nil
		}
		newest := slices.MaxFunc(open, func(a, b *behind) int { return cmp.Compare(a.at, b.at) })
		if !f(newest.Cursor) {
			return false, nil
		}
		if !newest.back() {
			open = slices.DeleteFunc(open, func(b *behind) bool { return b == newest })
		}
	}
	return false, nil
}

func startBehind(file *journalfile.File, wanted setup.Sought, until time.Time) (*behind, error) {
	match, err := file.Match(wanted.Select)
	if err != nil {
		return nil, err
	}
	match.Deliver(wanted.Fields)
	b := &behind{Cursor: file.Cursor(match)}
	if until.IsZero() {
		return b, b.SeekTail()
	}
	return b, b.SeekRealtime(uint64(max(until.UnixMicro(), 0)) + 1)
}

// told is an event as the journal has it, with the entries behind it.
type told struct {
	control.Event
	traces []trace
}

// trace is an entry that led to a ban, as exiled announced it.
type trace struct {
	at       time.Time
	rule     string
	position journal.Position // zero: it cannot be found
}

// maxEvidence is the longest text that names the entries behind a ban.
const maxEvidence = 8192

// events returns the newest events about a network, all of it or a part, and those about whole jails, the newest first.
func (l *logbook) events(about netip.Prefix, most int) (all []told, err error) {
	_, err = l.backwards(setup.Sought{Select: l.ofEventsAbout(about)}, time.Time{}, maxBack, func(c *journalfile.Cursor) bool {
		if e, ok := readTold(c); ok && (e.Kind == control.BansRemoved || e.Ban.Prefix.Overlaps(about)) {
			all = append(all, e)
		}
		return len(all) < most
	})
	return all, err
}

// maxBack is how many entries are read for an answer at most, where the index cannot tell which.
const maxBack = 100_000

// ofEventsAbout selects events by the address that they name: itself and the networks around it. What is inside a network the index cannot
// tell.
func (l *logbook) ofEventsAbout(p netip.Prefix) journal.Selector {
	all := ofEvents(l.users)
	if !p.IsSingleIP() {
		return all
	}
	about := journal.Term{Field: "EXILE_ADDRESS"}
	for bits := p.Bits(); bits >= control.Widest(p); bits-- {
		wider, _ := p.Addr().Prefix(bits)
		about.Values = append(about.Values, control.FormatPrefix(wider))
	}
	sums := journal.Group{all[0][0], {Field: "MESSAGE_ID", Values: []string{announce.MessageID(control.BansRemoved)}}}
	return journal.Selector{append(slices.Clone(all[0]), about), append(sums, all[0][2:]...)}
}

// readTold reads the event that the cursor is at.
func readTold(c *journalfile.Cursor) (e told, ok bool) {
	fields := make(map[string]string)
	for i := range c.Fields() {
		data, _, err := c.Data(i, maxEvidence)
		if err != nil {
			continue
		}
		if name, value, ok := bytes.Cut(data, []byte("=")); ok && bytes.HasPrefix(name, []byte(announce.Prefix)) {
			fields[string(name)] = string(value)
		}
	}
	e.Event, ok = announce.Read(time.UnixMicro(int64(c.Entry().Realtime)), fields)
	for line := range strings.Lines(fields["EXILE_EVIDENCE"]) {
		words := strings.Fields(line)
		if len(words) < 2 {
			continue
		}
		at, err := time.Parse(time.RFC3339, words[0])
		if err != nil {
			continue
		}
		t := trace{at: at, rule: words[1]}
		if len(words) > 2 {
			t.position, _ = journal.ParsePosition(words[2]) // else the entry cannot be found
		}
		e.traces = append(e.traces, t)
	}
	return e, ok
}

// logEntry is an entry of the journal as it is shown.
type logEntry struct {
	Time    int64  `json:"time_usec"`
	Unit    string `json:"unit"` // or the identifier, if it has none
	PID     int32  `json:"pid"`
	Message string `json:"message"` // empty: it is no longer in the journal, or was in a text log
	Jail    string `json:"jail"`    // that reads it; empty: none
	Rule    string `json:"rule"`    // the pattern of the jail that it matches; empty: none
	User    string `json:"user"`
	Kind    string `json:"kind"` // what the jail takes it for; empty: unknown
}

func (e *logEntry) at() time.Time { return time.UnixMicro(e.Time) }

// find returns the entry at a position: only the file that it was numbered in can have it.
func (l *logbook) find(p journal.Position) (e logEntry, ok bool) {
	for _, f := range l.files {
		h, err := f.Header()
		if err != nil || h.SeqnumID != p.SeqnumID || p.Seqnum < h.HeadSeqnum || p.Seqnum > h.TailSeqnum {
			continue
		}
		c := f.Cursor(nil)
		if c.SeekSeqnum(p.Seqnum) != nil {
			continue
		}
		if ok, err := c.Next(); err == nil && ok && c.Entry().Seqnum == p.Seqnum && c.Entry().Realtime == p.Realtime {
			var e journal.Entry
			if _, _, err := c.Read(&e, nil, maxLogLine); err == nil {
				return shownOf(&e), true
			}
		}
	}
	return e, false
}

// shownOf is an entry as it is shown.
func shownOf(e *journal.Entry) logEntry {
	return logEntry{
		Time: e.Time.UnixMicro(), Unit: cmp.Or(e.Unit, e.Identifier), PID: e.PID, Message: string(e.Message[:min(len(e.Message), maxQuoted)]),
	}
}

// mentions reports whether a message has an address as a word of its own. Of a network, any address in it will do.
func mentions(message []byte, p netip.Prefix) bool {
	if !p.IsSingleIP() {
		return mentionsPart(message, p)
	}
	text := []byte(p.Addr().String())
	for from := 0; ; {
		i := bytes.Index(message[from:], text)
		if i < 0 {
			return false
		}
		i += from
		end := i + len(text)
		if (i == 0 || !ofAddress(message[i-1], p)) && (end == len(message) || !ofAddress(message[end], p) || endsSentence(message, end)) {
			return true
		}
		from = i + 1
	}
}

// ofAddress reports whether a byte would make the address beside it a longer one.
func ofAddress(b byte, p netip.Prefix) bool {
	if p.Addr().Is4() {
		return '0' <= b && b <= '9' || b == '.'
	}
	return '0' <= b && b <= '9' || 'a' <= b && b <= 'f' || 'A' <= b && b <= 'F' || b == ':' || b == '.'
}

// endsSentence reports whether the mark after an address does not belong to it.
func endsSentence(message []byte, at int) bool {
	return (message[at] == '.' || message[at] == ':') && (at+1 == len(message) || message[at+1] == ' ')
}

// mentionsPart looks for addresses in a network, word by word.
func mentionsPart(message []byte, p netip.Prefix) bool {
	word := func(r rune) bool {
		return r >= 0x80 || !ofAddress(byte(r), netip.PrefixFrom(netip.IPv6Unspecified(), 128))
	}
	for text := range bytes.FieldsFuncSeq(message, word) {
		if len(text) < len("::1") || len(text) > len("ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255") {
			continue
		}
		if a, err := netip.ParseAddr(strings.Trim(string(text), ".")); err == nil && p.Contains(a.Unmap()) {
			return true
		}
	}
	return false
}
