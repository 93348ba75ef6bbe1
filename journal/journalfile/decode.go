package journalfile

import (
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

// decoder remembers the meaning of data objects: most fields of an entry are those of earlier entries, and then it does not
// look at the object.
type decoder struct {
	known   []known           // maxKnown, once there is one
	names   map[string]string // at most maxNames
	scratch []byte
}

// maxKnown is how many data objects are remembered for a file: more than an entry of any of its usual senders has.
const maxKnown = 256

// known is a data object that was looked at.
type known struct {
	off uint64
	meaning
}

// meaning is what a data object says.
type meaning struct {
	word   word
	number int64  // of pid and uid
	name   string // of transport, unit and identifier
}

// maxNames bounds the unit and program names kept for a file; if there are more, it forgets all and learns them again.
const maxNames = 4096

// longestName is the longest unit name or identifier that is kept; longer ones are cut.
const longestName = 256

// Read fills e with the current entry, all but Position and Replayed, and appends its message to buf, at most limit bytes;
// e.Message is that part of the returned slice. whole is false if the message was cut. If a field repeats, the first
// wins.
func (c *Cursor) Read(e *journal.Entry, buf []byte, limit int) (_ []byte, whole bool, err error) {
	defer c.f.guard(debug.SetPanicOnFault(true), &err)
	*e = journal.Entry{} // building it elsewhere and copying it here in larger pieces would stall the processor
	e.Time, e.Boot, e.UID = time.UnixMicro(int64(c.entry.Realtime)), c.entry.Boot, -1
	whole = true
	for i, w := range c.words {
		if w == unseen {
			if c.means[i], err = c.f.meaning(c.item(i)); err != nil {
				return buf, whole, err
			}
			w = c.means[i].word
			c.words[i] = w
		}
		switch w {
		case other:
		case message:
			if e.Message != nil {
				break
			}
			start := len(buf)
			buf, whole, err = c.f.message(buf, c.item(i), limit)
			if err != nil {
				return buf, whole, err
			}
			e.Message = buf[start:len(buf):len(buf)]
		default:
			c.means[i].tell(e)
		}
	}
	if len(c.m.fields) > 0 {
		err = c.others(e)
	}
	return buf, whole, err
}

// others puts the fields into e that the selector was told to deliver. If a field repeats, the first wins; one that is too long is missing.
func (c *Cursor) others(e *journal.Entry) error {
	for i, w := range c.words {
		if w != other {
			continue
		}
		b, err := c.f.near(c.item(i), typeData, c.f.dataPayload())
		if err != nil {
			return err
		}
		p := b[c.f.dataPayload():]
		if b[1]&compressed != 0 {
			if p, _, err = c.f.unzip.expand(c.f.words.scratch[:0], b[1], p, longestField); err != nil {
				return err
			}
			c.f.words.scratch = p
		}
		c.deliver(e, p)
	}
	return nil
}

// deliver puts a field into e if it is wanted.
func (c *Cursor) deliver(e *journal.Entry, p []byte) {
	for _, name := range c.m.fields {
		if len(p) <= len(name) || len(p) > len(name)+1+longestName || p[len(name)] != '=' || !hasPrefix(p, name) {
			continue
		}
		if e.Fields == nil {
			e.Fields = make(map[string]string, len(c.m.fields))
		}
		if _, has := e.Fields[name]; !has {
			e.Fields[name] = c.f.words.intern(p[len(name)+1:])
		}
	}
}

// longestField is how much of a compressed field is looked at: a name, which journald limits to 64 bytes, and the longest value.
const longestField = 64 + 1 + longestName + 1

// tell puts what the data object says into e.
func (m *meaning) tell(e *journal.Entry) {
	switch m.word {
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
}

// message appends the value of the MESSAGE at off to buf.
func (f *File) message(buf []byte, off uint64, limit int) (_ []byte, whole bool, err error) {
	const prefix = len("MESSAGE=")
	b, err := f.near(off, typeData, f.dataPayload())
	if err != nil {
		return buf, false, err
	}
	p := b[f.dataPayload():]
	if b[1]&compressed == 0 {
		p = p[min(prefix, len(p)):]
		n := min(len(p), limit)
		return append(buf, p[:n]...), n == len(p), nil
	}
	start := len(buf)
	buf, whole, err = f.unzip.expand(buf, b[1], p, prefix+limit)
	value := buf[min(start+prefix, len(buf)):]
	return append(buf[:start], value...), whole, err
}

// meaning says what the data object at off means.
func (f *File) meaning(off uint64) (meaning, error) {
	if f.win.main.at(off, objectHeader) != nil { // new: looking is as cheap as remembering
		return f.look(off)
	}
	if f.words.known == nil {
		f.words.known = make([]known, maxKnown)
	}
	k := &f.words.known[off/8%maxKnown]
	if k.off == off && off != 0 {
		return k.meaning, nil
	}
	m, err := f.look(off)
	if err == nil {
		k.off, k.meaning = off, m
	}
	return m, err
}

func (f *File) look(off uint64) (m meaning, err error) {
	b, err := f.near(off, typeData, f.dataPayload())
	if err != nil {
		return m, err
	}
	p := b[f.dataPayload():]
	if b[1]&compressed != 0 {
		p, _, err = f.unzip.expand(f.words.scratch[:0], b[1], p, longestPrefix+longestName)
		f.words.scratch = p
	}
	if err != nil {
		return m, err
	}
	w, prefix := whichWord(p)
	m.word = w
	value := p[prefix:min(len(p), prefix+longestName)]
	switch w {
	case pid, uid:
		m.number = number(value, w)
	case transport, unit, identifier:
		m.name = f.words.intern(value)
	}
	return m, nil
}

const longestPrefix = len("SYSLOG_IDENTIFIER=")

// whichWord says which field p begins with, and how long its name is with the equals sign.
func whichWord(p []byte) (word, int) {
	if len(p) < len("_PID=") {
		return other, 0
	}
	switch {
	case p[0] == 'M' && hasPrefix(p, "MESSAGE="):
		return message, len("MESSAGE=")
	case p[0] == 'S' && hasPrefix(p, "SYSLOG_IDENTIFIER="):
		return identifier, len("SYSLOG_IDENTIFIER=")
	case p[0] != '_':
		return other, 0
	case hasPrefix(p, "_PID="):
		return pid, len("_PID=")
	case hasPrefix(p, "_UID="):
		return uid, len("_UID=")
	case hasPrefix(p, "_TRANSPORT="):
		return transport, len("_TRANSPORT=")
	case hasPrefix(p, "_SYSTEMD_UNIT="):
		return unit, len("_SYSTEMD_UNIT=")
	default:
		return other, 0
	}
}

func hasPrefix(p []byte, prefix string) bool {
	return len(p) >= len(prefix) && string(p[:len(prefix)]) == prefix
}

// number reads a PID or UID, which journald wrote; anything else counts as unknown.
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

// intern returns b as a string, the same one each time. b may be in the mapping: it is copied before it is used as a key.
func (d *decoder) intern(b []byte) string {
	var own [longestName]byte
	b = own[:copy(own[:], b)]
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
