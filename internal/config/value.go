package config

import (
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"exile/jail"
)

// value is the value of a key, and its place.
type value struct {
	node
	file   string
	begins int  // the line of the value, where line is that of its key
	layer  int  // files of higher layers win; 0 is built in
	shared bool // several filters say it, each a part
}

// scalar returns the text of a value that is one word or number.
func (v value) scalar() (string, error) {
	if v.kind != scalar {
		return "", errors.New("one value is wanted here, not a list or a mapping")
	}
	return strings.TrimSpace(v.text), nil
}

// words returns the items of a list, or of one string in which blanks and commas separate them.
func (v value) words() ([]string, error) {
	switch v.kind {
	case null:
		return nil, nil
	case scalar:
		return split(v.text), nil
	case mapping:
		return nil, errors.New("a list is wanted here, not a mapping")
	case list:
	}
	var words []string
	for _, item := range v.items {
		if item.kind != scalar {
			return nil, errors.New("every item of the list must be one value")
		}
		words = append(words, split(item.text)...)
	}
	return words, nil
}

func split(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ' ' || r == '\t' || r == '\n' || r == '\r' })
}

// The parsers below turn a value into the type of its field in the configuration.

// parseZone reads the name of a time zone, as timedatectl list-timezones shows them, for time.LoadLocation.
func parseZone(v value) (string, error) {
	s, err := v.scalar()
	if err != nil {
		return "", err
	}
	if strings.EqualFold(s, "local") {
		s = "Local"
	}
	if _, err := time.LoadLocation(s); err != nil || s == "" {
		return "", fmt.Errorf("%q is no time zone: name one as timedatectl list-timezones does, or write local", s)
	}
	return s, nil
}

func parseBool(v value) (bool, error) {
	s, err := v.scalar()
	if err != nil {
		return false, err
	}
	switch strings.ToLower(s) {
	case "true", "yes", "on":
		return true, nil
	case "false", "no", "off":
		return false, nil
	}
	return false, fmt.Errorf("%q is neither yes nor no", s)
}

func wholeIn(low, high int) func(value) (int, error) {
	return func(v value) (int, error) {
		s, err := v.scalar()
		if err != nil {
			return 0, err
		}
		n, err := strconv.Atoi(s)
		if err != nil || n < low || n > high {
			return 0, fmt.Errorf("%q is not a whole number from %d to %d", s, low, high)
		}
		return n, nil
	}
}

func numberIn(low, high float64) func(value) (float64, error) {
	return func(v value) (float64, error) {
		s, err := v.scalar()
		if err != nil {
			return 0, err
		}
		f, err := strconv.ParseFloat(s, 64)
		if err != nil || !(f >= low && f <= high) { // the negation catches NaN
			return 0, fmt.Errorf("%q is not a number from %v to %v", s, low, high)
		}
		return f, nil
	}
}

// parseMultipliers reads whole numbers, at most as many as a ban time can be doubled.
func parseMultipliers(v value) ([]int, error) {
	words, err := v.words()
	if err != nil {
		return nil, err
	}
	if len(words) > 64 {
		return nil, errors.New("more than 64 multipliers")
	}
	var ms []int
	for _, w := range words {
		n, err := strconv.Atoi(w)
		if err != nil || n < 1 || n > 1_000_000 {
			return nil, fmt.Errorf("multiplier %q is not a whole number from 1 to 1000000", w)
		}
		ms = append(ms, n)
	}
	return ms, nil
}

// parseTimes reads ban times by offence.
func parseTimes(v value) ([]time.Duration, error) {
	words, err := v.words()
	if err != nil {
		return nil, err
	}
	if len(words) < 1 || len(words) > 64 {
		return nil, fmt.Errorf("%d ban times: write 1 to 64", len(words))
	}
	times := make([]time.Duration, len(words))
	for i, w := range words {
		if times[i], err = ParseDuration(w); err != nil {
			return nil, err
		}
		if times[i] < time.Second {
			return nil, fmt.Errorf("%q is shorter than %s", w, FormatDuration(time.Second))
		}
	}
	return times, nil
}

func timeFrom(low time.Duration) func(value) (time.Duration, error) {
	return func(v value) (time.Duration, error) {
		s, err := v.scalar()
		if err != nil {
			return 0, err
		}
		d, err := ParseDuration(s)
		if err == nil && d < low {
			err = fmt.Errorf("%q is shorter than %s", s, FormatDuration(low))
		}
		return d, err
	}
}

// IsForever reports whether s says that a ban never ends: -1 as in fail2ban, infinity as in systemd.time(7), or a plain word.
func IsForever(s string) bool {
	switch strings.ToLower(s) {
	case "-1", "infinity", "forever", "permanent":
		return true
	}
	return false
}

// parseBanTime also accepts the words for permanent.
func parseBanTime(v value) (time.Duration, error) {
	if s, err := v.scalar(); err == nil && IsForever(s) {
		return jail.Permanent, nil
	}
	d, err := timeFrom(time.Second)(v)
	if err != nil {
		return 0, fmt.Errorf("%w; -1 is permanent", err)
	}
	return d, nil
}

// parseAccepted reads whether a risk is taken. It takes no yes: the word says what it is about.
func parseAccepted(v value) (bool, error) {
	s, err := oneOf("accepted", "refused")(v)
	return s == "accepted", err
}

func oneOf[S ~string](valid ...S) func(value) (S, error) {
	return func(v value) (S, error) {
		s, err := v.scalar()
		if err != nil {
			return "", err
		}
		if !slices.Contains(valid, S(s)) {
			return "", fmt.Errorf("%q is not one of %s", s, strings.Join(asStrings(valid), ", "))
		}
		return S(s), nil
	}
}

func asStrings[S ~string](in []S) []string {
	out := make([]string, len(in))
	for i, s := range in {
		out[i] = string(s)
	}
	return out
}

// maxFilters is how many filters a jail may have: each line is shown to all of them that trust its sender.
const maxFilters = 16

// parseNames reads the names of filters.
func parseNames(v value) ([]string, error) {
	all, err := parseEach(v, func(s string) error {
		if !isName(s) {
			return fmt.Errorf("%q is not a name: at most 64 small letters, digits, and .-_ inside", s)
		}
		return nil
	})
	if err == nil && (len(all) == 0 || len(all) > maxFilters) {
		err = fmt.Errorf("%d filters: name 1 to %d", len(all), maxFilters)
	}
	return all, err
}

// IsJail reports whether that can be the name of a jail. Such a name is no path.
func IsJail(name string) bool { return isName(name) }

func isName(s string) bool {
	return s != "" && len(s) <= 64 && !strings.HasPrefix(s, ".") && !strings.HasPrefix(s, "-") &&
		strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789.-_") == ""
}

func parsePath(v value) (string, error) {
	s, err := v.scalar()
	if err == nil && !isPath(s) {
		err = fmt.Errorf("%q is not a path that begins with /", s)
	}
	return s, err
}

func parsePaths(v value) ([]string, error) {
	return parseEach(v, func(s string) error {
		if !isPath(s) {
			return fmt.Errorf("%q is not a path that begins with /", s)
		}
		_, err := filepath.Match(s, "")
		return err
	})
}

// maxDatabases is how many databases may be named.
const maxDatabases = 8

// parseDatabases reads the paths of files.
func parseDatabases(v value) ([]string, error) {
	paths, err := parseEach(v, func(s string) error {
		if !isPath(s) {
			return fmt.Errorf("%q is not a path that begins with /", s)
		}
		return nil
	})
	if err == nil && len(paths) > maxDatabases {
		err = fmt.Errorf("more than %d databases", maxDatabases)
	}
	return paths, err
}

func isPath(s string) bool { return filepath.IsAbs(s) && !strings.ContainsRune(s, 0) }

// parseUnits accepts names and patterns of units ("ssh@*.service"); a name without a suffix is a service.
func parseUnits(v value) ([]string, error) {
	units, err := parseEach(v, func(s string) error {
		if len(s) > 255 || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r == '/' || r > '~' }) {
			return fmt.Errorf("%q is not the name of a unit", s)
		}
		_, err := filepath.Match(s, "")
		return err
	})
	for i, u := range units {
		if !strings.Contains(u, ".") {
			units[i] = u + ".service"
		}
	}
	return units, err
}

// parseAdmins reads names of accounts and, after an @, of groups.
func parseAdmins(v value) ([]string, error) {
	return parseEach(v, func(s string) error {
		if name := strings.TrimPrefix(s, "@"); name == "" || len(name) > 64 || strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r == ':' || r == ',' || r == 0x7f }) {
			return fmt.Errorf("%q is not the name of an account, or @ and that of a group", s)
		}
		return nil
	})
}

func parseWords(v value) ([]string, error) {
	return parseEach(v, func(string) error { return nil })
}

func parseEach(v value, check func(string) error) ([]string, error) {
	words, err := v.words()
	for _, w := range words {
		if err == nil {
			err = check(w)
		}
	}
	return words, err
}

func parseIgnore(v value) ([]jail.Ignore, error) {
	words, err := v.words()
	if err != nil {
		return nil, err
	}
	var list []jail.Ignore
	for _, w := range words {
		g, err := jail.ParseIgnore(w)
		if err != nil {
			return nil, err
		}
		list = append(list, g)
	}
	return list, nil
}

// parseNAT64 reads the prefixes of translators, and "auto".
func parseNAT64(v value) (n NAT64, err error) {
	words, err := v.words()
	if err != nil {
		return n, err
	}
	if len(words) > 64 {
		return n, errors.New("more than 64 prefixes")
	}
	for _, w := range words {
		if w == "auto" {
			n.Auto = true
			continue
		}
		p, err := netip.ParsePrefix(w)
		bits := jail.TranslatorBits()
		if err != nil || !p.Addr().Is6() || p.Addr().Is4In6() || !slices.Contains(bits[:], p.Bits()) {
			return n, fmt.Errorf("%q is neither auto nor an IPv6 prefix of 32, 40, 48, 56, 64 or 96 bits", w)
		}
		n.Prefixes = append(n.Prefixes, p.Masked())
	}
	return n, nil
}

// parseCommand reads an argument vector: a list as it is, or a string that is split at blanks. No shell ever sees it.
func parseCommand(v value) ([]string, error) {
	argv := []string{}
	switch v.kind {
	case null:
	case scalar:
		argv = strings.Fields(v.text)
		if strings.ContainsAny(strings.ReplaceAll(v.text, "<ip>", ""), "'\"\\|&;$`<>()*?\x00") {
			return nil, errors.New("no shell runs the command: write its arguments as a list")
		}
	case list:
		for _, item := range v.items {
			if item.kind != scalar || strings.ContainsRune(item.text, 0) {
				return nil, errors.New("every argument of the command must be a string")
			}
			argv = append(argv, item.text)
		}
	case mapping:
		return nil, errors.New("a command is a string or a list of arguments")
	}
	if len(argv) > 0 && !isPath(argv[0]) {
		return nil, fmt.Errorf("the command %q must be a path that begins with /", argv[0])
	}
	return argv, nil
}
