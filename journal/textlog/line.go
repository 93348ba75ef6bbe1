package textlog

import (
	"bytes"
	"time"
)

// Line is a line of a log taken apart. Its slices are parts of the line.
type Line struct {
	Time       time.Time // zero: the line has no stamp that we know, or an implausible one
	Host       []byte    // that logged it; empty if the line has none, or no tag
	Identifier []byte    // the tag, without the PID; empty when there is none
	PID        int32     // 0 when there is none
	Priority   string    // as journald has it: "3" or "6", for the two outputs of a container; empty: the form has none
	Message    []byte    // what follows the stamp, the host and the tag; all of the line if there is no stamp
}

// Fields returns what an entry has in its Fields.
func (l *Line) Fields() map[string]string {
	if l.Priority == "" {
		return nil
	}
	return map[string]string{"PRIORITY": l.Priority}
}

// ParseLine takes the syslog prefix off a line, which comes without its newline: "Jan  2 15:04:05 host tag[pid]: ", the
// same with an ISO 8601 stamp, or the header of RFC 5424. Of a line of [FormLine] it only finds the time. It keeps nothing and,
// unless the text of a line of [FormDocker] has escapes, allocates nothing.
func ParseLine(line []byte, ref Reference) Line {
	if ref.Location == nil {
		ref.Location = time.UTC
	}
	whole := Line{Message: line}
	if ref.Form == FormLine {
		whole.Time = plausible(lineTime(line, &ref), &ref)
		return whole
	}
	if ref.Form == FormDocker {
		d, _ := parseDocker(line, &ref) // what cannot be read says nothing
		l := Line{Time: plausible(d.at, &ref), Priority: "6", Message: d.text}
		if d.errors {
			l.Priority = "3"
		}
		return l
	}
	rest, modern := priority(line)
	bracket := len(rest) > 0 && rest[0] == '['
	if bracket {
		rest = rest[1:]
	}
	at, rest, ok := syslogStamp(rest, &ref)
	if !ok {
		return whole
	}
	if bracket {
		if rest, ok = bytes.CutPrefix(rest, []byte("]")); !ok {
			return whole
		}
	}
	l := Line{Time: at, Message: bytes.TrimPrefix(rest, []byte(" "))}
	switch {
	case len(rest) == 0 || rest[0] != ' ': // what follows is not a host
	case modern:
		l.header(l.Message)
	default:
		l.hostAndTag(l.Message)
	}
	return l
}

// priority takes "<34>" or, of RFC 5424, "<34>1 " off the line; modern is true for the latter.
func priority(line []byte) (rest []byte, modern bool) {
	if len(line) == 0 || line[0] != '<' {
		return line, false
	}
	end := bytes.IndexByte(line[:min(len(line), 5)], '>')
	if end < 0 {
		return line, false
	}
	if _, ok := digits(line[1:end]); !ok {
		return line, false
	}
	rest = line[end+1:]
	return bytes.CutPrefix(rest, []byte("1 "))
}

// header reads "host app procid msgid [data] message" of RFC 5424.
func (l *Line) header(b []byte) {
	var words [4][]byte
	for i := range words {
		var ok bool
		if words[i], b, ok = bytes.Cut(b, []byte(" ")); !ok {
			return
		}
	}
	b, ok := structuredData(b)
	if !ok {
		return
	}
	l.Host = words[0]
	if string(words[1]) != "-" {
		l.Identifier = words[1]
	}
	l.PID = pid(words[2])
	b = bytes.TrimPrefix(b, []byte(" "))
	l.Message = bytes.TrimPrefix(b, []byte("\xef\xbb\xbf"))
}

// structuredData skips "-" or `[id name="value"][...]`, where a backslash escapes the next byte.
func structuredData(b []byte) ([]byte, bool) {
	if len(b) > 0 && b[0] == '-' {
		return b[1:], true
	}
	for len(b) > 0 && b[0] == '[' {
		end := elementEnd(b)
		if end < 0 {
			return b, false
		}
		b = b[end+1:]
	}
	return b, true
}

// elementEnd finds the bracket that ends the element at the beginning of b; -1 when there is none.
func elementEnd(b []byte) int {
	quoted := false
	for i := 0; i < len(b); i++ {
		switch b[i] {
		case '\\':
			i++
		case '"':
			quoted = !quoted
		case ']':
			if !quoted {
				return i
			}
		}
	}
	return -1
}

// hostAndTag reads "host tag[pid]: message". The host may be missing, and BusyBox puts "facility.level" after it. A
// line without a tag in these places is all message.
func (l *Line) hostAndTag(b []byte) {
	if l.tag(b) {
		return
	}
	host, _, _ := bytes.Cut(b, []byte(" "))
	for range 2 {
		var ok bool
		if _, b, ok = bytes.Cut(b, []byte(" ")); !ok {
			return
		}
		if l.tag(b) {
			l.Host = host
			return
		}
		if word, _, _ := bytes.Cut(b, []byte(" ")); bytes.IndexByte(word, '.') < 0 {
			return
		}
	}
}

// tag reads "sshd[123]: " or "sshd: " at the beginning of b.
func (l *Line) tag(b []byte) bool {
	word, message, ok := bytes.Cut(b, []byte(" "))
	if !ok { // a tag at the end of the line: the message is empty
		message = nil
	}
	word, ok = bytes.CutSuffix(word, []byte(":"))
	if !ok {
		return false
	}
	name, number := word, int32(0)
	if open := bytes.IndexByte(word, '['); open >= 0 && word[len(word)-1] == ']' {
		name, number = word[:open], pid(word[open+1:len(word)-1])
	}
	if !isName(name) {
		return false
	}
	l.Identifier, l.PID, l.Message = name, number, message
	return true
}

// isName reports whether b can be the name of a program, as syslog writes it, or of a unit, which may have addresses in it.
func isName(b []byte) bool {
	others := []byte("-_./()@+")
	if bytes.HasSuffix(b, []byte(".service")) {
		others = []byte(`-_./()@+:\`)
	}
	for _, c := range b {
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if !letter && !isDigit(c) && bytes.IndexByte(others, c) < 0 {
			return false
		}
	}
	return len(b) > 0
}

// pid returns 0 for anything but a PID.
func pid(b []byte) int32 {
	if len(b) > 9 {
		return 0
	}
	n, _ := digits(b)
	return int32(n)
}
