package fail2ban

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"exile/internal/config"
)

// uncommented cuts what somebody meant as a comment behind a hash sign, which is a part of the value for fail2ban.
func uncommented(text string) (meant string, was bool) {
	lines := strings.Split(text, "\n")
	for i, l := range lines {
		if at := strings.IndexByte(l, '#'); at == 0 || at > 0 && (l[at-1] == ' ' || l[at-1] == '\t') {
			lines[i], was = strings.TrimSpace(l[:at]), true
		}
	}
	return strings.TrimSpace(strings.Join(lines, "\n")), was
}

// isOn reads a boolean as fail2ban does: everything that it does not know is off.
func isOn(text string) bool {
	switch strings.ToLower(text) {
	case "1", "on", "true", "yes":
		return true
	}
	return false
}

// longest is what times are cut to: more than exile accepts, so that the sum of two is a time.Duration yet.
const longest = 4_000_000_000 * time.Second

// tooLong reports whether exile does not accept a time, however it is written.
func tooLong(d time.Duration) bool {
	_, err := config.ParseDuration(config.FormatDuration(d))
	return err != nil
}

// parseTime reads a time: seconds, or a sum of numbers with units. Negative times are for ever. Times are cut to the longest.
func parseTime(text string) (d time.Duration, forever bool, err error) {
	text = strings.ToLower(strings.TrimSpace(text))
	if strings.HasPrefix(text, "-") {
		_, err = strconv.Atoi(text[1:])
		return 0, err == nil, err
	}
	if seconds, err := strconv.ParseFloat(text, 64); err == nil && seconds >= 0 {
		return time.Duration(min(seconds, longest.Seconds())) * time.Second, false, nil
	}
	for i, part := range strings.Split(text, "-") {
		var sum time.Duration
		for term := range strings.SplitSeq(part, "+") {
			t, ok := parseTerm(units(term))
			if !ok {
				return 0, false, fmt.Errorf("%s is not a time, or one that only fail2ban computes", quoted(text))
			}
			sum = min(sum+t, longest)
		}
		if i > 0 {
			sum = -sum
		}
		d = max(d+sum, -longest)
	}
	if d < 0 {
		err = errors.New("it is negative")
	}
	return d, false, err
}

var digits = regexp.MustCompile(`[0-9]+`)

// parseTerm reads numbers with units. If only the numbers are too large, it is the longest time.
func parseTerm(text string) (time.Duration, bool) {
	d, err := config.ParseDuration(text)
	if err == nil {
		return d, true
	}
	_, err = config.ParseDuration(digits.ReplaceAllString(text, "1"))
	return longest, err == nil
}

var unit = regexp.MustCompile(`[a-z]+`)

// units replaces fail2ban's short forms that exile does not know, and names the unit of a last number without one.
func units(s string) string {
	if s = strings.TrimSpace(s); unit.MatchString(s) && strings.Trim(s[len(s)-1:], "0123456789") == "" {
		s += "s"
	}
	return unit.ReplaceAllStringFunc(s, func(word string) string {
		switch word {
		case "ss", "se":
			return "s"
		case "mm", "mi":
			return "m"
		case "hh", "hou":
			return "h"
		case "dd", "da":
			return "d"
		case "ww", "we", "wee":
			return "w"
		case "mon":
			return "mo"
		case "yy", "ye", "yea":
			return "y"
		}
		return word
	})
}

func splitWords(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' || r == '\t' || r == '\n' })
}

// call is a name with options, as in iptables[name=ssh, port="22,80"].
type call struct {
	name    string
	keys    []string // of the options, in order
	options map[string]string
}

// parseCalls reads a list of names with options, which blanks, commas and line breaks separate.
func parseCalls(text string) (calls []call) {
	rest := strings.TrimLeft(text, ", \t\n")
	for rest != "" {
		end := strings.IndexAny(rest, "[, \t\n")
		if end < 0 {
			end = len(rest)
		}
		c := call{name: rest[:end], options: map[string]string{}}
		rest = strings.TrimLeft(rest[end:], " \t")
		for strings.HasPrefix(rest, "[") {
			inner, tail := untilBracket(rest[1:])
			c.set(inner)
			rest = strings.TrimLeft(tail, " \t")
		}
		if c.name != "" {
			calls = append(calls, c)
		}
		rest = strings.TrimLeft(rest, ", \t\n]")
	}
	return calls
}

// untilBracket cuts at the bracket that closes, which is not inside quotes.
func untilBracket(s string) (inner, rest string) {
	var quote byte
	for i := range len(s) {
		switch c := s[i]; {
		case quote != 0 && c == quote:
			quote = 0
		case quote != 0:
		case c == '"' || c == '\'':
			quote = c
		case c == ']':
			return s[:i], s[i+1:]
		}
	}
	return s, ""
}

// inBrackets are the options as they can be written behind the name.
func (c *call) inBrackets() string {
	if len(c.keys) == 0 {
		return ""
	}
	var words []string
	for _, key := range c.keys {
		words = append(words, key+`="`+c.options[key]+`"`)
	}
	return "[" + strings.Join(words, ", ") + "]"
}

var option = regexp.MustCompile(`([\w?-]+)\s*=\s*("[^"]*"|'[^']*'|[^,]*)`)

func (c *call) set(inner string) {
	for _, m := range option.FindAllStringSubmatch(inner, -1) {
		key, text := strings.ToLower(m[1]), strings.TrimSpace(m[2])
		if n := len(text); n > 1 && (text[0] == '"' || text[0] == '\'') && text[n-1] == text[0] {
			text = text[1 : n-1]
		}
		if _, twice := c.options[key]; !twice {
			c.keys = append(c.keys, key)
		}
		c.options[key] = text
	}
}
