package metrics

import (
	"bytes"
	"strconv"
	"strings"
)

// kind is the type of a metric family.
type kind string

const (
	counter   kind = "counter"
	gauge     kind = "gauge"
	histogram kind = "histogram"
)

// text is a page in one of the two formats that scrapers read. They differ in the names of counters: OpenMetrics
// declares "x" and lists "x_total", the older format declares what it lists.
type text struct {
	bytes.Buffer
	open   bool   // OpenMetrics
	sample string // name of the samples of the family
}

// family begins a metric family. The name has its unit, where there is one, and no _total.
func (t *text) family(name string, k kind, unit, help string) {
	t.sample = name
	if k == counter {
		t.sample += "_total"
	}
	declared := t.sample
	if t.open {
		declared = name
	}
	t.WriteString("# HELP " + declared + " " + help + "\n")
	t.WriteString("# TYPE " + declared + " " + string(k) + "\n")
	if t.open && unit != "" {
		t.WriteString("# UNIT " + declared + " " + unit + "\n")
	}
}

// put writes a sample of the family: its value, and labels as name, value, name, value.
func (t *text) put(value float64, labels ...string) { t.line("", value, labels) }

func (t *text) line(suffix string, value float64, labels []string) {
	t.WriteString(t.sample + suffix)
	for i := 0; i+1 < len(labels); i += 2 {
		t.WriteString([]string{"{", ","}[min(i, 1)] + labels[i] + `="` + escape(labels[i+1]) + `"`)
	}
	if len(labels) > 1 {
		t.WriteByte('}')
	}
	t.WriteByte(' ')
	t.WriteString(strconv.FormatFloat(value, 'f', -1, 64))
	t.WriteByte('\n')
}

// escape makes a name of the configuration a label's value.
func escape(s string) string {
	return strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(strings.ToValidUTF8(s, "\uFFFD"))
}

// one writes a family of one sample.
func (t *text) one(name string, k kind, unit, help string, value float64, labels ...string) {
	t.family(name, k, unit, help)
	t.put(value, labels...)
}

// end ends the page; without it a scraper takes an OpenMetrics page for cut short.
func (t *text) end() {
	if t.open {
		t.WriteString("# EOF\n")
	}
}
