package python

import (
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"
)

// class reads a class of characters.
func (p *parser) class() (*Node, error) {
	p.text = p.text[1:]
	var b strings.Builder
	b.WriteByte('[')
	if p.cut("^") {
		b.WriteByte('^')
	}
	for first := true; ; first = false {
		switch {
		case p.text == "":
			return nil, refuse("a class in it does not end", "")
		case !first && p.cut("]"):
			b.WriteByte(']')
			return &Node{Op: Class, Text: b.String(), Fold: p.fold}, nil
		}
		if err := p.member(&b); err != nil {
			return nil, err
		}
	}
}

var inClass = map[byte]string{'d': `\d`, 'D': `\D`, 's': `\s`, 'S': `\S`, 'w': `\pL\pN_`, 'W': `\W`}

// member reads one member of a class: a character, a range, or what a letter names.
func (p *parser) member(b *strings.Builder) error {
	if m := tagged.FindStringSubmatch(p.text); m != nil && (hostTag(m[2]) != nil || ownTags.MatchString(m[2])) {
		return refuse("the tag "+m[0]+" is inside brackets, where it stands for its letters", "take it out of the brackets")
	}
	if len(p.text) > 1 && p.text[0] == '\\' && inClass[p.text[1]] != "" {
		b.WriteString(inClass[p.text[1]])
		p.text = p.text[2:]
		return nil
	}
	from, err := p.one()
	if err != nil {
		return err
	}
	b.WriteString(quoteInClass(from))
	if len(p.text) < 2 || p.text[0] != '-' || p.text[1] == ']' {
		return nil
	}
	p.text = p.text[1:]
	if len(p.text) > 1 && p.text[0] == '\\' && inClass[p.text[1]] != "" {
		return refuse("a range in it ends with a class, which Python does not compile", "")
	}
	to, err := p.one()
	if err != nil {
		return err
	}
	if to < from {
		return refuse("a range in it ends before it begins, which Python does not compile", "")
	}
	b.WriteString("-" + quoteInClass(to))
	return nil
}

// one reads a character of a class.
func (p *parser) one() (rune, error) {
	if p.text[0] == '\\' {
		if len(p.text) == 1 {
			return 0, refuse("it ends with a backslash", "")
		}
		return p.char()
	}
	r, size := utf8.DecodeRuneInString(p.text)
	p.text = p.text[size:]
	return r, nil
}

func quoteInClass(r rune) string {
	switch {
	case r < ' ' || r == 0x7f || r == utf8.RuneError:
		return fmt.Sprintf(`\x{%x}`, r)
	case strings.ContainsRune(`\]^-[`, r):
		return `\` + string(r)
	}
	return string(r)
}

// members is what matches a single character of a node, nil if the node is not one character.
func members(n *Node) *regexp.Regexp {
	switch n.Op {
	case Literal, Class, Any:
	default:
		return nil
	}
	expr, err := Print([]*Node{n})
	if err != nil {
		return nil
	}
	re, err := regexp.Compile(`^(?:` + expr + `)$`)
	if err != nil {
		return nil
	}
	return re
}
