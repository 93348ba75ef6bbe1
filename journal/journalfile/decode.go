package journalfile

import (
	"bytes"
	"runtime/debug"
	"strconv"
	"time"

	"exile/journal"
)

// word is what a data object means to journal.Entry.
type word uint8

const (
	unseen word = iota
	other       // none of those below
	message
	pid
	uid
	transport
	unit
	identifier
)

// decoder remembers the meaning of data objects: most fields of an entry are those of the entry before, and then the
// object itself is not looked at.
type decoder struct {
	known   [1024]meaning
	names   map[string]string // at most maxNames
	scratch []byte
}

type meaning struct {
	off    uint64
	number int64
	name   string
	word   word
}

// maxNames bounds the unit and program names kept for a file; beyond it they are forgotten and learnt anew.
const maxNames = 4096

// longestName is the longest unit name or identifier that is kept; longer ones are cut.
const longestName = 256

var fieldWords = []struct {
	prefix []byte
	word   word
}{
	{[]byte("MESSAGE="), message},
	{[]byte("_PID="), pid},
	{[]byte("_UID="), uid},
	{[]byte("_TRANSPORT="), transport},
	{[]byte("_SYSTEMD_UNIT="), unit},
	{[]byte("SYSLOG_IDENTIFIER="), identifier},
}

// Read fills e with the current entry, all but Position.SeqnumID and Replayed, and appends its message to buf, at most
// limit bytes; e.Message is that part of the returned slice. whole is false when the message was cut. Of a repeated field
// the first counts.
func (c *Cursor) Read(e *journal.Entry, buf []byte, limit int) (_ []byte, whole bool, err error) {
	defer c.f.guard(debug.SetPanicOnFault(true), &err)
	*e = journal.Entry{
		Position: c.entry.Position(journal.ID{}),
		Time:     time.UnixMicro(int64(c.entry.Realtime)),
		Boot:     c.entry.Boot,
		UID:      -1,
	}
	whole = true
	for _, off := range c.items {
		m, err := c.f.meaning(off)
		if err != nil {
			return buf, whole, err
		}
		switch m.word {
		case message:
			if e.Message == nil {
				start := len(buf)
				buf, whole, err = c.f.message(buf, off, limit)
				e.Message = buf[start:len(buf):len(buf)]
			}
		case pid:
			e.PID = int32(m.number)
		case uid:
			e.UID = m.number
		case transport:
			e.Transport = m.name
		case unit:
			e.Unit = m.name
		case identifier:
			if e.Identifier == "" {
				e.Identifier = m.name
			}
		}
		if err != nil {
			return buf, whole, err
		}
	}
	return buf, whole, nil
}

// message appends the value of the MESSAGE at off to buf.
func (f *File) message(buf []byte, off uint64, limit int) (_ []byte, whole bool, err error) {
	const prefix = len("MESSAGE=")
	start := len(buf)
	buf, whole, err = f.payload(buf, off, prefix+limit)
	if len(buf)-start < prefix {
		return buf[:start], whole, err
	}
	return append(buf[:start], buf[start+prefix:]...), whole, err
}

// meaning says what the data object at off means. The answer is valid until the next call.
func (f *File) meaning(off uint64) (*meaning, error) {
	m := &f.words.known[off/8%uint64(len(f.words.known))]
	if m.off == off {
		return m, nil
	}
	got, err := f.look(off)
	if err != nil {
		return nil, err
	}
	*m = got
	return m, nil
}

func (f *File) look(off uint64) (meaning, error) {
	const enough = len("SYSLOG_IDENTIFIER=") + longestName
	buf, _, err := f.payload(f.words.scratch[:0], off, enough)
	f.words.scratch = buf
	m := meaning{off: off, word: other}
	if err != nil {
		return m, err
	}
	for i := range fieldWords {
		value, ok := bytes.CutPrefix(buf, fieldWords[i].prefix)
		if !ok {
			continue
		}
		m.word = fieldWords[i].word
		switch m.word {
		case pid, uid:
			m.number = number(value, m.word)
		case transport, unit, identifier:
			m.name = f.words.intern(value)
		}
		break
	}
	return m, nil
}

// number reads a PID or UID, which journald wrote; what is none counts as unknown.
func number(b []byte, w word) int64 {
	if w == pid {
		n, err := strconv.ParseUint(string(b), 10, 31)
		if err != nil {
			return 0
		}
		return int64(n)
	}
	n, err := strconv.ParseUint(string(b), 10, 32)
	if err != nil {
		return -1
	}
	return int64(n)
}

func (d *decoder) intern(b []byte) string {
	if s, ok := d.names[string(b)]; ok {
		return s
	}
	if d.names == nil || len(d.names) >= maxNames {
		d.names = make(map[string]string)
	}
	s := string(b)
	d.names[s] = s
	return s
}
