package fail2ban

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"exile/internal/fail2ban/python"
	"exile/jail/filter/services"
)

// This file makes patterns of exile of fail2ban's expressions.

func isHost(n *python.Node) bool { return n.Op == python.Host }

// isMark reports whether a node must not be in a group: the pattern depends on where it is.
func isMark(n *python.Node) bool {
	return isHost(n) || n.Op == python.Begin || n.Op == python.Prefix || isContent(n)
}

func isContent(n *python.Node) bool { return n.Op == python.Group && n.Text == "content" }

// failure reads a line of failregex.
func (w *translator) failure(number int, line string) *python.Problem {
	n, err := python.Parse(line)
	if err != nil {
		return python.AsProblem(err)
	}
	all, err := python.Variants(n, isMark)
	if err == nil {
		all, err = w.combined(all)
	}
	if err != nil {
		return python.AsProblem(err)
	}
	if len(all) == 0 {
		return &python.Problem{Reason: "it matches nothing"}
	}
	var found []expression
	for i, nodes := range all {
		switch hosts := count(nodes, isHost); {
		case hosts > 1:
			return &python.Problem{Reason: "it has two addresses"}
		case hosts == 1:
			found = append(found, expression{fmt.Sprintf("failregex-%d%s", number, letter(i, len(all))), number, nodes})
		}
	}
	if p := w.counts(all[0], len(found) > 0); p != nil {
		return p
	}
	w.found = append(w.found, found...)
	return nil
}

func letter(i, of int) string {
	if of == 1 {
		return ""
	}
	return "-" + fmt.Sprint(i+1)
}

func count(nodes []*python.Node, is func(*python.Node) bool) (n int) {
	for _, node := range nodes {
		if node.Has(is) {
			n++
		}
	}
	return n
}

// counts reports why a line counts nothing by itself.
func (w *translator) counts(nodes []*python.Node, host bool) *python.Problem {
	has := func(name string) bool {
		return count(nodes, func(n *python.Node) bool { return n.Op == python.Group && n.Text == name }) > 0
	}
	switch {
	case has("nofail"), has("mlfgained"):
		return &python.Problem{Reason: "it counts nothing by itself, but is remembered for other lines of the connection (F-NOFAIL, F-MLFGAINED)"}
	case !host && has("mlfid"):
		return &python.Problem{Reason: "its address is in another line of the connection (F-MLFID)", Advice: "match the line that has the address"}
	case !host && has("fid"):
		return &python.Problem{Reason: "it counts by what is no address (F-ID)", Advice: "match the address"}
	case !host:
		return &python.Problem{Reason: "it has no address: fail2ban refuses it, too", Advice: "write <ADDR> where the address is"}
	case has("mlfid"):
		w.changed(w.at, "each line counts by itself: fail2ban joins those of a connection (F-MLFID)", "")
	case has("fid"):
		w.changed(w.at, "addresses are counted, and not what F-ID names", "")
	}
	for _, n := range nodes {
		n.Has(func(n *python.Node) bool {
			w.host(n)
			return false
		})
	}
	return nil
}

// host notes what an address means here.
func (w *translator) host(n *python.Node) {
	switch {
	case n.Op != python.Host:
	case n.Arbitrary:
		w.changed(w.at, "only addresses count: F-ID may be something else in fail2ban", "")
	case n.Networks:
		w.changed(w.at, "addresses are counted, and not networks (SUBNET)", "see aggregate in exile.yaml(5)")
	}
}

// combined puts prefregex around expressions, which fail2ban looks for in what prefregex names its content.
func (w *translator) combined(all [][]*python.Node) (out [][]*python.Node, err error) {
	if len(w.prefix) == 0 {
		w.prefix = [][]*python.Node{nil}
	}
	for _, nodes := range all {
		for _, prefix := range w.prefix {
			both, err := around(prefix, nodes)
			if err != nil {
				return nil, err
			}
			if both = python.Looked(both); both != nil {
				out = append(out, python.Ended(both))
			}
		}
	}
	return out, nil
}

func around(prefix, nodes []*python.Node) ([]*python.Node, error) {
	if prefix == nil {
		return nodes, nil
	}
	at := slices.IndexFunc(prefix, isContent)
	if at < 0 {
		return nil, &python.Problem{Reason: "prefregex has no F-CONTENT, so that both must be in the line", Advice: "write one expression of them"}
	}
	before, content, behind := prefix[:at], prefix[at].Sub[0], prefix[at+1:]
	if len(behind) > 1 || len(behind) == 1 && behind[0].Op != python.End {
		return nil, &python.Problem{Reason: "something follows the content of prefregex", Advice: "match it in failregex"}
	}
	if !implied(content, nodes) {
		return nil, &python.Problem{Reason: "prefregex says more of its content than that it is there", Advice: "write that in failregex"}
	}
	out := slices.Clone(before)
	if nodes[0].Op == python.Begin {
		nodes = nodes[1:]
	} else {
		out = append(out, python.Anything())
	}
	return append(out, nodes...), nil
}

// implied reports whether every text in which the nodes are found is one that the content may be.
func implied(content *python.Node, nodes []*python.Node) bool {
	for content.Op == python.Concat && len(content.Sub) == 1 {
		content = content.Sub[0]
	}
	if content.IsAnything() {
		return true
	}
	parts := content.Sub
	if content.Op != python.Concat || !parts[len(parts)-1].IsAnything() || nodes[0].Op != python.Begin {
		return false
	}
	var begin strings.Builder
	for _, n := range nodes[1:] {
		if n.Op != python.Literal || n.Fold {
			break
		}
		begin.WriteString(n.Text)
	}
	expr, err := python.Print(parts[:len(parts)-1])
	if err != nil {
		return false
	}
	re, err := regexp.Compile("^(?:" + expr + ")")
	return err == nil && re.MatchString(begin.String())
}

// make makes the patterns.
func (w *translator) make() *refusal {
	w.form = services.Syslog
	for _, e := range w.found {
		if w.own || e.nodes[0].Op != python.Begin || len(e.nodes) < 2 || e.nodes[1].Op != python.Prefix {
			w.form = services.Line
		}
	}
	if slices.ContainsFunc(w.stamps, func(s stamp) bool { return s.expr != anyTime }) {
		w.form = services.Line
	}
	seen := map[string]bool{}
	for _, e := range w.found {
		p, err := w.pattern(e)
		if err != nil {
			w.miss("failregex", w.at, e.line, python.AsProblem(err))
			continue
		}
		if !seen[p.match] {
			w.made = append(w.made, p)
		}
		seen[p.match] = true
	}
	if len(w.made) == 0 {
		return w.nothing()
	}
	for _, e := range w.ignored {
		match, err := python.Print(w.front(e.nodes, false))
		if err == nil {
			_, _, err = services.Compile(match)
		}
		if err != nil {
			return &refusal{w.at, "its ignoreregex was not translated: " + err.Error(), ""}
		}
		w.ignore = append(w.ignore, match)
	}
	return nil
}

func (w *translator) pattern(e expression) (pattern, error) {
	p := pattern{name: e.name, nodes: w.front(e.nodes, true)}
	match, err := python.Print(p.nodes)
	if err != nil {
		return p, err
	}
	p.match = match
	if _, _, err := services.Compile(match); err != nil {
		return p, err
	}
	if err := services.Check(match); err != nil {
		p.framable = strings.TrimPrefix(err.Error(), "match: ")
	}
	return p, nil
}
