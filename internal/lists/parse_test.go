package lists

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("testdata/parse.txt")
	if err != nil {
		t.Fatal(err)
	}
	blocks := strings.Split(string(data), "== ")[1:]
	for _, block := range blocks {
		name, rest, _ := strings.Cut(block, "\n")
		list, want, _ := strings.Cut("\n"+rest, "\n-- ")
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := Parse(strings.NewReader(strings.TrimPrefix(list, "\n")))
			if err != nil {
				t.Fatal(err)
			}
			if text := describe(got); text != strings.TrimSpace(want) {
				t.Errorf("read\n%s, want\n%s", text, want)
			}
		})
	}
}

func describe(p Parsed) string {
	var words []string
	for _, r := range p.Ranges {
		words = append(words, r.From.String()+"-"+r.To.String())
	}
	for name, n := range map[string]int{"entries": p.Entries} {
		if n > 0 {
			words = append(words, fmt.Sprintf("%s=%d", name, n))
		}
	}
	if p.Wide > 0 {
		words = append(words, fmt.Sprintf("wide=%d", p.Wide))
	}
	if len(p.Bad) > 0 {
		bad := "bad=" + strings.Trim(strings.ReplaceAll(fmt.Sprint(p.Bad), " ", ","), "[]")
		if p.BadMore > 0 {
			bad += fmt.Sprintf("+%d", p.BadMore)
		}
		words = append(words, bad)
	}
	return strings.Join(words, " ")
}

// endless is a line that never ends, or lines that never do.
type endless string

func (e endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = e[i%len(e)]
	}
	return max(len(p)/len(e)*len(e), 1), nil
}

func TestParseBounds(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"xxxxxxxx": "a line is longer", "#\n": "larger than", "1.2.3.4\n": "more than 1000000 entries",
	} {
		if _, err := Parse(endless(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q for ever: %v, want %q", text, err, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	data, err := os.ReadFile("testdata/parse.txt")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(data))
	f.Fuzz(func(t *testing.T, text string) {
		p, err := Parse(strings.NewReader(text))
		if err != nil {
			return
		}
		for i, r := range p.Ranges {
			if !r.From.IsValid() || r.To.Less(r.From) || r.From.BitLen() != r.To.BitLen() || r.From.Is4In6() {
				t.Fatalf("range %d is %v", i, r)
			}
			if i > 0 && joins(p.Ranges[i-1], r) {
				t.Fatalf("ranges %v and %v overlap or touch", p.Ranges[i-1], r)
			}
		}
	})
}
