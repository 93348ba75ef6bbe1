package services

import (
	"bytes"
	"encoding/json"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// innocent is the address that the client of a hostile text wants to have banned.
var innocent = netip.MustParseAddr("203.0.113.250")

// victim is the connection that it has.
const victim = "7077"

// TestNobodyIsFramed replaces every text that a client can choose in the samples of every filter: by addresses, and by copies of the line
// around it with another address, so that it looks like the line itself. So it does for the id of a connection.
func TestNobodyIsFramed(t *testing.T) {
	t.Parallel()
	for _, name := range Names() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d, s := read(t, name), load(t, name)
			for _, sample := range d.Samples {
				i, groups := s.match([]byte(sample.Line))
				if sample.Pattern != nothing && groups != nil && d.Patterns[i].Framable == "" && (s.patterns[i].addr > 0 || s.patterns[i].conn > 0) {
					frame(t, s, &d.Patterns[i], sample)
				}
			}
		})
	}
}

// frame tries to have somebody else banned with the line of a sample.
func frame(t *testing.T, s *Service, l *patternLine, sample sample) {
	t.Helper()
	f := s.Filter("aggressive").(reader)
	_, _, own := f.parse([]byte(sample.Line))
	for _, c := range choices(t, l, sample.Line) {
		for _, text := range c.hostile(sample, string(own)) {
			line := sample.Line[:c.from] + text + sample.Line[c.to:]
			switch got, _, id := f.parse([]byte(line)); {
			case got.Addr == innocent:
				t.Errorf("pattern %s: a client gets %s banned with %q in %q", l.Name, got.Addr, text, line)
			case id != nil && !bytes.Equal(id, own):
				t.Errorf("pattern %s: a client of the connection %s speaks for %s with %q in %q", l.Name, own, id, text, line)
			}
		}
	}
}

// choice is a part of a line that a client can choose.
type choice struct {
	from, to int
	json     bool
	never    string
}

// choices returns the parts of a line that the pattern lets a client choose.
func choices(t *testing.T, l *patternLine, line string) (out []choice) {
	t.Helper()
	expr, err := expand(l.Match, true)
	if err != nil {
		t.Fatal(err)
	}
	parts := flatten(mustParse(t, expr))
	unnamed := regexp.MustCompile(`\?P<\w+>`)
	var b strings.Builder
	var free []choice
	for _, part := range parts {
		text := "(?:" + unnamed.ReplaceAllString(part.String(), "?:") + ")"
		if part.Name != "addr" && (holdsAddress(part) || chosen(part)) {
			name, _ := inner(part)
			free = append(free, choice{json: strings.HasPrefix(name, "json"), never: l.Excludes.User})
			text = "(" + text + ")"
		}
		b.WriteString(text)
	}
	at := regexp.MustCompile(b.String()).FindStringSubmatchIndex(line)
	if at == nil {
		t.Fatalf("pattern %s does not match its sample %q in parts", l.Name, line)
	}
	for i, c := range free {
		if at[2*i+2] < 0 {
			continue
		}
		c.from, c.to = at[2*i+2], at[2*i+3]
		out = append(out, c)
	}
	if at[1] < len(line) { // the pattern does not ask
		out = append(out, choice{from: at[1] + 1, to: len(line), json: strings.HasPrefix(line, "{"), never: l.Excludes.User})
	}
	return out
}

// hostile returns what a client of that connection may send instead.
func (c choice) hostile(sample sample, own string) []string {
	var pairs []string
	if sample.Address != "" {
		pairs = append(pairs, sample.Address, innocent.String())
	}
	if own != "" {
		pairs = append(pairs, own, victim)
	}
	other := strings.NewReplacer(pairs...)
	line, head, tail := other.Replace(sample.Line), other.Replace(sample.Line[:c.from]), other.Replace(sample.Line[c.to:])
	texts := []string{
		innocent.String(), "x " + innocent.String(), innocent.String() + " x", "[" + innocent.String() + "]:22", line, "x" + tail,
		"x" + tail + "\n", head + "x", head + "x" + tail, "x" + tail + head + "x", "x" + tail + strings.Repeat(" ", 300), tail, head,
		"x\"" + tail, "x'" + tail, "x>" + tail, "x)" + tail, "x]" + tail, "x," + tail, "x:" + tail, "x;" + tail,
	}
	for i, text := range texts {
		texts[i] = c.sendable(text)
	}
	return slices.Compact(texts)
}

// sendable is what reaches the log if a client sends that text.
func (c choice) sendable(text string) string {
	if c.json {
		var b bytes.Buffer
		e := json.NewEncoder(&b)
		e.SetEscapeHTML(false)
		if err := e.Encode(text); err != nil {
			panic(err)
		}
		quoted := strings.TrimSpace(b.String())
		return quoted[1 : len(quoted)-1]
	}
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune(c.never, r) || r == '\n' {
			return -1 // a line feed would begin another line
		}
		return r
	}, text)
}

// TestFramable: the property test finds the patterns that the check refuses.
func TestFramable(t *testing.T) {
	t.Parallel()
	for match, line := range map[string]string{
		`^<USER>: refused from <ADDR>, .*`:                 "bob: refused from 192.0.2.1, good bye",
		`^user "(?P<user>[^"]*)", client: <ADDR>, server:`: `user "bob", client: 192.0.2.1, server: a`,
		`^for [\w-]+ from <ADDR>`:                          "for bob from 192.0.2.1",
		`^.* from <ADDR> by \w+$`:                          "mail from 192.0.2.1 by bob",
		`^\S+ refused <ADDR> .*`:                           "bob refused 192.0.2.1 at noon",
	} {
		p := &patternLine{Name: "p", Kind: "failure", Match: match}
		if check(match, "") == nil {
			t.Errorf("the check accepts %s", match)
		}
		m, err := newMatcher(match)
		if err != nil {
			t.Fatal(err)
		}
		s := &Service{Name: "x", patterns: []pattern{{matcher: m, name: "p", kind: kinds["failure"], addr: m.re.SubexpIndex("addr")}}}
		f, framed := s.Filter("normal"), false
		for _, c := range choices(t, p, line) {
			for _, text := range c.hostile(sample{Line: line, Address: "192.0.2.1"}, "") {
				framed = framed || f.Parse([]byte(line[:c.from]+text+line[c.to:])).Addr == innocent
			}
		}
		if !framed {
			t.Errorf("nobody can be framed with %s", match)
		}
	}
}

// TestFramableConnection: likewise for the patterns that the check refuses because of the id of a connection.
func TestFramableConnection(t *testing.T) {
	t.Parallel()
	for match, line := range map[string]string{
		`^<USER> refused, conn=<CONNECTION>;`:  "bob refused, conn=1003; good bye",
		`^.*conn=<CONNECTION> refused.*`:       "bob, conn=1003 refused: no",
		`^<WORDS> conn=<CONNECTION> refused.*`: "at noon conn=1003 refused bob",
	} {
		if check(match, "") == nil {
			t.Errorf("the check accepts %s", match)
		}
		p := &patternLine{Name: "p", Kind: "failure", Match: match}
		m, err := newMatcher(match)
		if err != nil {
			t.Fatal(err)
		}
		s := &Service{Name: "x", patterns: []pattern{{matcher: m, name: "p", kind: kinds["failure"], conn: m.re.SubexpIndex("connection")}}}
		f, framed := s.Filter("normal").(reader), false
		for _, c := range choices(t, p, line) {
			for _, text := range c.hostile(sample{Line: line}, "1003") {
				_, _, id := f.parse([]byte(line[:c.from] + text + line[c.to:]))
				framed = framed || string(id) == victim
			}
		}
		if !framed {
			t.Errorf("nobody can be framed with %s", match)
		}
	}
}
