package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"exile/internal/control"
)

// This file has the tables and trees, in fail2ban's form.

// ping asks the daemon for a sign of life.
func (s session) ping(ctx context.Context) error {
	_, err := s.Status(ctx)
	return err
}

// all returns the jails by name, to those who may see whom they ban.
func (s session) all(ctx context.Context) ([]control.JailStatus, error) {
	if _, _, err := s.Bans(ctx, control.Page{Max: 1}); err != nil { // a list without addresses would look as if nobody were banned
		return nil, err
	}
	jails, err := s.Jails(ctx)
	slices.SortFunc(jails, func(a, b control.JailStatus) int { return strings.Compare(a.Name, b.Name) })
	return jails, err
}

// find returns one of them.
func (s session) find(ctx context.Context, name string) (control.JailStatus, error) {
	jails, err := s.all(ctx)
	if err != nil {
		return control.JailStatus{}, err
	}
	i := slices.IndexFunc(jails, func(j control.JailStatus) bool { return j.Name == name })
	if i < 0 {
		return control.JailStatus{}, unknownJail(name)
	}
	return jails[i], nil
}

// inForce returns the bans of a jail, or of all (""), that stop somebody.
func (s session) inForce(ctx context.Context, jail string) (bans []control.Ban, err error) {
	err = s.EachBan(ctx, jail, func(b control.Ban) error {
		if !b.Simulated {
			bans = append(bans, b)
		}
		return nil
	})
	return bans, err
}

func addresses(bans []control.Ban) []string {
	out := make([]string, len(bans))
	for i, b := range bans {
		out[i] = control.FormatPrefix(b.Prefix)
	}
	return out
}

func (s session) status(ctx context.Context, args []string) (string, error) {
	switch {
	case len(args) == 0:
		return s.overview(ctx, false, nil)
	case len(args) > 1 && (args[1] == "cymru" || args[1] == "stats"):
		return "", unsupported("fail2ban-client statistics, or exilectl explain ADDRESS for its country and network")
	case args[0] == "--all":
		return s.overview(ctx, true, args[1:])
	}
	j, err := s.find(ctx, args[0])
	if err != nil {
		return "", err
	}
	lines, err := s.about(ctx, j, args[1:])
	return "Status for the jail: " + j.Name + "\n" + strings.Join(lines, "\n") + "\n", err
}

// overview lists the jails, and says of each what status says of one.
func (s session) overview(ctx context.Context, all bool, flavor []string) (string, error) {
	jails, err := s.all(ctx)
	if err != nil {
		return "", err
	}
	names := make([]string, len(jails))
	var each []branch
	for i, j := range jails {
		names[i] = j.Name
		if all {
			lines, err := s.about(ctx, j, flavor)
			if err != nil {
				return "", err
			}
			each = append(each, branch{"Jail: " + j.Name, lines})
		}
	}
	parts := []branch{{head: "Number of jail:\t" + strconv.Itoa(len(jails))}, {head: "Jail list:\t" + strings.Join(names, ", ")}}
	if all {
		parts = append(parts, branch{"Status for the jails:", tree(each)})
	}
	return "Status\n" + strings.Join(tree(parts), "\n") + "\n", nil
}

// branch is a line and those below it.
type branch struct {
	head  string
	below []string
}

// tree draws the lines beside branches.
func tree(branches []branch) (lines []string) {
	for i, b := range branches {
		mark, beside := "|- ", "|  "
		if i == len(branches)-1 {
			mark, beside = "`- ", "   "
		}
		lines = append(lines, mark+b.head)
		for _, line := range b.below {
			lines = append(lines, beside+line)
		}
	}
	return lines
}

// leaves draws lines with nothing below them.
func leaves(heads ...string) []string {
	branches := make([]branch, len(heads))
	for i, h := range heads {
		branches[i].head = h
	}
	return tree(branches)
}

// about says what a jail has counted and whom it bans.
func (s session) about(ctx context.Context, j control.JailStatus, flavor []string) ([]string, error) {
	bans, err := s.inForce(ctx, j.Name)
	if err != nil {
		return nil, err
	}
	reads := "Journal matches:\t" + matches(j)
	if len(j.Logs) > 0 {
		reads = "File list:\t" + strings.Join(j.Logs, " ")
	}
	now := []string{fmt.Sprintf("Currently banned:\t%d", len(bans)), fmt.Sprintf("Total banned:\t%d", max(j.Total, uint64(len(bans))))}
	if len(flavor) == 0 || flavor[0] != "short" {
		now = append(now, "Banned IP list:\t"+strings.Join(addresses(bans), " "))
	}
	return tree([]branch{
		{"Filter", leaves(fmt.Sprintf("Currently failed:\t%d", j.Failing), fmt.Sprintf("Total failed:\t%d", j.Failures), reads)},
		{"Actions", leaves(now...)},
	}), nil
}

// matches is what a jail reads of the journal, as journalctl would be told.
func matches(j control.JailStatus) string {
	fields := make([]string, len(j.Units))
	for i, unit := range j.Units {
		fields[i] = "_SYSTEMD_UNIT=" + unit
	}
	return strings.Join(fields, " + ")
}

// backend is how fail2ban would read what a jail reads.
func backend(j control.JailStatus) string {
	if len(j.Logs) > 0 {
		return "polling"
	}
	return "systemd"
}

// statistics draws one table of all jails.
func (s session) statistics(ctx context.Context, _ []string) (string, error) {
	jails, err := s.all(ctx)
	if err != nil {
		return "", err
	}
	bans, err := s.inForce(ctx, "")
	if err != nil {
		return "", err
	}
	banned := make(map[string]int)
	for _, b := range bans {
		banned[b.Jail]++
	}
	width := 8
	for _, j := range jails {
		width = max(width, utf8.RuneCountInString(j.Name))
	}
	line := func(cross string) string {
		return strings.Repeat("═", width+1) + cross + strings.Repeat("═", 10) + cross + strings.Repeat("═", 11) + cross + strings.Repeat("═", 11) + "\n"
	}
	var out strings.Builder
	row := func(format string, args ...any) { fmt.Fprintf(&out, format+"\n", args...) }
	row("%-*s ║          ║ Filter    ║ Actions  ", width, "")
	row("%-*s ║ Backend  ╟───────────╫───────────", width, "Jail")
	row("%-*s ║          ║ cur │ tot ║ cur │ tot", width, "")
	out.WriteString(line("╬"))
	for _, j := range jails {
		row("%-*s ║ %-8s ║ %3d │ %3d ║ %3d │ %3d", width, j.Name, backend(j), j.Failing, j.Failures, banned[j.Name], max(j.Total, uint64(banned[j.Name])))
	}
	out.WriteString(line("╩"))
	return out.String(), nil
}
