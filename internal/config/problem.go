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
	Line int // 0: the whole file
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

// maxProblems is how many mistakes of a file are shown.
const maxProblems = 20

// problems collects mistakes, so that all can be corrected at once.
type problems []error

func (ps *problems) add(err error) {
	if err != nil {
		*ps = append(*ps, err)
	}
}

// join sorts by place and drops duplicates: a bad default is found again in every jail.
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

// unknown returns the text for an unknown key.
func unknown(key, where string, valid []string) string {
	text := fmt.Sprintf("unknown key %q%s", key, where)
	if hint, ok := elsewhere[key]; ok {
		return text + ": " + hint
	}
	if near := nearest(key, valid); near != "" {
		return fmt.Sprintf("%s, did you mean %q?", text, near)
	}
	return text
}

// elsewhere names the equivalents of keys of fail2ban, and of keys that people may look for.
var elsewhere = map[string]string{
	"allowipv6":          "IPv6 is always read and banned",
	"ban.increment":      "use bantime.increment",
	"bantime.max":        "use bantime.maxtime",
	"default_backend":    readsItself,
	"destmail":           noMail,
	"prefregex":          "name a filter",
	"skip_if_nologs":     "a log that is not there yet is read when it comes; see also enabled: auto",
	"action":             noHook,
	"actions":            noHook,
	"abuseipdb_apikey":   noHook,
	"cftoken":            noHook,
	"action_":            "what a ban does is chosen by backend",
	"action_mw":          noMail,
	"action_mwl":         noMail,
	"actionban":          noHook,
	"actionunban":        noHook,
	"allow":              noBan,
	"allowlist":          noBan,
	"ban_count":          "use maxretry",
	"blacklist":          "bans by hand: exilectl ban",
	"blocklist":          "bans by hand: exilectl ban",
	"denylist":           "bans by hand: exilectl ban",
	"duration":           "use bantime",
	"email":              noMail,
	"filters":            "name one filter: in each jail",
	"ignore":             noBan,
	"mail":               noMail,
	"maxfailures":        "use maxretry",
	"notify":             noMail,
	"service":            "name the units of the service with units",
	"threshold":          "use maxretry, or detection: threshold",
	"trusted":            noBan,
	"webhook":            noHook,
	"whitelist":          noBan,
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
	"fail2ban_agent":     noHook,
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

const (
	noMail = "mail about bans is an action, a file in /etc/exile/actions.d: see exiled-actions.service(8)"
	noHook = "what else a ban does is an action, a file in /etc/exile/actions.d: see exiled-actions.service(8)"
	noBan  = "ignoreip names who is never banned"
)

// nearest returns the valid key closest to key, or "" if none is near: at most two letters, and a third of the key, may differ. Of equals
// the first wins.
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

// distance returns how many letters have to be inserted, removed, replaced or swapped with the next to turn a into b, as far as that is below
// limit.
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
