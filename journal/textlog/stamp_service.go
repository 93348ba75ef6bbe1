package textlog

import (
	"bytes"
	"time"
)

// The stamps of services that write their logs by themselves.

// dayMonthYear reads "02/Jan/2006:15:04:05 -0700" (the Common Log Format; HAProxy has a fraction and no zone), and
// "02-Jan-2006 15:04:05.123" (BIND, PHP, Tomcat), also with blanks (Redis).
func dayMonthYear(line []byte, ref *Reference) (time.Time, []byte, bool) {
	if len(line) < 20 || line[2] != line[6] || (line[2] != '/' || line[11] != ':') && (line[2] != '-' && line[2] != ' ' || line[11] != ' ') {
		return time.Time{}, nil, false
	}
	w := wall{month: monthOf(line[3:6])}
	var dayOK, yearOK bool
	w.day, dayOK = digits(line[:2])
	w.year, yearOK = digits(line[7:11])
	rest, clockOK := w.clock(line[12:])
	if !dayOK || !yearOK || !clockOK || !w.valid() {
		return time.Time{}, nil, false
	}
	return w.zoned(rest, ref)
}

// ctime reads "Mon Jan  2 15:04:05 2006" (vsftpd), with or without a fraction (Apache httpd's error log).
func ctime(line []byte, ref *Reference) (time.Time, []byte, bool) {
	if !beginsWithDay(line) {
		return time.Time{}, nil, false
	}
	var w wall
	rest, ok := w.yearless(line[4:])
	if !ok || len(rest) < 5 || rest[0] != ' ' {
		return time.Time{}, nil, false
	}
	if w.year, ok = digits(rest[1:5]); !ok || !w.valid() {
		return time.Time{}, nil, false
	}
	return w.resolve(ref), rest[5:], true
}

// shortDate reads "060102 15:04:05" (MariaDB, and MySQL until 5.6).
func shortDate(line []byte, ref *Reference) (time.Time, []byte, bool) {
	if len(line) < 15 || line[6] != ' ' {
		return time.Time{}, nil, false
	}
	date, ok := digits(line[:6])
	w := wall{year: 2000 + date/10000, month: time.Month(date / 100 % 100), day: date % 100}
	rest, clockOK := w.clock(line[7:])
	if !ok || !clockOK || !w.valid() {
		return time.Time{}, nil, false
	}
	return w.resolve(ref), rest, true
}

// secondsAlone reads "1136214245: " (an MQTT broker): seconds since 1970, in ten digits.
func secondsAlone(line []byte) (time.Time, []byte, bool) {
	if len(line) < 12 || line[10] != ':' || line[11] != ' ' {
		return time.Time{}, nil, false
	}
	seconds, ok := digits(line[:10])
	return time.Unix(int64(seconds), 0), line[10:], ok
}

// audited reads the beginning of a line of auditd, "type=USER_AUTH msg=audit(1136214245.123:45): ", in a log of several hosts with the name of
// one before it, "node=web ". Nothing before the stamp is a client's.
func audited(line []byte) (time.Time, []byte, bool) {
	if bytes.HasPrefix(line, []byte("node=")) {
		_, line, _ = bytes.Cut(line, []byte(" "))
	}
	if !bytes.HasPrefix(line, []byte("type=")) {
		return time.Time{}, nil, false
	}
	_, line, _ = bytes.Cut(line, []byte(" "))
	stamp, ok := bytes.CutPrefix(line, []byte("msg=audit("))
	if !ok {
		return time.Time{}, nil, false
	}
	at, rest, ok := unixTime(stamp)
	return at, rest, ok && bytes.HasPrefix(rest, []byte(":"))
}

// zoned returns the moment of w in the zone at the beginning of b, or without one in the reader's.
func (w *wall) zoned(b []byte, ref *Reference) (at time.Time, rest []byte, ok bool) {
	offset, rest, ok := zone(b)
	if !ok {
		offset, rest, ok = spacedZone(b)
	}
	if !ok {
		return w.resolve(ref), b, true
	}
	return w.in(time.UTC).Add(-offset), rest, true
}

// spacedZone reads a zone behind a blank. A bracket or the end must follow: what stands there may be the name of a client.
func spacedZone(b []byte) (offset time.Duration, rest []byte, ok bool) {
	b, ok = bytes.CutPrefix(b, []byte(" "))
	if !ok {
		return 0, b, false
	}
	if offset, rest, ok = zone(b); !ok {
		rest, ok = bytes.CutPrefix(b, []byte("UTC"))
	}
	return offset, rest, ok && (len(rest) == 0 || rest[0] == ']' || bytes.HasPrefix(rest, []byte(" [")))
}
