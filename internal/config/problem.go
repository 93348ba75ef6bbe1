package config

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Problem is one mistake in a configuration file.
type Problem struct {
	File string
	Line int // 0: the file as a whole
	Text string
}

// Error is "file:line: text".
func (p *Problem) Error() string {
	return p.position() + ": " + p.Text
}

func (p *Problem) position() string {
	if p.Line == 0 {
		return p.File
	}
	return fmt.Sprintf("%s:%d", p.File, p.Line)
}

func problem(file string, line int, format string, args ...any) *Problem {
	return &Problem{File: file, Line: line, Text: fmt.Sprintf(format, args...)}
}

// maxProblems bounds what is shown of a file that is wrong from top to bottom.
const maxProblems = 20

// problems collects mistakes, so that one look at the error mends them all.
type problems []error

func (ps *problems) add(err error) {
	if err != nil {
		*ps = append(*ps, err)
	}
}

// join sorts by place and drops doubles: a bad default is found again in every jail.
func (ps problems) join() error {
	slices.SortStableFunc(ps, func(a, b error) int {
		p, q := asProblem(a), asProblem(b)
		return cmp.Or(strings.Compare(p.File, q.File), cmp.Compare(p.Line, q.Line))
	})
	ps = slices.CompactFunc(ps, func(a, b error) bool { return a.Error() == b.Error() })
	if n := len(ps) - maxProblems; n > 0 {
		return errors.Join(append(ps[:maxProblems:maxProblems], fmt.Errorf("and %d more", n))...)
	}
	return errors.Join(ps...)
}

func asProblem(err error) *Problem {
	if p, ok := errors.AsType[*Problem](err); ok {
		return p
	}
	return &Problem{}
}

// unknown is the text for a key that nobody knows.
func unknown(key string, valid []string) string {
	if hint, ok := elsewhere[key]; ok {
		return fmt.Sprintf("unknown key %q: %s", key, hint)
	}
	if near := nearest(key, valid); near != "" {
		return fmt.Sprintf("unknown key %q, did you mean %q?", key, near)
	}
	return fmt.Sprintf("unknown key %q", key)
}

// elsewhere says for words of fail2ban what does their work here.
var elsewhere = map[string]string{
	"action":             "what a ban does is chosen by backend",
	"action_":            "what a ban does is chosen by backend",
	"action_mw":          noMail,
	"action_mwl":         noMail,
	"actionban":          "no program is run for a ban; see exilectl monitor, or the signals of org.exile1(5)",
	"actionunban":        "no program is run for a ban; see exilectl monitor, or the signals of org.exile1(5)",
	"after":              "files are read in the order of their names, see exile.yaml(5)",
	"banaction":          "choose the firewall with backend: auto, ipset, nftables or route",
	"banaction_allports": "bans are for all ports unless port says otherwise",
	"bantime.formula":    "use bantime.factor or bantime.multipliers",
	"before":             "files are read in the order of their names, see exile.yaml(5)",
	"chain":              "exile has its own tables and needs no chain",
	"datepattern":        "the usual forms of times are known; where a log has none, the time is when its line is read",
	"dbfile":             "the state is kept in the directory that state names",
	"dbmaxmatches":       "log lines are not kept: the journal has them",
	"destemail":          noMail,
	"failregex":          "name a filter",
	"fail2ban_agent":     "no report is sent to anybody",
	"ignorecache.key":    "ignorecache is for how long an answer of ignorecommand is believed",
	"ignoreregex":        "name a filter",
	"journalmatch":       "name the units of the service with units",
	"logencoding":        "log lines are read as bytes",
	"loglevel":           "set it while exiled runs, with exilectl log-level, or in a drop-in for exiled.service",
	"logtarget":          "exiled logs to the journal: journalctl -u exiled",
	"maxlines":           "each line is read by itself, and what belongs to one connection is put together",
	"maxmatches":         "log lines are not kept: the journal has them",
	"mta":                noMail,
	"pidfile":            "systemd knows the process: systemctl status exiled",
	"protocol":           "write it behind the port, as in port: 53/udp",
	"sender":             noMail,
	"sendername":         noMail,
	"socket":             "exilectl reaches exiled over D-Bus",
	"syslogsocket":       "exiled logs to the journal: journalctl -u exiled",
	"usedns":             "names in log lines are never resolved",
}

const noMail = "no mail is sent; see exilectl statistics --daily and exilectl monitor"

// nearest is the valid word closest to key, the first of equals, or "" when none is near: at most two letters away, and
// a third of the word.
func nearest(key string, valid []string) string {
	key = strings.ToLower(key)
	best, word := min(2, (len(key)+1)/3)+1, ""
	for _, v := range valid {
		if d := distance(key, v, best); d < best {
			best, word = d, v
		}
	}
	return word
}

// distance is the number of letters to insert, remove, replace or swap with the next to make b of a, as far as it is
// below limit.
func distance(a, b string, limit int) int {
	if abs(len(a)-len(b)) >= limit {
		return limit
	}
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}

func abs(n int) int { return max(n, -n) }
