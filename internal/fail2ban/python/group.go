package python

import (
	"regexp"
	"strconv"
	"strings"
)

var (
	named     = regexp.MustCompile(`^\(\?P<([A-Za-z_]\w*)>`)
	flagged   = regexp.MustCompile(`^\(\?([aiLmsux]*)(?:-([imsx]+))?([:)])`)
	referring = regexp.MustCompile(`^\(\?P=(\w+)\)`)
	wrapped   = regexp.MustCompile(`^\((?:\?:)?(\(\?[a-z]+)\)`)
)

// group reads what a parenthesis begins.
func (p *parser) group() (*Node, error) {
	// fail2ban makes (?i:x) of ((?i)x), which Python since 3.11 does not compile.
	if m := wrapped.FindStringSubmatch(p.text); m != nil {
		p.text = m[1] + ":" + p.text[len(m[0]):]
	}
	if m := named.FindStringSubmatch(p.text); m != nil {
		p.text = p.text[len(m[0]):]
		return p.inName(m[1], "")
	}
	if m := referring.FindStringSubmatch(p.text); m != nil {
		return nil, backReferred(m[0])
	}
	if m := flagged.FindStringSubmatch(p.text); m != nil {
		p.text = p.text[len(m[0]):]
		return p.flags(m[1], m[2], m[3] == ":")
	}
	switch {
	case strings.HasPrefix(p.text, "(?#"):
		_, rest, ok := strings.Cut(p.text, ")")
		if p.text = rest; !ok {
			return nil, refuse("a comment in it does not end", "")
		}
		return nil, nil
	case strings.HasPrefix(p.text, "(?=") || strings.HasPrefix(p.text, "(?!"):
		return p.look()
	case strings.HasPrefix(p.text, "(?<=") || strings.HasPrefix(p.text, "(?<!"):
		return nil, refuse("a look-behind, such as (?<=x), has no counterpart", "match what is before as well")
	case strings.HasPrefix(p.text, "(?("):
		return nil, refuse("a condition on a group, such as (?(name)x|y), has no counterpart", "write a line for each case")
	case strings.HasPrefix(p.text, "(?>"):
		return nil, refuse("an atomic group, (?>x), has no counterpart", "write (?:x)")
	case strings.HasPrefix(p.text, "(?"):
		return nil, refuse("Python knows no group that begins with "+strconv.Quote(p.text[:min(len(p.text), 4)]), "")
	}
	p.text = p.text[1:]
	n, err := p.inside("", ")")
	if err == nil {
		n.Capture = true
	}
	return n, err
}

// inside reads a group up to what closes it.
func (p *parser) inside(name, until string) (*Node, error) {
	fold, verbose, dotAll := p.fold, p.verbose, p.dotAll
	stop := until
	if until == ")" {
		stop = ""
	}
	n, err := p.alternate(stop)
	if err != nil {
		return nil, err
	}
	if !p.cut(until) {
		return nil, refuse("a group in it does not end", "")
	}
	p.fold, p.verbose, p.dotAll = fold, verbose, dotAll
	return &Node{Op: Group, Text: name, Sub: []*Node{n}}, nil
}

// flags reads the rest of a group with flags, or of what turns them on from here.
func (p *parser) flags(on, off string, group bool) (*Node, error) {
	if strings.ContainsAny(on, "m") {
		return nil, refuse("the flag m is for several lines at once, and filters here read line by line", "leave it out")
	}
	before := *p
	p.fold = (p.fold || strings.Contains(on, "i")) && !strings.Contains(off, "i")
	p.verbose = (p.verbose || strings.Contains(on, "x")) && !strings.Contains(off, "x")
	p.dotAll = (p.dotAll || strings.Contains(on, "s")) && !strings.Contains(off, "s")
	if !group {
		return nil, nil
	}
	n, err := p.inside("", ")")
	p.fold, p.verbose, p.dotAll = before.fold, before.verbose, before.dotAll
	return n, err
}

// look reads a look-ahead.
func (p *parser) look() (*Node, error) {
	not := p.text[2] == '!'
	p.text = p.text[3:]
	n, err := p.inside("", ")")
	if err != nil {
		return nil, err
	}
	return &Node{Op: Look, Not: not, Sub: n.Sub}, nil
}

// inName reads a group with a name, up to a parenthesis or a tag.
func (p *parser) inName(name, until string) (*Node, error) {
	if p.names[name] {
		return nil, refuse("two groups have the name "+strconv.Quote(name)+", which Python does not compile", "")
	}
	p.names[name] = true
	if until == "" {
		until = ")"
	}
	n, err := p.inside(name, until)
	if err != nil {
		return nil, err
	}
	switch name {
	case "ip4", "ip6", "dns":
		return &Node{Op: Host, Names: name == "dns"}, nil
	case "fid":
		return p.identity(n), nil
	}
	return n, nil
}

// identity is the group by which fail2ban counts: the address in it, or what may be one.
func (p *parser) identity(n *Node) *Node {
	if n.Has(func(n *Node) bool { return n.Op == Host }) {
		return n.Sub[0]
	}
	if expr, err := Print([]*Node{n}); err == nil {
		if re, err := regexp.Compile(`^(?:` + expr + `)$`); err == nil && re.MatchString("192.0.2.7") {
			return &Node{Op: Host, Arbitrary: true}
		}
	}
	return &Node{Op: Group, Text: "fid", Sub: n.Sub}
}

var (
	tagged  = regexp.MustCompile(`^<(/?)([\w-]+)(/?)>`)
	ownTags = regexp.MustCompile(`^F-[A-Z0-9_-]+$`)
)

// tag reads what fail2ban has for an expression. It is no tag if ok is false.
func (p *parser) tag() (n *Node, ok bool, err error) {
	m := tagged.FindStringSubmatch(p.text)
	if m == nil {
		return nil, false, nil
	}
	name, closing, alone := m[2], m[1] != "", m[3] != ""
	if n := hostTag(name); n != nil && !closing && alone == strings.HasPrefix(name, "F-") {
		p.text = p.text[len(m[0]):]
		for _, group := range hostGroups(name) {
			if p.names[group] {
				return nil, false, refuse("it has two addresses, which Python does not compile", "")
			}
			p.names[group] = true
		}
		return n, true, nil
	}
	switch {
	case name == "SKIPLINES":
		return nil, false, manyLines()
	case !ownTags.MatchString(name) || closing:
		return nil, false, nil
	case alone && name == "F-ID":
		p.text = p.text[len(m[0]):]
		return &Node{Op: Host, Arbitrary: true}, true, nil
	case alone && name == "F-PORT":
		p.text = p.text[len(m[0]):]
		return &Node{Op: Repeat, Min: 1, Max: -1, Sub: []*Node{{Op: Class, Text: words['w']}}}, true, nil
	case alone:
		return nil, false, nil
	}
	p.text = p.text[len(m[0]):]
	n, err = p.inName(groupName(name), "</"+name+">")
	return n, true, err
}

// groupName is the name of the group that a tag begins.
func groupName(tag string) string {
	switch name := strings.ToLower(strings.TrimPrefix(tag, "F-")); name {
	case "id":
		return "fid"
	case "port":
		return "fport"
	default:
		return name
	}
}

func hostTag(name string) *Node {
	switch strings.TrimPrefix(name, "F-") {
	case "HOST", "DNS":
		return &Node{Op: Host, Names: true}
	case "ADDR", "IP4", "IP6":
		return &Node{Op: Host}
	case "SUBNET":
		return &Node{Op: Host, Networks: true}
	case "CIDR":
		return &Node{Op: Repeat, Min: 1, Max: -1, Sub: []*Node{{Op: Class, Text: `\d`}}}
	}
	return nil
}

// hostGroups are the groups that such a tag has in fail2ban.
func hostGroups(name string) []string {
	switch strings.TrimPrefix(name, "F-") {
	case "IP4":
		return []string{"ip4"}
	case "IP6":
		return []string{"ip6"}
	case "DNS":
		return []string{"dns"}
	case "CIDR":
		return []string{"cidr"}
	}
	return []string{"ip4", "ip6"}
}
