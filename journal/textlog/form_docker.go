package textlog

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"time"
)

// dockerLine is a line of Docker's json-file driver (moby, daemon/logger/jsonfilelog): {"log":"text\n","stream":"stdout","time":"2026-11-30T15:04:05.123Z"}.
// A line of the container that is longer than 16 KB is in several such objects, of which only the last has the line end.
type dockerLine struct {
	text   []byte // what the container printed, without the line end
	errors bool   // to standard error
	whole  bool   // the line ends here
	at     time.Time
}

// parseDocker takes such an object apart. A container chooses only what is in the string of "log", where the daemon escapes quotes.
func parseDocker(line []byte, ref *Reference) (d dockerLine, ok bool) {
	if len(line) == 0 || line[0] != '{' {
		return d, false
	}
	log, known := []byte(nil), false
	for rest, more := line[1:], true; more; rest, more = jsonMark(rest, ',') {
		var key, value []byte
		if key, rest, ok = jsonString(jsonSpace(rest)); !ok {
			return d, false
		}
		if rest, ok = jsonMark(rest, ':'); !ok {
			return d, false
		}
		if value, rest, ok = jsonValue(jsonSpace(rest)); !ok {
			return d, false
		}
		switch string(key) {
		case "log":
			log, known = value, true
		case "stream":
			d.errors = string(value) == `"stderr"`
		case "time":
			text, _, _ := jsonString(value)
			d.at, _, _ = iso8601(text, ref)
		}
	}
	if !known {
		return d, false
	}
	d.text, ok = unescaped(log)
	text, whole := bytes.CutSuffix(d.text, []byte("\n"))
	d.text, d.whole = bytes.TrimSuffix(text, []byte("\r")), whole
	return d, ok
}

// unescaped returns the text of a string in JSON.
func unescaped(value []byte) ([]byte, bool) {
	text, rest, ok := jsonString(value)
	if !ok || len(rest) > 0 {
		return nil, false
	}
	if bytes.IndexByte(text, '\\') < 0 {
		return text, true
	}
	var s string
	err := json.Unmarshal(value, &s)
	return []byte(s), err == nil
}

// dockerPieces knows which of the two outputs of a container is within a line. What goes on with a line is text that a client may have chosen to
// the letter, and would read like a line of its own.
type dockerPieces struct{ open [2]bool }

// goesOn reports whether the object goes on with a line, and notes whether the next one does. Of one that cannot be read nothing is known.
func (p *dockerPieces) goesOn(line []byte, ref *Reference) bool {
	d, ok := parseDocker(line, ref)
	if !ok {
		p.open = [2]bool{true, true}
		return true
	}
	output := 0
	if d.errors {
		output = 1
	}
	goes := p.open[output]
	p.open[output] = !d.whole
	return goes
}

// goesOn reports whether the text, which begins at the offset of the file, goes on with a line.
func (f *file) goesOn(text []byte, ref *Reference) bool {
	if f.pieces == nil {
		f.pieces = f.piecesBefore(f.offset, ref)
	}
	return f.pieces.goesOn(text, ref)
}

// piecesBefore reads what precedes an offset of the file, to know whether a line goes on there.
func (f *file) piecesBefore(offset int64, ref *Reference) *dockerPieces {
	p := new(dockerPieces)
	before := make([]byte, min(offset, maxLine))
	n, err := f.f.ReadAt(before, offset-int64(len(before)))
	if err != nil && !errors.Is(err, io.EOF) {
		return p
	}
	before = before[:n]
	if int64(n) < offset { // it may begin within a line
		_, before, _ = bytes.Cut(before, []byte("\n"))
	}
	for line := range bytes.Lines(before) {
		p.goesOn(bytes.TrimSuffix(line, []byte("\n")), ref)
	}
	return p
}
