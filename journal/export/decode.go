package export

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
)

// Limits of what is kept of an entry. A program can log fields of any length (for example a core dump): the decoder reads
// the rest and drops it.
const (
	MaxValue  = 64 << 10 // bytes of a value
	maxEntry  = 1 << 20  // bytes of all values of an entry
	maxFields = 1024     // fields of an entry; further ones are skipped
	maxName   = 64       // bytes of a name, as journald has it
)

// ErrFormat is the error for a stream that is not in the journal export format.
var ErrFormat = errors.New("not the journal export format")

// Field is one field of an entry. A name may occur several times. The slices are valid until the next call of Next.
type Field struct {
	Name  []byte
	Value []byte
	Cut   bool // the value is longer than what is kept
}

// Decoder reads entries in the journal export format, see systemd.io/JOURNAL_EXPORT_FORMATS. It does not trust
// the stream: memory is bounded, whatever lengths it claims.
type Decoder struct {
	r      *bufio.Reader
	fields []Field
	spans  []span
	bytes  []byte // of names and values of the entry
}

// span is where a field is in the decoder's bytes, which move while they grow.
type span struct {
	name, value, end int
	cut              bool
}

// NewDecoder returns a decoder of r, which it buffers.
func NewDecoder(r io.Reader) *Decoder { return &Decoder{r: bufio.NewReaderSize(r, MaxValue)} }

// Buffered reports whether Next may find something without waiting for the reader.
func (d *Decoder) Buffered() bool { return d.r.Buffered() > 0 }

// Next returns the fields of the next entry, at least one. The error is io.EOF after the last entry,
// io.ErrUnexpectedEOF within one, ErrFormat, or that of the reader. After an error the decoder cannot be used.
func (d *Decoder) Next() ([]Field, error) {
	d.spans, d.bytes, d.fields = d.spans[:0], d.bytes[:0], d.fields[:0]
	for begun := false; ; begun = true {
		last, err := d.field()
		for last && err == nil && !begun { // blank lines before an entry
			last, err = d.field()
		}
		switch {
		case err == io.EOF && begun: //nolint:errorlint // field returns it bare, and wrapped it would mean something else
			return nil, io.ErrUnexpectedEOF
		case err != nil:
			return nil, err
		case last:
			return d.collect(), nil
		}
	}
}

func (d *Decoder) collect() []Field {
	for _, s := range d.spans {
		d.fields = append(d.fields, Field{Name: d.bytes[s.name:s.value], Value: d.bytes[s.value:s.end], Cut: s.cut})
	}
	return d.fields
}

// field reads one field, or the blank line after the last one. It returns a bare io.EOF only at the beginning of a line.
func (d *Decoder) field() (last bool, err error) {
	line, err := d.r.ReadSlice('\n')
	switch {
	case errors.Is(err, io.EOF) && len(line) == 0:
		return false, io.EOF
	case errors.Is(err, io.EOF):
		return false, io.ErrUnexpectedEOF
	case err != nil && !errors.Is(err, bufio.ErrBufferFull):
		return false, err
	}
	if len(line) == 1 && err == nil {
		return true, nil
	}
	whole := err == nil
	if whole {
		line = line[:len(line)-1]
	}
	name, value, equals := cutName(line)
	if !validName(name) || !equals && !whole {
		return false, fmt.Errorf("%w: %.64q where a field should begin", ErrFormat, line)
	}
	s := d.begin(name)
	switch {
	case !equals:
		err = d.binary(&s)
	case whole:
		err = nil
		d.keep(&s, value)
	default:
		d.keep(&s, value)
		err = d.text(&s)
	}
	d.end(s)
	return false, err
}

// cutName is bytes.Cut at "=", but looks no further than the longest name.
func cutName(line []byte) (name, value []byte, equals bool) {
	for i, c := range line[:min(len(line), maxName+1)] {
		if c == '=' {
			return line[:i], line[i+1:], true
		}
	}
	return line, nil, false
}

func validName(name []byte) bool {
	for _, c := range name {
		if (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '_' {
			return false
		}
	}
	return len(name) > 0 && len(name) <= maxName
}

func (d *Decoder) begin(name []byte) span {
	s := span{name: len(d.bytes)}
	d.bytes = append(d.bytes, name...)
	s.value = len(d.bytes)
	return s
}

func (d *Decoder) end(s span) {
	s.end = len(d.bytes)
	if len(d.spans) == maxFields {
		d.bytes = d.bytes[:s.name]
		return
	}
	d.spans = append(d.spans, s)
}

// room is how much more of s is kept.
func (d *Decoder) room(s *span) int {
	return max(0, min(MaxValue-(len(d.bytes)-s.value), maxEntry-len(d.bytes)))
}

// keep adds more of the value to s, up to the limit.
func (d *Decoder) keep(s *span, value []byte) {
	n := min(len(value), d.room(s))
	s.cut = s.cut || n < len(value)
	d.bytes = append(d.bytes, value[:n]...)
}

// text reads the rest of a line that is longer than the buffer.
func (d *Decoder) text(s *span) error {
	for {
		part, err := d.r.ReadSlice('\n')
		if err == nil {
			d.keep(s, part[:len(part)-1])
			return nil
		}
		d.keep(s, part)
		if !errors.Is(err, bufio.ErrBufferFull) {
			return unexpected(err)
		}
	}
}

// binary reads a length, 64 bits little-endian, a value, and the newline after it.
func (d *Decoder) binary(s *span) error {
	prefix, err := d.r.Peek(8)
	if err != nil {
		return unexpected(err)
	}
	length := binary.LittleEndian.Uint64(prefix)
	if length > math.MaxInt64 {
		return fmt.Errorf("%w: a field of %d bytes", ErrFormat, length)
	}
	if _, err := d.r.Discard(8); err != nil {
		return unexpected(err)
	}
	if err := d.bytesOf(s, int64(length)); err != nil {
		return unexpected(err)
	}
	end, err := d.r.ReadByte()
	if err != nil {
		return unexpected(err)
	}
	if end != '\n' {
		return fmt.Errorf("%w: a binary field does not end in a newline", ErrFormat)
	}
	return nil
}

// bytesOf reads length bytes. It takes memory as they come, not as the length promises.
func (d *Decoder) bytesOf(s *span, length int64) error {
	for length > 0 {
		if _, err := d.r.Peek(1); err != nil { // fills the buffer
			return err
		}
		part, err := d.r.Peek(int(min(length, int64(d.r.Buffered()))))
		if err != nil {
			return err
		}
		d.keep(s, part)
		length -= int64(len(part))
		if _, err := d.r.Discard(len(part)); err != nil {
			return err
		}
	}
	return nil
}

func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
