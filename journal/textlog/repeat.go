package textlog

import (
	"bytes"
	"fmt"
)

// Repeats understands "last message repeated 3 times", which BSD's syslogd writes instead of lines equal to the line before.
// The zero value is ready for the lines of one log, in order.
type Repeats struct {
	host, identifier, message []byte // of the line before; message is nil if there is none
	pid                       int32
}

// maxRepeats is more than any syslogd reaches: it writes the line after a few minutes at most.
const maxRepeats = 1_000_000

// Expand turns such a line into what rsyslog would have written, "message repeated 3 times: [ ... ]", from the program of the
// line before. Without an earlier line of that host it leaves the line alone. It remembers any other line.
func (r *Repeats) Expand(l *Line) {
	host, n, ok := repeated(l)
	switch {
	case !ok:
		r.host = append(r.host[:0], l.Host...)
		r.identifier = append(r.identifier[:0], l.Identifier...)
		r.message = append(r.message[:0], l.Message...)
		r.pid = l.PID
	case r.message != nil && (len(host) == 0 || bytes.Equal(host, r.host)):
		l.Identifier, l.PID = bytes.Clone(r.identifier), r.pid
		l.Message = fmt.Appendf(nil, "message repeated %d times: [ %s]", n, r.message)
	}
}

// repeated reads "HOST last message repeated 3 times", after "syslogd: " in FreeBSD, between dashes and without a host in macOS.
func repeated(l *Line) (host []byte, n int, ok bool) {
	if len(l.Identifier) > 0 && string(l.Identifier) != "syslogd" {
		return nil, 0, false
	}
	host, text := l.Host, l.Message
	if len(l.Identifier) == 0 {
		if first, rest, ok := bytes.Cut(text, []byte(" ")); ok && bytes.HasPrefix(rest, []byte("last ")) && string(first) != "---" {
			host, text = first, rest
		}
	}
	text, _ = bytes.CutPrefix(text, []byte("--- "))
	text, ok = bytes.CutPrefix(text, []byte("last message repeated "))
	if !ok {
		return nil, 0, false
	}
	number, rest, _ := bytes.Cut(text, []byte(" "))
	if len(number) > 7 || !bytes.HasPrefix(rest, []byte("time")) {
		return nil, 0, false
	}
	n, ok = digits(number)
	return host, n, ok && n > 0 && n <= maxRepeats
}
