// Package printed reads logs as people have them in files: lines of text, or what journalctl printed with any --output that shows entries one
// by one, also compressed with gzip.
package printed

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"time"

	"exile/journal"
	"exile/journal/export"
	"exile/journal/textlog"
)

// Log is such a log.
type Log struct {
	r      *bufio.Reader
	name   string
	ref    textlog.Reference
	again  textlog.Repeats
	begun  bool
	number int // of the last line or, in JSON and the export format, entry
	export *export.Decoder
	names  *journal.Strings
	fields []string      // that Entry delivers besides those that entries have a place for
	full   journal.Entry // the last one of the export format, or of Entry
	words  journal.Strings
	looked bool       // ahead was filled
	ahead  []numbered // the lines up to the first one with a time, which Entry has still to return
}

// numbered is what Next returned.
type numbered struct {
	number int
	line   textlog.Line
	err    error
}

// New reads a log whose times, where they name no zone, are of that one.
func New(in *os.File, zone *time.Location) *Log {
	l := &Log{r: bufio.NewReaderSize(in, MaxLine), name: in.Name()}
	l.ref = textlog.Reference{Location: zone, Now: time.Now(), Boot: time.Unix(0, 0)}
	if info, err := in.Stat(); err == nil && info.Mode().IsRegular() {
		l.ref.Now = info.ModTime()
	}
	return l
}

// Next returns the next entry, or of a text log the next line, and its number. It is valid until the next call; at the end
// the error is io.EOF.
func (l *Log) Next() (number int, line textlog.Line, err error) {
	if _, err := l.Exported(); err != nil {
		return 0, line, err
	}
	if l.export != nil {
		line, err = l.entry()
	} else {
		line, err = l.line()
	}
	if err != nil && !errors.Is(err, io.EOF) {
		err = fmt.Errorf("failed to read %s: %w", l.name, err)
	}
	if !line.Time.IsZero() {
		l.ref.Last = line.Time
	}
	return l.number, line, err
}

// unzip reads the log through gzip if it is compressed.
func (l *Log) unzip() error {
	if magic, _ := l.r.Peek(2); string(magic) != "\x1f\x8b" {
		return nil
	}
	plain, err := gzip.NewReader(l.r)
	if err == nil {
		l.r = bufio.NewReaderSize(plain, MaxLine)
	}
	return err
}

// Form says what the lines of a text log look like. It is called before the first one is read.
func (l *Log) Form(form textlog.Form) { l.ref.Form = form }

// Deliver asks for fields of the export format that entries have no place of their own for, by their names.
func (l *Log) Deliver(fields []string) { l.fields = fields }

// Entry is Next for jails: a line is an entry of a text log, with the time of the line before if it has none that can be read. Those at the
// beginning have the time of the first line with one. In the export format an entry is as journald received it.
func (l *Log) Entry() (*journal.Entry, error) {
	number, line, err := l.following()
	if err != nil || l.export != nil {
		return &l.full, err
	}
	at := line.Time
	if at.IsZero() {
		at = l.ref.Last
	}
	if at.IsZero() {
		at = l.ref.Now
	}
	l.full = journal.Entry{
		Time: at, Transport: "text", Identifier: l.words.Of(line.Identifier), PID: line.PID, Message: line.Message, Fields: line.Fields(),
		Position: journal.Position{Seqnum: uint64(number)},
	}
	return &l.full, nil
}

// following is Next, after it has looked for the first time in the log.
func (l *Log) following() (number int, line textlog.Line, err error) {
	if !l.looked {
		l.looked = true
		l.lookAhead()
	}
	if len(l.ahead) > 0 {
		first := l.ahead[0]
		l.ahead = l.ahead[1:]
		return first.number, first.line, first.err
	}
	return l.Next()
}

// lookAhead reads the lines up to the first one with a time, as far as they are worth it.
func (l *Log) lookAhead() {
	if is, err := l.Exported(); is || err != nil {
		return
	}
	for size := 0; size < maxAhead && l.ref.Last.IsZero(); {
		number, line, err := l.Next()
		line.Identifier, line.Message = bytes.Clone(line.Identifier), bytes.Clone(line.Message)
		l.ahead = append(l.ahead, numbered{number, line, err})
		if err != nil {
			return
		}
		size += lineCost + len(line.Identifier) + len(line.Message)
	}
}

// maxAhead limits how much of a log without times is read ahead, in bytes; lineCost is what a line takes besides its text.
const (
	maxAhead = 256 << 10
	lineCost = 128
)

// Exported reports whether the log is in journalctl's export format, whose entries say what journald knows of them. It waits for the beginning
// of the log.
func (l *Log) Exported() (bool, error) {
	if l.begun {
		return l.export != nil, nil
	}
	l.begun = true
	if err := l.unzip(); err != nil {
		return false, fmt.Errorf("failed to read %s: %w", l.name, err)
	}
	if begin, _ := l.r.Peek(len(exportBegin)); string(begin) == exportBegin {
		l.export, l.names = export.NewDecoder(l.r), new(journal.Strings)
	}
	return l.export != nil, nil
}

// exportBegin begins each entry of journalctl's export format.
const exportBegin = "__CURSOR="

func (l *Log) entry() (textlog.Line, error) {
	l.number++
	fields, err := l.export.Next()
	if err != nil {
		return textlog.Line{}, err
	}
	e, err := export.Entry(fields, l.fields, l.names)
	l.full = e
	return textlog.Line{Time: e.Time, Identifier: []byte(e.Identifier), PID: e.PID, Message: e.Message}, err
}

func (l *Log) line() (textlog.Line, error) {
	text, err := ReadLine(l.r)
	if err != nil {
		return textlog.Line{}, err
	}
	l.number++
	text = bytes.TrimPrefix(bytes.TrimPrefix(text, []byte("\x1e")), []byte("data: ")) // json-seq, json-sse
	if string(text) == "{" {
		text = l.object()
	}
	if line, ok := parseObject(text); ok {
		return line, nil
	}
	line := textlog.ParseLine(text, l.ref)
	l.again.Expand(&line)
	return line, nil
}

// object returns an object that spans several lines, as json-pretty prints it.
func (l *Log) object() []byte {
	text := []byte("{")
	for len(text) < maxObject {
		line, err := ReadLine(l.r)
		if err != nil {
			break
		}
		text = append(text, line...)
		if string(line) == "}" {
			break
		}
	}
	return text
}

// maxObject limits an entry in JSON: 64 fields of 64 KB would be 4 MB, and sshd's entries have 2 KB.
const maxObject = 1 << 20

// object has the useful fields of an entry that journalctl prints as JSON.
type object struct {
	Message    jsonValue `json:"MESSAGE"`
	Identifier jsonValue `json:"SYSLOG_IDENTIFIER"`
	PID        jsonValue `json:"_PID"`
	Realtime   jsonValue `json:"__REALTIME_TIMESTAMP"`
}

func parseObject(text []byte) (line textlog.Line, ok bool) {
	var o object
	if len(text) == 0 || text[0] != '{' || json.Unmarshal(text, &o) != nil || o.Message == nil {
		return line, false
	}
	pid, _ := strconv.ParseUint(string(o.PID), 10, 31)
	line = textlog.Line{Identifier: o.Identifier, PID: int32(pid), Message: o.Message}
	if us, err := strconv.ParseInt(string(o.Realtime), 10, 64); err == nil {
		line.Time = time.UnixMicro(us)
	}
	return line, true
}

// jsonValue is a field's value: a string, or an array of numbers if it is not text, or an array of values, of which the first
// one wins.
type jsonValue []byte

// UnmarshalJSON implements [json.Unmarshaler].
func (v *jsonValue) UnmarshalJSON(data []byte) error {
	var several []json.RawMessage
	if json.Unmarshal(data, &several) == nil && len(several) > 0 && bytes.ContainsAny(several[0][:1], `"[`) {
		data = several[0]
	}
	var text string
	if json.Unmarshal(data, &text) == nil {
		*v = jsonValue(text)
		return nil
	}
	var numbers []number8 // not []byte, which is base64 in JSON
	if err := json.Unmarshal(data, &numbers); err != nil {
		return err
	}
	*v = make(jsonValue, 0, len(numbers))
	for _, n := range numbers {
		*v = append(*v, byte(n))
	}
	return nil
}

type number8 uint8

// MaxLine is how much of a line is read; sshd writes at most 500 bytes.
const MaxLine = 64 << 10

// ReadLine returns the next line without its end, cut at MaxLine. It is valid until the next call.
func ReadLine(r *bufio.Reader) ([]byte, error) {
	line, err := r.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		line = slices.Clone(line)
		for errors.Is(err, bufio.ErrBufferFull) {
			_, err = r.ReadSlice('\n')
		}
	}
	if len(line) > 0 && errors.Is(err, io.EOF) {
		err = nil
	}
	if n := len(line); n > 0 && line[n-1] == '\n' {
		line = line[:n-1]
	}
	return line, err
}
