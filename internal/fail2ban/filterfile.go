package fail2ban

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"exile/internal/fail2ban/python"
	"exile/jail/filter/services"
)

// This file writes filters of exile, with samples that prove them.

// sample is a line that a pattern must match.
type sample struct{ line, addr, user string }

// compiled are the patterns as the engine reads them.
type compiled struct {
	re   *regexp.Regexp
	addr int
}

// finish makes the samples, writes the file, and has exile read it.
func (w *translator) finish(t *translation, name, dir string) *refusal {
	if no := w.prove(); no != nil {
		return no
	}
	t.text = w.render(name, dir)
	s, err := services.Parse(t.name+services.Suffix, []byte(t.text))
	if err != nil {
		return &refusal{w.at, "its translation does not load: " + err.Error(), ""}
	}
	t.service = s
	for _, p := range w.made {
		if p.framable != "" {
			t.framable = true
			w.changed(w.at, fmt.Sprintf("%s can be turned against others: %s", p.name, p.framable),
				w.instead(p, t.name))
		}
	}
	if why, ok := forged[name]; ok {
		t.framable = true
		w.changed(w.at, why, "exilectl cannot make this safe")
	}
	t.reason, t.notes = strings.Join(w.left, "; "), w.notes
	return nil
}

// instead advises what to write in place of a pattern with which clients can have others banned.
func (w *translator) instead(p pattern, file string) string {
	at := slices.IndexFunc(p.nodes, isHost)
	end := &python.Node{Op: python.End}
	// What stands behind the address is often there by habit only.
	for last := len(p.nodes); last > at; last-- {
		if last < len(p.nodes) && !isLoose(p.nodes[last]) {
			break
		}
		match, err := python.Print(append(slices.Clone(p.nodes[:last]), end))
		if err == nil && services.Check(match) == nil {
			return "if lines end there, write " + match
		}
	}
	return "write the pattern in filters.d/" + file + services.Suffix + " so that no text of a client is before the address or, up to $, behind it; see exile.yaml(5)"
}

// isLoose reports whether a part may be left out at the end of a pattern, because it may be empty.
func isLoose(n *python.Node) bool {
	return n.Op == python.Repeat && n.Min == 0 || n.Op == python.End || n.Op == python.Edge
}

// forged are filters for logs in which a client can write whole lines.
var forged = map[string]string{
	"mysqld-auth":       "the filter can be turned against others: MariaDB writes line feeds of a name as they are, so that a client can write a line",
	"murmur":            "the filter can be turned against others: Murmur writes line feeds of a name as they are, so that a client can write a line",
	"phpmyadmin-syslog": "the filter can be turned against others: PHP splits what it logs at line feeds, so that a client can write a line",
}

// prove finds lines for each pattern. One for which there is none, or only lines that others match, is left out.
func (w *translator) prove() *refusal {
	var made []pattern
	engines := make([]compiled, 0, len(w.made))
	for _, p := range w.made {
		re, addr, err := services.Compile(p.match)
		if err != nil {
			return &refusal{w.at, err.Error(), ""}
		}
		engines = append(engines, compiled{re, addr})
	}
	var ignore []*regexp.Regexp
	for _, match := range w.ignore {
		re, _, err := services.Compile(match)
		if err != nil {
			return &refusal{w.at, err.Error(), ""}
		}
		ignore = append(ignore, re)
	}
	var kept []compiled
	for i, p := range w.made {
		if *w.trying <= 0 {
			return &refusal{w.at, fmt.Sprintf("to find lines for its expressions takes too long: the filters have tried %d MB of them", maxTrying>>20), "write it shorter"}
		}
		if p.samples = w.anySamples(p, engines[i], kept, ignore); len(p.samples) == 0 {
			w.left = append(w.left, p.name+" was left out: no line was found that it matches, and no pattern before it")
			w.notes = append(w.notes, Note{Kind: NotMoved, At: w.at, Text: w.left[len(w.left)-1]})
			continue
		}
		made, kept = append(made, p), append(kept, engines[i])
	}
	if w.made = made; len(made) == 0 {
		return &refusal{w.at, "no line was found that it matches", ""}
	}
	return nil
}

// anySamples makes lines with a time, or else such without.
func (w *translator) anySamples(p pattern, of compiled, before []compiled, ignore []*regexp.Regexp) []sample {
	if all := w.samplesOf(p, of, before, ignore, false); len(all) > 0 {
		return all
	}
	all := w.samplesOf(p, of, before, ignore, true)
	if len(all) > 0 {
		w.changed(w.at, p.name+" matches only lines without a time, as in fail2ban, which leaves the blank behind the time in the line", `write ^\s* in place of ^`)
	}
	return all
}

// maxTrying is how many bytes of lines are tried for all filters together.
const maxTrying = 16 << 20

// samplesOf makes lines that a pattern matches, and none before it.
func (w *translator) samplesOf(p pattern, of compiled, before []compiled, ignore []*regexp.Regexp, bare bool) (all []sample) {
	for _, addr := range []string{sampleAddr, sampleAddr6} {
		for _, s := range strategies() {
			s.addr, s.bare = addr, bare
			line := sampleOf(p.nodes, s)
			*w.trying -= len(line)
			m := of.re.FindStringSubmatchIndex(line)
			if m == nil || of.addr == 0 || m[2*of.addr] < 0 || line[m[2*of.addr]:m[2*of.addr+1]] != addr || !isWhole(line, m[2*of.addr], m[2*of.addr+1]) || strings.ContainsAny(line, "\n") ||
				slices.ContainsFunc(before, func(c compiled) bool { return c.re.MatchString(line) }) ||
				slices.ContainsFunc(ignore, func(re *regexp.Regexp) bool { return re.MatchString(line) }) {
				continue
			}
			found := sample{line: line, addr: addr}
			if u := of.re.SubexpIndex("user"); u > 0 && m[2*u] >= 0 {
				found.user = line[m[2*u]:m[2*u+1]]
			}
			all = append(all, found)
			break
		}
	}
	return all
}

// isWhole reports whether an address is no part of a word.
func isWhole(line string, from, to int) bool {
	return !wordEnd.MatchString(line[:from]) && !wordBegin.MatchString(line[to:])
}

var (
	wordEnd   = regexp.MustCompile(`[0-9A-Za-z_.]$`)
	wordBegin = regexp.MustCompile(`^[0-9A-Za-z_]`)
)

// render writes the file.
func (w *translator) render(name, dir string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# Written by exilectl import-fail2ban. See exile.yaml(5).\n")
	fmt.Fprintf(&b, "description: %s\n", scalar("what the filter "+quoted(name)+" of fail2ban matches"))
	fmt.Fprintf(&b, "source: %s\n", scalar("translated from "+dir+"/filter.d; the lines of the samples are made, too"))
	if len(w.units) > 0 {
		fmt.Fprintf(&b, "units: %s\n", list(w.units))
	}
	if w.form == services.Syslog && len(w.daemons) > 0 {
		fmt.Fprintf(&b, "identifiers: %s\n", list(w.daemons))
	}
	if w.form != services.Syslog {
		fmt.Fprintf(&b, "form: %s\n", w.form)
	}
	b.WriteString("patterns:\n")
	for _, p := range w.made {
		fmt.Fprintf(&b, "  - name: %s\n    kind: failure\n    match: %s\n", p.name, single(p.match))
		if p.framable != "" || forged[name] != "" {
			b.WriteString("    framable: found # a jail reads with it once this says accepted, or the pattern is safe\n")
		}
	}
	if len(w.ignore) > 0 {
		b.WriteString("ignore:\n")
	}
	for _, match := range w.ignore {
		fmt.Fprintf(&b, "  - %s\n", single(match))
	}
	b.WriteString("samples:\n")
	for _, p := range w.made {
		for _, s := range p.samples {
			fmt.Fprintf(&b, "  - line: %s\n    pattern: %s\n    address: '%s'\n", single(s.line), p.name, s.addr)
			if s.user != "" {
				fmt.Fprintf(&b, "    user: %s\n", single(s.user))
			}
		}
	}
	fmt.Fprintf(&b, "  - line: %s\n    pattern: none\n", single(w.stranger()))
	return b.String()
}

// stranger is a line that no pattern matches.
func (w *translator) stranger() string {
	for _, line := range []string{"no service writes such a line", "?", ""} {
		if !slices.ContainsFunc(w.made, func(p pattern) bool {
			re, _, err := services.Compile(p.match)
			return err != nil || re.MatchString(line)
		}) {
			return line
		}
	}
	return ""
}

// single writes a text in single quotes, in which a backslash is one.
func single(s string) string {
	if strings.ContainsFunc(s, func(r rune) bool {
		return r < ' ' || r == 0x7f || r == '\uFEFF' || r == '\uFFFD' || r >= 0x80 && r < 0xa0
	}) {
		return scalar(s)
	}
	return "'" + strings.ReplaceAll(s, "'", "''") + "'"
}
