package accounts

import (
	"cmp"
	"fmt"
	"io/fs"
	"path"
	"strings"
)

// pamRefuses reports whether the stack of a service is certain to refuse, for one type ("auth", "account"), everybody whom pam_unix refuses, whatever
// the other modules return.
func pamRefuses(root fs.FS, service, kind string) (bool, error) {
	p := pamFiles{root: root, kind: kind}
	if _, err := p.find(service); isMissing(err) {
		service = "other" // as PAM does
	}
	s, err := p.stack(service, 0)
	if err == nil && len(s) == 0 {
		s, err = p.stack("other", 0)
	}
	if err != nil {
		return false, err
	}
	return s.outcome(undecided)&good == 0, nil
}

// Limits on a stack.
const (
	maxPAMDepth = 16
	maxPAMLines = 4096
)

// pamFiles reads one type of stack from the files of pam.d(5).
type pamFiles struct {
	root  fs.FS
	kind  string
	lines int
}

// find returns the file of a service: that of the administrator or, without one, that of the distribution.
func (p *pamFiles) find(service string) (string, error) {
	if path.IsAbs(service) {
		return strings.TrimLeft(path.Clean(service), "/"), nil
	}
	if service != path.Base(service) {
		return "", fmt.Errorf("%q is not a name of a PAM service", service)
	}
	var err error
	for _, dir := range []string{"etc/pam.d", "usr/lib/pam.d"} {
		name := path.Join(dir, service)
		if _, err = fs.Stat(p.root, name); err == nil {
			return name, nil
		}
	}
	return "", err
}

func (p *pamFiles) stack(service string, depth int) (stack, error) {
	name, err := p.find(service)
	if err != nil {
		return nil, err
	}
	if depth > maxPAMDepth {
		return nil, fmt.Errorf("/%s is included by itself", name)
	}
	var s stack
	var before string // the beginning of a continued line
	var bad error
	err = eachLine(p.root, name, func(line string) {
		line, _, _ = strings.Cut(before+line, "#")
		var more bool
		if before, more = strings.CutSuffix(line, `\`); more || bad != nil {
			return
		}
		before = ""
		if bad = p.line(&s, line, depth); bad != nil {
			bad = fmt.Errorf("/%s: %w", name, bad)
		}
	})
	return s, cmp.Or(err, bad)
}

// line adds "type control module arguments" to the stack if it is of our type, or adds what the line includes.
func (p *pamFiles) line(s *stack, line string, depth int) error {
	kind, rest := word(line)
	if kind == "" {
		return nil
	}
	if p.lines++; p.lines > maxPAMLines {
		return fmt.Errorf("more than %d lines", maxPAMLines)
	}
	if kind == "@include" {
		return p.include(s, rest, depth)
	}
	if strings.ToLower(strings.TrimPrefix(kind, "-")) != p.kind {
		return nil
	}
	c, rest := word(rest)
	switch strings.ToLower(c) {
	case "include":
		return p.include(s, rest, depth)
	case "substack":
		m := module{}
		err := p.include(&m.sub, rest, depth)
		*s = append(*s, m)
		return err
	}
	actions, err := parseControl(c)
	name, _ := word(rest)
	if name == "" {
		err = fmt.Errorf("%q names no module", line)
	}
	name = strings.TrimSuffix(path.Base(name), ".so")
	*s = append(*s, module{actions: actions, refuses: name == "pam_unix" || name == "pam_deny"})
	return err
}

func (p *pamFiles) include(s *stack, rest string, depth int) error {
	service, _ := word(rest)
	more, err := p.stack(service, depth+1)
	*s = append(*s, more...)
	return err
}

// word cuts the first word off a line, or what is in square brackets.
func word(line string) (first, rest string) {
	line = strings.TrimLeft(line, " \t")
	if strings.HasPrefix(line, "[") {
		if inside, rest, ok := strings.Cut(line, "]"); ok {
			return inside + "]", rest
		}
	}
	if i := strings.IndexAny(line, " \t"); i >= 0 {
		return line[:i], line[i:]
	}
	return line, ""
}
