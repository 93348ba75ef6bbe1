package textlog

import (
	"bytes"
	"time"
)

// Form says what the lines of a log look like.
type Form string

const (
	// FormSyslog is a stamp, a host, a tag with a PID and a message, as syslog daemons and journalctl write them. It is the
	// default, and also what the empty form means.
	FormSyslog Form = "syslog"
	// FormLine is the log of a service that writes it by itself: the message is the whole line, and only its time is looked
	// for. The identifier is always empty.
	FormLine Form = "line"
	// FormDocker is the log of a container that Docker's json-file driver writes: the message is what the container printed, without the line
	// end, and the time is Docker's. Of a line that is too long for one object of the file only the first piece is an entry. The identifier
	// is always empty.
	FormDocker Form = "docker"
)

// known reports whether there is such a form.
func (f Form) known() bool { return f == "" || f == FormSyslog || f == FormLine || f == FormDocker }

// lineTime finds the time of a line of a service. It is zero if there is none that we know.
//
// Clients choose some of the text in such a line. What stands at the beginning is the server's, and no more is looked at.
func lineTime(line []byte, ref *Reference) time.Time {
	if len(line) > 0 && line[0] == '{' {
		return memberTime(line, ref)
	}
	if at, _, ok := lineStamp(unmarked(line), ref); ok {
		return at
	}
	return accessTime(line, ref)
}

// unmarked takes off what servers write before the time at the beginning: a bracket, a level as in "<W>" (Murmur), or a process and its role as
// in "1899:M " (Redis).
func unmarked(line []byte) []byte {
	if len(line) > 3 && line[0] == '<' && isUpper(line[1]) && line[2] == '>' {
		return line[3:]
	}
	pid, rest, ok := bytes.Cut(line[:min(len(line), 14)], []byte(":"))
	if ok && len(pid) > 0 && len(bytes.Trim(pid, "0123456789")) == 0 && len(rest) > 2 && isUpper(rest[0]) && rest[1] == ' ' {
		return line[len(pid)+3:]
	}
	return bytes.TrimPrefix(line, []byte("["))
}

func isUpper(c byte) bool { return 'A' <= c && c <= 'Z' }

// lineStamp reads the stamp at the beginning of b. If it goes on like a name, it is something else: the host name of a client.
func lineStamp(b []byte, ref *Reference) (at time.Time, rest []byte, ok bool) {
	if at, rest, ok = iso8601(b, ref); !ok {
		at, rest, ok = dayMonthYear(b, ref)
	}
	if !ok {
		at, rest, ok = ctime(b, ref)
	}
	if !ok {
		at, rest, ok = shortDate(b, ref)
	}
	if !ok {
		at, rest, ok = rfc3164(b, ref)
	}
	if !ok {
		at, rest, ok = unixTime(b)
	}
	if !ok {
		at, rest, ok = secondsAlone(b)
	}
	if !ok {
		at, rest, ok = audited(b)
	}
	return at, rest, ok && (len(rest) == 0 || !isName(rest[:1]))
}

// goesOn reports whether a line of a service goes on with what the line before says, as in a stack trace or a message of PostgreSQL.
func goesOn(line []byte) bool { return line[0] == ' ' || line[0] == '\t' }

// plausible returns zero for a time in the future.
func plausible(at time.Time, ref *Reference) time.Time {
	if at.After(ref.Now.Add(ahead)) {
		return time.Time{}
	}
	return at
}

// accessTime finds the stamp of the Common Log Format: `192.0.2.1 - user [30/Nov/2026:15:04:05 +0000] "GET / HTTP/1.1" 401`.
//
// A client chooses the user before it, and the path, the referrer and the user agent behind it, and may put stamps there. nginx and
// Apache httpd escape quotes, so that only theirs can be followed by one; some servers do not escape. Of those followed by a quote, or
// of all if none is, the latest counts that is not in the future: no client can make its line older than it is.
func accessTime(line []byte, ref *Reference) time.Time {
	limit := ref.Now.Add(slack)
	quoted, others := latest{limit: limit}, latest{limit: limit}
	for {
		open := bytes.IndexByte(line, '[')
		if open < 0 {
			break
		}
		line = line[open+1:]
		at, rest, ok := dayMonthYear(line, ref)
		switch {
		case !ok:
		case bytes.HasPrefix(rest, []byte(`] "`)):
			quoted.add(at)
		case bytes.HasPrefix(rest, []byte("]")):
			others.add(at)
		}
	}
	if quoted.at.IsZero() {
		quoted = others
	}
	return quoted.at
}

// latest keeps the latest of several times up to a limit or, if all are later, the earliest.
type latest struct{ limit, at time.Time }

func (l *latest) add(at time.Time) {
	better := at.After(l.at) && !at.After(l.limit)
	if l.at.After(l.limit) {
		better = at.Before(l.at)
	}
	if better || l.at.IsZero() {
		l.at = at
	}
}
