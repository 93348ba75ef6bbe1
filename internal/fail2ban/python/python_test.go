package python

import (
	"regexp"
	"strings"
	"testing"
)

// print returns an expression in Go's words, with all that is done to it.
func printed(text string) (string, error) {
	n, err := Parse(text)
	if err != nil {
		return "", err
	}
	nodes := []*Node{n}
	if n.Op == Concat {
		nodes = n.Sub
	}
	if nodes = Looked(nodes); nodes == nil {
		return "nothing", nil
	}
	return Print(Ended(nodes))
}

func TestPrint(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`^a.b$`:                            `^a.b$`,
		`a{,3}b{2,}c{4}d{1,2}?`:            `a{0,3}b{2,}c{4}d{1,2}?`,
		`a{x}{`:                            `a\{x\}\{`,
		`(?P<x>a|b)+(c)(?:de)*`:            `(?:a|b)+c(?:de)*`,
		`(?P<user>\S+)-<F-USER>x</F-USER>`: "two groups",
		`<F-USER>[^']*</F-USER>'`:          `(?P<user>[^']*)'`,
		`<F-ALT_USER>a</F-ALT_USER>`:       `a`,
		`from <HOST>:<F-PORT/>`:            `from \[?<ADDR>\]?:[\pL\pN_]+`,
		`<ADDR> <HOST>`:                    "two addresses",
		`[<HOST>]`:                         "inside brackets",
		`\<W\><W>`:                         `\<W\>\<W\>`,
		`\w\W\d[\w.]`:                      `[\pL\pN_][^\pL\pN_]\d[\pL\pN_.]`,
		`[]a][^]a]x[a\]\-z]`:               `[\]a][^\]a]x[a\]\-z]`,
		`[a-`:                              "does not end",
		`[z-a]`:                            "ends before it begins",
		`(?i)Abc`:                          `(?i)Abc`,
		`x(?i:Ab)y`:                        `x(?i:Ab)y`,
		`x((?i)ab)y`:                       `x(?i:ab)y`,
		`(?x) a b # c`:                     `ab`,
		`(?#x)a(?s:.)`:                     `a(?:[\x00-\x{10FFFF}]|$)`,
		`a\s+$`:                            `a(?:\s+|\s*$)$`,
		`a\s*$`:                            `a\s*$`,
		`a(?=b)`:                           `ab`,
		`a(?!b)`:                           `a(?:(?:[^b]|$)|$)`,
		`a(?![ \d])`:                       `a(?:(?:[^ \d]|$)|$)`,
		`a(?!)`:                            "nothing",
		`(?!GET )[A-Z]+`:                   "look-ahead",
		`(?!GO|GET)[A-Z]+ `:                `(?:[A-FH-Z][A-Z]*|G(?:[A-DF-NP-Z][A-Z]*|E(?:[A-SU-Z][A-Z]*|)|)) `,
		`(?<=a)b`:                          "look-behind",
		`(a)\1`:                            "reference",
		`(?P<a>b)(?P=a)`:                   "reference",
		`(?(1)a|b)`:                        "condition",
		`(?>a)`:                            "atomic",
		`a++`:                              "possessive",
		`a**`:                              "repeats what is repeated",
		`*a`:                               "repeats nothing",
		`a\Z`:                              `\Z`,
		`\y`:                               `no \y`,
		`a\nb`:                             "several lines",
		`a<SKIPLINES>b`:                    "several lines",
		`(?m)a`:                            "several lines",
		`a)`:                               "parenthesis too many",
		`(a`:                               "does not end",
		`a{1001}`:                          "more than 1000 times",
		`\x41\u00e9\060`:                   `Aé0`,
		strings.Repeat("(", 200):           "too deeply",
	} {
		got, err := printed(text)
		if err != nil {
			got = err.Error()
		} else if _, err := regexp.Compile(strings.ReplaceAll(got, "<ADDR>", "1")); err != nil {
			t.Errorf("%s: %v", text, err)
		}
		if got != want && !strings.Contains(got, want) {
			t.Errorf("%s: got %s, want %s", text, got, want)
		}
	}
}

// What stands for a look-ahead matches what that does.
func TestLooked(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`^(?!GO|GET)[A-Z]+ x`:   "G GE POST GX GEX",
		`^(?!GO |GET)[A-Z]+ x`:  "G GE GOT POST GX GEX",
		`^(?!GO |GET )[A-Z]+ x`: "G GE GETS GOT POST GX GEX",
		`^(?!G|GET )[A-Z]* x`:   "POST -",
		`^(?!GO |GET )[A-Z]* x`: "G GE GETS GOT POST GX GEX -",
	} {
		expr, err := printed(text)
		if err != nil {
			t.Fatal(text, err)
		}
		re := regexp.MustCompile(expr)
		var got []string
		for word := range strings.FieldsSeq("G GE GET GETS GO GOT POST GX GEX get -") {
			if re.MatchString(strings.Trim(word, "-") + " x") {
				got = append(got, word)
			}
		}
		if words := strings.Join(got, " "); words != want {
			t.Errorf("%s: matches %s, want %s: %s", text, words, want, expr)
		}
	}
}

func TestWords(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{`(?:ipop3d|imapd)`: "ipop3d imapd", `sshd`: "sshd", `\S*`: "", `a|`: ""} {
		n, err := Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(Words(n), " "); got != want {
			t.Errorf("%s: got %q, want %q", text, got, want)
		}
	}
}

// Whatever the expression is, what is written compiles, or the expression is refused.
func FuzzParse(f *testing.F) {
	for _, text := range []string{`^(?:a|b<HOST>)\s+$`, `(?i)(?P<x>a{2,3})[^]\w-]`, `(?!a|b)[a-z]*<F-USER>x</F-USER>`, "\uE000a(?x: b)\\Z"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		n, err := Parse(text)
		if err != nil {
			return
		}
		all, err := Variants(n, func(n *Node) bool { return n.Op == Host || n.Op == Begin })
		if err != nil {
			return
		}
		for _, nodes := range all {
			out, err := Print(Ended(Looked(nodes)))
			if err != nil || len(out) > 1<<16 {
				continue
			}
			out = strings.ReplaceAll(out, "<ADDR>", "1")
			if _, err := regexp.Compile(out); err != nil && !strings.Contains(err.Error(), "repeat") && !strings.Contains(err.Error(), "large") && !strings.Contains(err.Error(), "nests") {
				t.Errorf("%q became %q: %v", text, out, err)
			}
		}
	})
}
