package allow

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"exile/jail"
)

// listFile is a file of addresses and prefixes, separated by blanks, commas or lines; # begins a comment.
type listFile struct {
	path    string
	changed time.Time
	size    int64
	friends []jail.Friend
	bad     error // lines that are not addresses
	err     error // why it cannot be read; its last content stays in use
}

// trouble says what is wrong with the file.
func (f *listFile) trouble() error {
	if err := errors.Join(f.err, f.bad); err != nil {
		return fmt.Errorf("file:%s: %w", f.path, err)
	}
	return nil
}

// maxListFile is 64 MiB: millions of prefixes.
const maxListFile = 64 << 20

// readFiles reads the files that have changed. It reports whether any has, has become unreadable, or readable again. An unreadable file keeps
// its last content.
func (l *List) readFiles() (changed bool) {
	for _, f := range l.known.files {
		last := *f
		f.err = f.read()
		changed = changed || f.size != last.size || !f.changed.Equal(last.changed) || text(f.err) != text(last.err)
	}
	return changed
}

func (f *listFile) read() error {
	file, err := os.OpenFile(f.path, os.O_RDONLY|unix.O_NONBLOCK, 0) // does not block on a named pipe
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	switch {
	case err != nil:
		return err
	case !info.Mode().IsRegular():
		return fmt.Errorf("not a regular file: %w", fs.ErrInvalid)
	case info.ModTime().Equal(f.changed) && info.Size() == f.size:
		return nil
	}
	data, err := io.ReadAll(io.LimitReader(file, maxListFile+1))
	if err != nil {
		return err
	}
	if len(data) > maxListFile {
		return fmt.Errorf("larger than %d bytes", maxListFile)
	}
	f.changed, f.size = info.ModTime(), info.Size()
	f.friends, f.bad = parseList(data, "ignoreip file:"+f.path)
	return nil
}

// maxBadLines is how many mistakes of one file are reported.
const maxBadLines = 5

// parseList reads what it can; the error names the first lines that it could not read.
func parseList(data []byte, why string) (friends []jail.Friend, err error) {
	var bad []error
	lines := bufio.NewScanner(bytes.NewReader(data))
	lines.Buffer(nil, 1<<20)
	for n := 1; lines.Scan(); n++ {
		text, _, _ := strings.Cut(lines.Text(), "#")
		for word := range strings.FieldsFuncSeq(text, func(r rune) bool { return r == ',' || r == ' ' || r == '\t' || r == '\r' }) {
			g, err := jail.ParseIgnore(word)
			if err == nil && g.Prefix.IsValid() {
				friends = append(friends, jail.Friend{Prefix: g.Prefix, Why: why})
			} else if len(bad) < maxBadLines { // without the text: everybody can read the status, but perhaps not the file
				bad = append(bad, fmt.Errorf("line %d: not an address or a network", n))
			}
		}
	}
	return friends, errors.Join(append(bad, lines.Err())...)
}
