package fail2ban

import (
	"errors"
	"fmt"
	"path"
	"regexp"
	"strings"
)

// source is one jail as fail2ban sees it, or what a filter says of itself.
type source struct {
	setup  *Setup
	name   string
	used   map[string]bool  // keys that others refer to
	given  map[string]value // of the filter's name, in the jail: they win over all else
	prefix string           // what stands for the prefix of syslog's lines; empty: what common.conf says
}

// The limits of interpolation: Python's own, and those on the bytes that are put together for one value and for all.
const (
	maxDepth = 10
	maxWork  = 1 << 20
	allWork  = 64 << 20
	perPart  = 32 // bytes that a reference counts as, at least
)

var errTooMuch = errors.New("it refers to too many other values")

// get returns a value with all %(key)s replaced: the jail's own, or that of [DEFAULT].
func (s *source) get(key string) (v value, ok bool, err error) {
	v, own := s.given[key]
	if !own {
		v, own = s.setup.sections[s.name][key]
	}
	if !own {
		if v, ok = s.setup.defaults[key]; !ok {
			return v, false, nil
		}
	}
	if s.isPrefix(key, v) {
		v.text = s.prefix
	}
	left := min(maxWork, s.setup.work)
	before := left
	v.text, err = s.expand(v.text, 1, &left)
	s.setup.work -= before - left
	return v, true, err
}

// own reports whether the jail itself has the key.
func (s *source) own(key string) bool {
	_, ok := s.setup.sections[s.name][key]
	return ok
}

var reference = regexp.MustCompile(`^\(([^)]+)\)s`)

func (s *source) expand(text string, depth int, left *int) (string, error) {
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(text, "%")
		b.WriteString(before)
		if b.Len() > maxValue {
			return "", errTooMuch
		}
		if !found {
			return b.String(), nil
		}
		if after, ok := strings.CutPrefix(rest, "%"); ok {
			b.WriteByte('%')
			text = after
			continue
		}
		m := reference.FindStringSubmatch(rest)
		if m == nil {
			return "", errors.New(`it has a "%" that is neither "%%" nor "%(key)s"`)
		}
		part, err := s.refer(m[1], depth, left)
		if err != nil {
			return "", err
		}
		b.WriteString(part)
		text = rest[len(m[0]):]
	}
}

// refer returns what %(name)s stands for.
func (s *source) refer(name string, depth int, left *int) (string, error) {
	if depth > maxDepth {
		return "", errTooMuch
	}
	text, ok := s.lookup(strings.ToLower(name))
	if !ok {
		return "", fmt.Errorf("there is no %s", quoted(name))
	}
	if *left -= perPart + len(text); *left < 0 {
		return "", errTooMuch
	}
	return s.expand(text, depth+1, left)
}

func (s *source) lookup(name string) (string, bool) {
	switch name {
	case "__name__":
		return s.name, true
	case "fail2ban_version":
		return "1.1.0", true
	case "fail2ban_confpath":
		return s.setup.shown(s.setup.dir), true
	}
	in, own := s.setup.sections[s.name], s.given
	if where, key, ok := strings.Cut(name, "/"); ok {
		name, own = key, nil
		switch where {
		case "known":
			in = s.setup.known[s.name]
		case "default":
			in = nil
		default:
			in = s.setup.sections[where]
		}
	}
	s.used[name] = true
	v, ok := own[name]
	if !ok {
		v, ok = in[name]
	}
	if !ok {
		v, ok = s.setup.defaults[name]
	}
	if s.isPrefix(name, v) {
		v.text = s.prefix
	}
	return v.text, ok
}

// isPrefix reports whether a value is the prefix of syslog's lines, and not one that somebody wrote in its place.
func (s *source) isPrefix(key string, v value) bool {
	return s.prefix != "" && key == "__prefix_line" && path.Base(v.at.File) == "common.conf"
}
