package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"exile/internal/config"
	"exile/internal/fail2ban"
	"exile/internal/human"
	"exile/internal/replay"
	"exile/jail/filter/services"
)

// This file runs what was imported and what fail2ban does over a log, and shows whom only one of them bans.

// importCheck says over what.
type importCheck struct {
	wanted bool
	root   string
	logs   []string // in place of those of the jails
	when   periodFlags
}

// validate refuses options that do not go together.
func (k *importCheck) validate(output string) error {
	switch {
	case !k.wanted && (len(k.logs) > 0 || k.when != periodFlags{}):
		return errors.New("--logfile, --since and --until are for --check")
	case k.wanted && output != "":
		return errors.New("--check writes no files: leave out --output")
	case slices.Contains(k.logs, "-"):
		return errors.New("--logfile=-: each jail reads the log, so it must be a file")
	}
	return nil
}

// checked is what was found for a jail.
type checked struct {
	Jail      string              `json:"jail"`           // of fail2ban
	Name      string              `json:"name,omitempty"` // here; empty: it was not moved
	Error     string              `json:"error,omitempty"`
	Note      string              `json:"note,omitempty"` // what of fail2ban's rules is not in it
	Logs      []string            `json:"logs"`           // none: the journal
	Lines     uint64              `json:"lines"`
	First     *time.Time          `json:"first"` // line of the period; null: there was none
	Last      *time.Time          `json:"last"`
	Fail2ban  checkedSide         `json:"fail2ban"`
	Exile     checkedSide         `json:"exile"`
	Addresses []replay.Difference `json:"addresses"` // that only one of them bans, as far as they are kept

	troubles []string
}

// checkedSide is what one of the two made of the lines.
type checkedSide struct {
	Counted uint64 `json:"counted"` // lines by fail2ban, attempts by exile
	Bans    int    `json:"bans"`
	Only    int    `json:"only"` // addresses that the other never bans
}

// checkImported compares jail by jail, and prints what it finds.
func (o *options) checkImported(ctx context.Context, r *fail2ban.Result, k *importCheck) error {
	dir, err := os.MkdirTemp("", "exilectl-check-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := writeBoth(dir, r); err != nil {
		return err
	}
	c := o.newConsole(os.Stdout)
	during, err := k.when.read(time.Now())
	if err != nil {
		return err
	}
	all := []checked{}
	for _, j := range r.Comparison.Jails {
		found := k.compare(ctx, dir, j, during)
		if all = append(all, found); !c.wantJSON() {
			printChecked(c, &found)
		}
		if ctx.Err() != nil {
			break
		}
	}
	for _, j := range r.Jails {
		if !slices.ContainsFunc(all, func(f checked) bool { return f.Jail == j.Name }) && ctx.Err() == nil {
			found := checked{Jail: j.Name, Error: uncompared(j), Logs: []string{}, Addresses: []replay.Difference{}}
			if all = append(all, found); !c.wantJSON() {
				printChecked(c, &found)
			}
		}
	}
	if c.wantJSON() {
		err = c.document(struct {
			Checks []checked `json:"checks"`
		}{all})
	}
	return errors.Join(err, flush(c), concluded(ctx, all))
}

// uncompared says why there is nothing to compare.
func uncompared(j fail2ban.Jail) string {
	if j.Action == fail2ban.Refused {
		return "it was not moved: " + j.Reason
	}
	return "it is the rule recidive here, which counts bans and not lines"
}

// concluded reports what could not be read, each once.
func concluded(ctx context.Context, all []checked) error {
	var said []string
	compared := 0
	for i := range all {
		if all[i].Error == "" {
			compared++
		}
		for _, t := range all[i].troubles {
			if !slices.Contains(said, t) {
				said = append(said, t)
				fmt.Fprintln(os.Stderr, quoteLines(sentences(t)))
			}
		}
	}
	switch {
	case ctx.Err() != nil:
		return context.Canceled
	case compared == 0:
		return errors.New("failed to compare: no jail could be compared with fail2ban's")
	}
	return nil
}

const checkHere, checkThere = "here.yaml", "there.yaml"

// writeBoth writes both configurations where only the caller can reach them, for the daemon's program.
func writeBoth(dir string, r *fail2ban.Result) error {
	filters := filepath.Join(dir, "etc/exile", config.FilterDir)
	err := errors.Join(os.MkdirAll(filters, 0o700), os.WriteFile(filepath.Join(dir, checkHere), []byte(r.YAML), 0o600),
		os.WriteFile(filepath.Join(dir, checkThere), []byte(r.Comparison.YAML), 0o600))
	for name, text := range r.Comparison.Filters {
		err = errors.Join(err, os.WriteFile(filepath.Join(filters, name+services.Suffix), []byte(text), 0o600))
	}
	return err
}

// compare runs both over the log of a jail.
func (k *importCheck) compare(ctx context.Context, dir string, j fail2ban.Compared, during period) checked {
	found := checked{Jail: j.Jail, Name: j.Name, Note: j.Without, Logs: []string{}, Addresses: []replay.Difference{}}
	asked := replay.Request{
		Root: dir, Config: filepath.Join(dir, checkHere), Compare: filepath.Join(dir, checkThere), Lines: true, Jails: []string{j.Name},
		Since: during.since, Until: during.until,
	}
	err := k.choose(&asked, j)
	var rep *replay.Report
	if err == nil {
		rep, err = replayReport(ctx, asked)
	}
	if err == nil && rep.Other == nil || err == nil && len(rep.Other.Jails) == 0 {
		err = errors.New("nothing says which lines fail2ban's filter reads: name a log with --logfile")
	}
	if err != nil {
		found.Error = strings.TrimPrefix(err.Error(), "failed to replay: ")
		return found
	}
	if rep.Interrupted {
		found.Note = "the log was not read to its end"
	}
	found.Logs, found.troubles = append(found.Logs, asked.Logs...), rep.Troubles
	found.Lines = rep.Count.Entries
	if !rep.First.IsZero() {
		found.First, found.Last = &rep.First, &rep.Last
	}
	found.Exile = checkedSide{rep.Count.Attempts, rep.Bans, rep.Only}
	found.Fail2ban = checkedSide{rep.Other.Count.Failures, rep.Other.Bans, rep.Other.Only}
	for _, d := range rep.Differences {
		if d.Only {
			found.Addresses = append(found.Addresses, d)
		}
	}
	return found
}

// choose chooses what is read: the logs that are named, those of the jail, or the journal.
func (k *importCheck) choose(asked *replay.Request, j fail2ban.Compared) error {
	switch {
	case len(k.logs) > 0:
		asked.Logs = k.logs
	case len(j.Logs) > 0:
		for _, pattern := range j.Logs {
			files, err := filepath.Glob(filepath.Join(k.root, pattern))
			if err != nil {
				return fmt.Errorf("logpath %q: %w", pattern, err)
			}
			asked.Logs = append(asked.Logs, files...)
		}
		if len(asked.Logs) == 0 {
			return fmt.Errorf("there is no log %s, or it may not be seen: name one with --logfile", strings.Join(j.Logs, ", "))
		}
	default:
		if asked.Since.IsZero() {
			asked.Since = time.Now().Add(-week)
		}
		if k.root != "/" {
			asked.Directory = filepath.Join(k.root, "var/log/journal")
		}
	}
	var err error
	asked.Logs, err = distinct(asked.Logs)
	return err
}

// distinct leaves out the files that are named twice, under whatever name, and refuses what is not a file that can be read.
func distinct(files []string) (logs []string, err error) {
	var known []os.FileInfo
	for _, file := range files {
		f, err := os.OpenFile(file, os.O_RDONLY|syscall.O_NONBLOCK, 0)
		if err != nil {
			return nil, fmt.Errorf("cannot read the log, which --logfile replaces: %w", err)
		}
		info, err := f.Stat()
		_ = f.Close() // it was not even read
		if err != nil || !info.Mode().IsRegular() {
			return nil, fmt.Errorf("%s is not a regular file", file)
		}
		if !slices.ContainsFunc(known, func(k os.FileInfo) bool { return os.SameFile(k, info) }) {
			known, logs = append(known, info), append(logs, file)
		}
	}
	return logs, nil
}

// week is how much of a journal is read if nothing else is asked for.
const week = 7 * 24 * time.Hour

// printChecked prints what was found for a jail.
func printChecked(c *console, f *checked) {
	name := f.Jail
	if f.Name != "" && f.Name != f.Jail {
		name += " (" + f.Name + " here)"
	}
	c.line(c.paint(underline, clean(name)))
	if f.Error != "" {
		c.line("  Not compared: ", quoteLines(f.Error))
		c.line("")
		return
	}
	source := "the journal"
	if len(f.Logs) > 0 {
		source = strings.Join(f.Logs, ", ")
	}
	between := ""
	if f.First != nil {
		between = fmt.Sprintf(" from %s to %s", f.First.Local().Format(time.DateTime), f.Last.Local().Format(time.DateTime))
	}
	c.line(fmt.Sprintf("  %s of %s%s.", human.Count(f.Lines, "lines"), clean(source), between))
	if f.Note != "" {
		c.line("  ", clean(f.Note), ".")
	}
	c.line(fmt.Sprintf("  fail2ban: %s, %s; it alone bans %s.", human.Count(f.Fail2ban.Counted, "failures"), human.Count(f.Fail2ban.Bans, "bans"), human.Count(f.Fail2ban.Only, "addresses")))
	c.line(fmt.Sprintf("  exile:    %s, %s; it alone bans %s.", human.Count(f.Exile.Counted, "attempts"), human.Count(f.Exile.Bans, "bans"), human.Count(f.Exile.Only, "addresses")))
	printOnly(c, f.Addresses)
	c.line("")
}

// printOnly lists the addresses that one of the two bans.
func printOnly(c *console, list []replay.Difference) {
	for i := range list {
		if i == maxDifferent {
			c.line("  And more, which --json=pretty lists.")
			return
		}
		d := &list[i]
		by, other := "fail2ban", "exile"
		if d.Here {
			by, other = other, by
		}
		why := strings.TrimPrefix(d.Reason, "fail2ban: ")
		c.line(fmt.Sprintf("    %s: %s, ", d.At.Local().Format(time.DateTime), by), c.paint(red, d.Prefix), ": ", clean(why), "; ", other, ": ", clean(d.Instead))
		if d.Line != "" {
			c.line("      ", clean(strconv.Quote(d.Line)))
		}
	}
}
