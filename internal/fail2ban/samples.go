package fail2ban

import (
	"regexp"
	"strings"

	"exile/internal/fail2ban/python"
)

// This file makes lines that an expression matches.

// strategy says which of the many lines is made.
type strategy struct {
	extra  int    // how often more than it must a part occurs
	branch int    // which branch is taken
	chars  string // what is preferred of a class
	addr   string
	bare   bool // the line has no time, if it need not
}

const (
	sampleAddr  = "192.0.2.7"
	sampleAddr6 = "2001:db8::7"
	maxSample   = 4000
)

// strategies are tried one after the other.
func strategies() (all []strategy) {
	for _, chars := range []string{"xa1-/. ", "1a", "Ab1 ", " x1", "-x1"} {
		for _, extra := range []int{0, 1, 3} {
			for branch := range 4 {
				all = append(all, strategy{extra: extra, branch: branch, chars: chars, addr: sampleAddr})
			}
		}
	}
	return all
}

func sampleOf(nodes []*python.Node, s strategy) string {
	if s.chars == "" {
		s.chars, s.addr = "xa1-/. ", sampleAddr
	}
	m := &maker{strategy: s, known: map[string]string{}}
	for _, n := range nodes {
		m.add(n)
	}
	return m.out.String()
}

type maker struct {
	strategy
	out   strings.Builder
	known map[string]string // the member of a class: it is the same each time, and takes time to find
}

func (m *maker) add(n *python.Node) {
	if m.out.Len() > maxSample {
		return
	}
	switch n.Op {
	case python.Literal:
		m.out.WriteString(n.Text)
	case python.Any:
		m.out.WriteByte(m.chars[0])
	case python.Class:
		if _, ok := m.known[n.Text]; !ok {
			m.known[n.Text] = m.member(n.Text)
		}
		m.out.WriteString(m.known[n.Text])
	case python.Given:
		m.out.WriteString(n.Sample)
	case python.Host:
		m.out.WriteString(m.addr)
	case python.Alternate:
		m.add(n.Sub[m.branch%len(n.Sub)])
	case python.Repeat:
		times := n.Min + m.extra
		if n.Sub[0].Op == python.Given {
			times = max(n.Min, 1) // a line has a time, even if it need not
			if m.bare {
				times = n.Min
			}
		}
		if n.Max >= 0 {
			times = min(times, n.Max)
		}
		for range min(times, maxSample) {
			m.add(n.Sub[0])
		}
	case python.Look:
	default:
		for _, sub := range n.Sub {
			m.add(sub)
		}
	}
}

// member returns a character of a class.
func (m *maker) member(class string) string {
	re, err := regexp.Compile("^" + class + "$")
	if err != nil {
		return ""
	}
	const printable = "aA0 _.,:;-/@'\"()[]{}<>=+*?!#$%&~^|`\\"
	for _, c := range m.chars + printable {
		if re.MatchString(string(c)) {
			return string(c)
		}
	}
	for c := rune(1); c < 0x3000; c++ {
		if re.MatchString(string(c)) {
			return string(c)
		}
	}
	return ""
}
