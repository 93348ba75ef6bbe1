package efficacy

import (
	"fmt"
	"strings"
)

// HostReport is one host under every rule.
type HostReport struct {
	Name      string            `json:"name"`
	Attempts  int               `json:"attempts"` // of attackers
	Detectors map[string]Result `json:"detectors"`
}

// Report is every host under every rule.
type Report struct {
	Hosts []HostReport `json:"hosts"`
}

// Run replays every host under every rule.
func Run(hosts []Host, rules []Rule) Report {
	var rep Report
	for _, h := range hosts {
		hr := HostReport{Name: h.Name, Detectors: make(map[string]Result)}
		for _, rule := range rules {
			res, _ := Replay(h, rule.New(h), rule.Weight)
			hr.Attempts = res.Attempts
			hr.Detectors[rule.Name] = res
		}
		rep.Hosts = append(rep.Hosts, hr)
	}
	return rep
}

// Table is the report as Markdown, a line a rule: the share prevented on each host and their mean, the worst address, and
// what it did to the owners.
func (rep Report) Table(rules []Rule) string {
	var b strings.Builder
	b.WriteString("| rule | mean")
	for _, h := range rep.Hosts {
		b.WriteString(" | " + h.Name)
	}
	b.WriteString(" | worst address gets | legitimate banned | logins denied |\n|---" + strings.Repeat("|---", len(rep.Hosts)+4) + "|\n")
	for _, rule := range rules {
		rep.row(&b, rule.Name)
	}
	return b.String()
}

func (rep Report) row(b *strings.Builder, name string) {
	var sum float64
	var all Result
	var cells strings.Builder
	for _, h := range rep.Hosts {
		r := h.Detectors[name]
		sum += r.Prevented
		fmt.Fprintf(&cells, " | %.1f", 100*r.Prevented)
		all.Worst = max(all.Worst, r.Worst)
		all.FalseBans += r.FalseBans
		all.Legit += r.Legit
		all.Denied += r.Denied
		all.Logins += r.Logins
	}
	fmt.Fprintf(b, "| %s | **%.1f**%s | %d | %d of %d | %d of %d |\n", name, 100*sum/float64(max(len(rep.Hosts), 1)), cells.String(),
		all.Worst, all.FalseBans, all.Legit, all.Denied, all.Logins)
}
