package textlog

import (
	"bytes"
	"time"
)

// memberTime finds the time in an object in JSON, which is the whole line. Only members of the object itself count: what clients
// choose are values of strings, and members of members such as the headers of a request. If there are several times, such as the
// beginning and the end of a request, the latest counts that is not in the future. What follows a mistake is not looked at.
func memberTime(line []byte, ref *Reference) time.Time {
	found := latest{limit: ref.Now.Add(slack)}
	for rest, ok := line[1:], true; ok; rest, ok = jsonMark(rest, ',') {
		var key, value []byte
		if key, rest, ok = jsonString(jsonSpace(rest)); !ok {
			break
		}
		if rest, ok = jsonMark(rest, ':'); !ok {
			break
		}
		if value, rest, ok = jsonValue(jsonSpace(rest)); !ok {
			break
		}
		if at, ok := memberValue(key, value, ref); ok {
			found.add(at)
		}
	}
	return found.at
}

// memberValue reads the time in a member, if it has the name of one.
func memberValue(key, value []byte, ref *Reference) (time.Time, bool) {
	if string(key) == "t" { // of MongoDB: {"t": {"$date": "2026-11-30T15:04:05.123+00:00"}}
		date, ok := bytes.CutPrefix(value, []byte(`{"$date":`))
		value = bytes.TrimSuffix(date, []byte("}"))
		if !ok {
			return time.Time{}, false
		}
	} else if !namesTime(key) {
		return time.Time{}, false
	}
	if text, rest, ok := jsonString(value); ok && len(rest) == 0 {
		value = text
	} else if seconds, ok := digits(value); ok && len(value) == 10 {
		return time.Unix(int64(seconds), 0), true
	}
	at, rest, ok := lineStamp(value, ref)
	return at, ok && len(rest) == 0
}

// namesTime reports whether servers write the time into members of that name.
func namesTime(key []byte) bool {
	switch string(key) {
	case "ts", "time", "timestamp", "@timestamp": // zap (Caddy, Mattermost), logrus and Nextcloud, Cowrie, Logstash
		return true
	case "StartUTC", "startutc": // Traefik
		return true
	}
	return false
}

func jsonSpace(b []byte) []byte { return bytes.TrimLeft(b, " \t") }

// jsonMark takes space and a mark off the beginning of b.
func jsonMark(b []byte, mark byte) (rest []byte, ok bool) {
	b = jsonSpace(b)
	if len(b) == 0 || b[0] != mark {
		return b, false
	}
	return b[1:], true
}

// jsonString returns the text between the quotes at the beginning of b, with its escapes as they are.
func jsonString(b []byte) (text, rest []byte, ok bool) {
	if len(b) == 0 || b[0] != '"' {
		return nil, b, false
	}
	for i := 1; i < len(b); i++ {
		switch b[i] {
		case '\\':
			i++
		case '"':
			return b[1:i], b[i+1:], true
		}
	}
	return nil, b, false
}

// jsonValue returns the value at the beginning of b: of a string with its quotes, of an object or an array all of it.
func jsonValue(b []byte) (value, rest []byte, ok bool) {
	if len(b) == 0 {
		return nil, b, false
	}
	switch b[0] {
	case '"':
		_, rest, ok = jsonString(b)
	case '{', '[':
		rest, ok = jsonNested(b)
	default:
		end := bytes.IndexAny(b, ",}] \t\"")
		rest, ok = b[max(end, 0):], end > 0
	}
	return b[:len(b)-len(rest)], rest, ok
}

// jsonNested returns what follows the object or array at the beginning of b.
func jsonNested(b []byte) (rest []byte, ok bool) {
	depth := 0
	for i := 0; i < len(b); i++ {
		switch b[i] {
		case '"':
			_, rest, ok := jsonString(b[i:])
			if !ok {
				return b, false
			}
			i = len(b) - len(rest) - 1
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return b[i+1:], true
			}
		}
	}
	return b, false
}
