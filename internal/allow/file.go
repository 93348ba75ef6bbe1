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
}

// maxListFile is 64 MiB: millions of prefixes.
const maxListFile = 64 << 20

// readFiles reads the files that have changed, and reports whether any has. What cannot be read keeps its last content.
func (l *List) readFiles() (changed bool) {
	for _, f := range l.known.files {
		changedAt, size := f.changed, f.size
		if err := f.read(); err != nil {
			l.cfg.Report(fmt.Errorf("read ignoreip file:%s: %w", f.path, err))
		}
		changed = changed || f.size != size || !f.changed.Equal(changedAt)
	}
	return changed
}

func (f *listFile) read() error {
	file, err := os.OpenFile(f.path, os.O_RDONLY|unix.O_NONBLOCK, 0) // does not wait at a named pipe
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
	f.friends, err = parseList(data, "ignoreip file:"+f.path)
	return err
}

// maxBadLines bounds how many mistakes are told of one file.
const maxBadLines = 5

// parseList reads what it can; the error tells the first of the lines that it could not.
func parseList(data []byte, why string) (friends []jail.Friend, err error) {
	var bad []error
	lines := bufio.NewScanner(bytes.NewReader(data))
	lines.Buffer(nil, 1<<20)
	for n := 1; lines.Scan(); n++ {
		text, _, _ := strings.Cut(lines.Text(), "#")
		for word := range strings.FieldsFuncSeq(text, func(r rune) bool { return r == ',' || r == ' ' || r == '\t' || r == '\r' }) {
			g, err := jail.ParseIgnore(word)
			if err == nil && !g.Prefix.IsValid() {
				err = fmt.Errorf("%q: a list has only addresses and prefixes", word)
			}
			if err == nil {
				friends = append(friends, jail.Friend{Prefix: g.Prefix, Why: why})
			} else if len(bad) < maxBadLines {
				bad = append(bad, fmt.Errorf("line %d: %w", n, err))
			}
		}
	}
	return friends, errors.Join(append(bad, lines.Err())...)
}
