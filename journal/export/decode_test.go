package export

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"exile/journal"
)

// readCases reads testdata/decode.txt: stream and what it says.
func readCases(t testing.TB) (cases [][2]string) {
	t.Helper()
	data, err := os.ReadFile("testdata/decode.txt")
	if err != nil {
		t.Fatal(err)
	}
	for row := range strings.Lines(string(data)) {
		if strings.HasPrefix(row, "#") {
			continue
		}
		quoted, want, ok := strings.Cut(strings.TrimSpace(row), " -> ")
		stream, err := strconv.Unquote(quoted)
		if !ok || err != nil {
			t.Fatalf("row %q: %v", row, err)
		}
		cases = append(cases, [2]string{stream, want})
	}
	return cases
}

// told is what a decoder says, in the words of testdata/decode.txt.
func told(d *Decoder) string {
	var words []string
	for {
		fields, err := d.Next()
		switch {
		case err == io.EOF: //nolint:errorlint // promised bare
			return strings.Join(append(words, "eof"), " ")
		case errors.Is(err, io.ErrUnexpectedEOF):
			return strings.Join(append(words, "cut off"), " ")
		case errors.Is(err, ErrFormat):
			return strings.Join(append(words, "format"), " ")
		case err != nil:
			return err.Error()
		}
		for _, f := range fields {
			words = append(words, strconv.Quote(string(f.Name)+"="+string(f.Value)))
		}
		words = append(words, ".")
	}
}

func TestDecoder(t *testing.T) {
	t.Parallel()
	for _, c := range readCases(t) {
		t.Run(strconv.Quote(c[0]), func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(c[1], told(NewDecoder(strings.NewReader(c[0])))); diff != "" {
				t.Errorf("all at once (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(c[1], told(NewDecoder(iotest.OneByteReader(strings.NewReader(c[0]))))); diff != "" {
				t.Errorf("byte by byte (-want +got):\n%s", diff)
			}
		})
	}
}

// encode writes fields in the export format, as journalctl does: binary when need be.
func encode(fields ...[2]string) []byte {
	var b []byte
	for _, f := range fields {
		b = append(b, f[0]...)
		if strings.ContainsRune(f[1], '\n') {
			b = append(b, '\n')
			b = binary.LittleEndian.AppendUint64(b, uint64(len(f[1])))
		} else {
			b = append(b, '=')
		}
		b = append(append(b, f[1]...), '\n')
	}
	return append(b, '\n')
}

func TestDecoderBounds(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 3*MaxValue)
	fits := strings.Repeat("y", MaxValue)
	fields := [][2]string{{"TEXT", long}, {"BINARY", "\n" + long}, {"FITS", fits}, {"AFTER", "a"}}
	got, err := NewDecoder(bytes.NewReader(encode(fields...))).Next()
	if err != nil {
		t.Fatal(err)
	}
	want := []Field{
		{Name: []byte("TEXT"), Value: []byte(long[:MaxValue]), Cut: true},
		{Name: []byte("BINARY"), Value: []byte("\n" + long[:MaxValue-1]), Cut: true},
		{Name: []byte("FITS"), Value: []byte(fits)},
		{Name: []byte("AFTER"), Value: []byte("a")},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%d fields, and they differ from what was written or may be kept", len(got))
	}

	many := make([][2]string, 3*maxFields)
	for i := range many {
		many[i] = [2]string{"F", fits[:2*maxEntry/maxFields]}
	}
	d := NewDecoder(bytes.NewReader(append(encode(many...), encode([2]string{"NEXT", "1"})...)))
	if got, err = d.Next(); err != nil || len(got) != maxFields {
		t.Fatalf("%d fields, %v, want %d", len(got), err, maxFields)
	}
	if !got[maxFields-1].Cut || len(d.bytes) > maxEntry+maxFields*maxName {
		t.Errorf("kept %d bytes of one entry, want about %d at most", len(d.bytes), maxEntry)
	}
	if got, err = d.Next(); err != nil || string(got[0].Name) != "NEXT" {
		t.Errorf("the next entry has %d fields, %v", len(got), err)
	}
}

var sample = encode([2]string{"__CURSOR", "s=0f0e0d0c0b0a09080706050403020100;i=1a;b=000102030405060708090a0b0c0d0e0f;m=3e8;t=65bfeda25e000;x=ed"},
	[2]string{"__REALTIME_TIMESTAMP", "1790000000000000"}, [2]string{"_PID", "12"}, [2]string{"_UID", "0"},
	[2]string{"_SYSTEMD_UNIT", "ssh.service"}, [2]string{"SYSLOG_IDENTIFIER", "sshd"}, [2]string{"_TRANSPORT", "syslog"},
	[2]string{"MESSAGE", "Failed password for root\n"}, [2]string{"MESSAGE", "second"})

func TestDecoderAllocations(t *testing.T) {
	const entries = 1000
	d := NewDecoder(bytes.NewReader(bytes.Repeat(sample, entries+2)))
	var names journal.Strings
	next := func() {
		fields, err := d.Next()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Entry(fields, nil, &names); err != nil {
			t.Fatal(err)
		}
	}
	next()
	if got := testing.AllocsPerRun(entries, next); got > 1 { // the text of the cursor
		t.Errorf("%v allocations per entry, want 1 at most", got)
	}
}

// FuzzDecoder: whatever comes, the memory is bounded, and what was decoded is the same when encoded and decoded again.
func FuzzDecoder(f *testing.F) {
	for _, c := range readCases(f) {
		f.Add([]byte(c[0]))
	}
	f.Add(sample)
	f.Fuzz(func(t *testing.T, stream []byte) {
		d := NewDecoder(bytes.NewReader(stream))
		var names journal.Strings
		for {
			fields, err := d.Next()
			if err != nil {
				return
			}
			if len(fields) == 0 || len(fields) > maxFields || cap(d.bytes) > 2*(maxEntry+len(stream)) {
				t.Fatalf("%d fields, %d bytes", len(fields), cap(d.bytes))
			}
			var pairs [][2]string
			for _, field := range fields {
				if len(field.Value) > MaxValue || !validName(field.Name) {
					t.Fatalf("field %q of %d bytes", field.Name, len(field.Value))
				}
				pairs = append(pairs, [2]string{string(field.Name), string(field.Value)})
			}
			_, _ = Entry(fields, nil, &names) // it must not panic; what it makes of it the table says
			again, err := NewDecoder(bytes.NewReader(encode(pairs...))).Next()
			if err != nil {
				t.Fatalf("decode again: %v", err)
			}
			for i := range again {
				if string(again[i].Name) != pairs[i][0] || string(again[i].Value) != pairs[i][1] {
					t.Fatalf("field %d is %q=%q, was %q", i, again[i].Name, again[i].Value, pairs[i])
				}
			}
		}
	})
}
