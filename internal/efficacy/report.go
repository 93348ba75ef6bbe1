package efficacy

import (
	"fmt"
	"runtime"
	"strings"

	"golang.org/x/sync/errgroup"
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

// Run replays every host under every rule, as many at once as there are processors.
func Run(hosts []Host, rules []Rule) Report {
	results := make([][]Result, len(hosts))
	var work errgroup.Group
	work.SetLimit(runtime.GOMAXPROCS(0))
	for i, h := range hosts {
		h := h.judged()
		results[i] = make([]Result, len(rules))
		for j, rule := range rules {
			work.Go(func() error {
				results[i][j], _ = Replay(h, rule.New(h), rule.Weight)
				return nil
			})
		}
	}
	_ = work.Wait() // none fails
	var rep Report
	for i, h := range hosts {
		hr := HostReport{Name: h.Name, Detectors: make(map[string]Result)}
		for j, rule := range rules {
			hr.Attempts = results[i][j].Attempts
			hr.Detectors[rule.Name] = results[i][j]
		}
		rep.Hosts = append(rep.Hosts, hr)
	}
	return rep
}

// Table is the report as Markdown, a line a rule: the mean of the shares prevented and what part of the bound that is, the
// worst address, what it did to the owners, and the share prevented on each host.
func (rep Report) Table(rules []Rule) string {
	var b strings.Builder
	b.WriteString("| rule | prevented, mean | of the bound | worst address gets | legitimate banned | logins denied | bans")
	for _, h := range rep.Hosts {
		b.WriteString(" | " + h.Name)
	}
	b.WriteString(" |\n|---" + strings.Repeat("|--:", len(rep.Hosts)+6) + "|\n")
	for _, rule := range rules {
		rep.row(&b, rule.Name)
	}
	return b.String()
}

func (rep Report) row(b *strings.Builder, name string) {
	var mean, bound float64
	var all Result
	var cells strings.Builder
	for _, h := range rep.Hosts {
		r := h.Detectors[name]
		mean += r.Prevented / float64(len(rep.Hosts))
		bound += h.Detectors[boundName].Prevented / float64(len(rep.Hosts))
		fmt.Fprintf(&cells, " | %.1f", 100*r.Prevented)
		all.Worst = max(all.Worst, r.Worst)
		all.FalseBans += r.FalseBans
		all.Legit += r.Legit
		all.Denied += r.Denied
		all.Logins += r.Logins
		all.Bans += r.Bans
	}
	fmt.Fprintf(b, "| %s | **%.1f %%** | %.1f %% | %d | %d of %d | %d of %d | %d%s |\n", name, 100*mean, 100*mean/bound,
		all.Worst, all.FalseBans, all.Legit, all.Denied, all.Logins, all.Bans, cells.String())
}
