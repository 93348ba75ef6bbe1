package replay

import (
	"encoding/json"
	"io"
	"strings"
	"time"
)

// head and tail are the document of a run around its bans, which may be a million.
type head struct {
	Entries  uint64 `json:"entries"`
	Matched  uint64 `json:"matched"`
	Attempts uint64 `json:"attempts"`
	Sources  int    `json:"sources"`
}

type tail struct {
	Prevented uint64  `json:"prevented"`
	Passed    uint64  `json:"passed"`
	FalseBans []False `json:"false_bans"`
	Elapsed   float64 `json:"elapsed_seconds"`

	// Of a comparison.
	Compared    *numbers     `json:"compared,omitempty"`
	Differences []Difference `json:"differences,omitempty"`
	Different   *int         `json:"different,omitempty"`
}

// numbers are those of the other side of a comparison.
type numbers struct {
	Attempts  uint64  `json:"attempts"`
	Bans      int     `json:"bans"`
	Prevented uint64  `json:"prevented"`
	Passed    uint64  `json:"passed"`
	FalseBans []False `json:"false_bans"`
}

func (c *Comparison) numbers() *numbers {
	rep := c.sides[1].Report()
	return &numbers{rep.Count.Attempts, rep.Bans, rep.Count.Prevented, rep.Count.Passed, append([]False{}, rep.False...)}
}

// Document writes the run as one object in JSON, with line breaks if it is to be pretty, but without one at the end. compared, if it is not nil,
// adds the numbers of the other side and the differences.
func (r *Replay) Document(out io.Writer, elapsed time.Duration, pretty bool, compared *Comparison) error {
	w := &writer{out: out, pretty: pretty}
	count := r.Count()
	w.members(head{count.Entries, count.Matched, count.Attempts, r.seen.sources.len()}, "{", ",")
	w.text(w.space("\n\t") + `"bans":` + w.space(" ") + "[")
	first := true
	for b := range r.Bans {
		if !first {
			w.text(",")
		}
		w.text(w.space("\n\t\t"))
		w.value(b, "\t\t")
		first = false
	}
	if !first {
		w.text(w.space("\n\t"))
	}
	alarms := r.False()
	if alarms == nil {
		alarms = []False{}
	}
	w.text("]")
	end := tail{Prevented: count.Prevented, Passed: count.Passed, FalseBans: alarms, Elapsed: elapsed.Seconds()}
	if compared != nil {
		end.Compared, end.Differences, end.Different = compared.numbers(), compared.list, &compared.total
	}
	w.members(end, ",", "}")
	return w.err
}

// writer keeps the first error.
type writer struct {
	out    io.Writer
	pretty bool
	err    error
}

func (w *writer) text(s string) {
	if w.err == nil {
		_, w.err = io.WriteString(w.out, s)
	}
}

// space is white space, if that is wanted.
func (w *writer) space(s string) string {
	if w.pretty {
		return s
	}
	return ""
}

func (w *writer) marshal(v any, indent string) []byte {
	if w.pretty {
		text, err := json.MarshalIndent(v, indent, "\t")
		w.err = firstError(w.err, err)
		return text
	}
	text, err := json.Marshal(v)
	w.err = firstError(w.err, err)
	return text
}

func (w *writer) value(v any, indent string) { w.text(string(w.marshal(v, indent))) }

// members writes the members of an object between two words in place of its braces.
func (w *writer) members(v any, open, end string) {
	text := w.marshal(v, "")
	if len(text) < 2 {
		return
	}
	inside := string(text[1 : len(text)-1])
	if end == "," {
		inside = strings.TrimSuffix(inside, "\n")
	}
	w.text(open + inside + end)
}

func firstError(a, b error) error {
	if a != nil {
		return a
	}
	return b
}
