package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"exile/internal/accounts"
	"exile/internal/config"
	"exile/internal/geoip"
	"exile/internal/human"
	"exile/internal/names"
	"exile/internal/replay"
	"exile/internal/setup"
	"exile/journal"
	"exile/journal/follow"
	"exile/journal/printed"
	"exile/journal/textlog"
)

// This file reads the log of a replay.

// rehearsal is a replay at work.
type rehearsal struct {
	asked      replay.Request
	jails      []setup.Reader
	logs       []*textLog   // that are read in place of a journal
	form       textlog.Form // of their lines
	rules      replay.Rules
	replay     *replay.Replay
	other      *replay.Replay // that it is compared with; nil: nothing
	otherRules replay.Rules
	compared   *replay.Comparison
	beside     []beside      // other detectors over the same log
	trials     *trials       // rules that are tried in place of all that; nil: none
	report     replay.Report // the part of it that reading fills
	muted      bool          // what is read is before the period
	lookBack   time.Duration // how long before the period reading begins, so that the jails know what they would have known
	progress   *progress
}

// thisHost returns what the jails know of this host now, and what is not known.
func thisHost() (host setup.Host, troubles []string) {
	machine, err := machineID()
	if err != nil {
		troubles = append(troubles, fmt.Sprintf("random parts of ban times are not those of the daemon: %v", err))
	}
	host.Machine = machine
	host.Accounts, err = accounts.OfHost(accountsFile, passwdFile)
	if err != nil {
		troubles = append(troubles, fmt.Sprintf("the accounts of this host are not known, and typing errors may count as names that do not exist: %v", err))
	}
	host.Admins = func(list []string) ([]string, error) { return accounts.AdminsOfHost(list, groupFile, passwdFile) }
	host.Resolve = lookUp
	own, err := net.InterfaceAddrs()
	if err != nil {
		troubles = append(troubles, fmt.Sprintf("the addresses of this host are not known: %v", err))
	}
	for _, a := range own {
		if p, err := netip.ParsePrefix(a.String()); err == nil {
			host.Own = append(host.Own, p.Addr())
		}
	}
	return host, troubles
}

// places reads databases of countries and networks.
func (r *rehearsal) places(paths []string) *geoip.Table {
	t := geoip.Load(paths, time.Now())
	if wrong := t.Wrong(); wrong != nil {
		for line := range strings.SplitSeq(wrong.Error(), "\n") {
			if !slices.Contains(r.report.Troubles, line) {
				r.report.Troubles = append(r.report.Troubles, line)
			}
		}
	}
	return t
}

// lookUpTime is how long a host name of ignoreip is asked for.
const lookUpTime = 3 * time.Second

// lookUp returns the addresses of a host name; none if there is no answer.
func lookUp(name string) []netip.Addr {
	ctx, cancel := context.WithTimeout(context.Background(), lookUpTime)
	defer cancel()
	addrs, _, err := names.System{}.Resolve(ctx, name)
	if err != nil {
		return nil // it protects nobody then, as in the daemon
	}
	return addrs
}

// replayedLog is the name of all text logs of a replay.
const replayedLog = "/replayed"

// readers returns the jails that read what is replayed, and with which filters.
func (r *rehearsal) readers(wanted []*config.Jail) (chosen []setup.Reader) {
	for _, c := range wanted {
		if c.ByHand || len(c.Parts) == 0 {
			continue
		}
		var reads []*setup.Reading
		if len(r.logs) == 0 || slices.ContainsFunc(r.logs, isExported) {
			reads = setup.OnlyJournal(c)
		}
		if slices.ContainsFunc(r.logs, func(l *textLog) bool { return !isExported(l) }) {
			reads = append(reads, setup.OnlyLog(c, replayedLog, r.form)...)
		}
		if len(reads) < len(c.Parts) {
			r.report.Troubles = append(r.report.Troubles, fmt.Sprintf("jail %q reads something else, too, or instead: "+
				"replay it with --jail=%s and its own log, --logfile=FILE", c.Name, c.Name))
		}
		if len(reads) > 0 {
			chosen = append(chosen, setup.Reader{Jail: c, Reads: reads})
		}
	}
	return chosen
}

// read reads all that is to be replayed.
func (r *rehearsal) read(ctx context.Context) error {
	if len(r.logs) > 0 {
		return r.readLogs(ctx)
	}
	from := follow.Config{Files: r.asked.Files}
	sought := r.sought()
	from.Select, from.Fields, from.AllUsers = sought.Select, sought.Fields, sought.Users
	if len(from.Files) == 0 {
		var err error
		if from.Dirs, err = r.dirs(); err != nil {
			return err
		}
		from.AllUsers = from.AllUsers || r.asked.Directory != ""
	}
	source, err := follow.New(from)
	if err != nil {
		return err
	}
	var start journal.Start
	if !r.asked.Since.IsZero() {
		start.Since = r.asked.Since.Add(-r.lookBack)
	}
	return source.Read(ctx, start, func(b journal.Batch) error {
		r.observeAll(b.Entries)
		r.note(&b)
		return ctx.Err()
	})
}

// sought is what all jails read in the journal.
func (r *rehearsal) sought() (s setup.Sought) {
	for _, c := range r.jails {
		s.Add(setup.Seek(c.Reads))
	}
	return s
}

// maxTroubles is how many troubles are told one by one.
const maxTroubles = 20

// note notes what a batch says could not be read.
func (r *rehearsal) note(b *journal.Batch) {
	for _, g := range b.Gaps {
		if (g.Kind == journal.GapUnreadable || g.Kind == journal.GapSuppressed) && len(r.report.Troubles) < maxTroubles {
			r.report.Troubles = append(r.report.Troubles, gapText(g))
		}
	}
	if b.Trouble != nil && b.CaughtUp {
		r.report.Troubles = append(r.report.Troubles, b.Trouble.Error())
	}
}

func gapText(g journal.Gap) string {
	if g.Kind == journal.GapSuppressed {
		return fmt.Sprintf("the journal left out %s of %s at %s, because they were too many", human.Count(g.Entries, "entries"), g.Unit,
			g.Until.Format(time.DateTime))
	}
	return fmt.Sprintf("%s: %v", g.File, g.Err)
}

// observeAll shows entries to the jails, and to other detectors at the same time.
func (r *rehearsal) observeAll(entries []journal.Entry) {
	var others sync.WaitGroup
	for i := range r.beside {
		others.Go(func() {
			for j := range entries {
				r.beside[i].observe(&entries[j], r.asked)
			}
		})
	}
	for i := range entries {
		r.observe(&entries[i])
	}
	others.Wait()
}

// observe shows an entry to the jails, unless it is after the period. Those before it only teach, also if they come late.
func (r *rehearsal) observe(e *journal.Entry) {
	if isAfter(e, r.asked) {
		return
	}
	if before := e.Time.Before(r.asked.Since); before != r.muted {
		r.mute(before)
	}
	if !r.muted {
		if r.report.First.IsZero() {
			r.report.First = e.Time
		}
		r.report.Last = e.Time
	}
	switch {
	case r.trials != nil:
		if !r.muted {
			r.trials.date(e.Time)
		}
		r.trials.Observe(e)
	case r.compared != nil:
		r.compared.ObserveBoth(e)
	default:
		r.replay.Observe(r.rules.Jails, e)
	}
	r.progress.step(e.Time)
}

// mute says whether what follows only teaches.
func (r *rehearsal) mute(silent bool) {
	r.muted = silent
	if r.trials != nil {
		r.trials.Mute(silent)
		return
	}
	r.replay.Mute(silent)
	if r.other != nil {
		r.other.Mute(silent)
	}
}

// dirs returns the folders of the journal.
func (r *rehearsal) dirs() ([]string, error) {
	switch {
	case r.asked.Directory != "":
		return journalsIn(r.asked.Directory)
	case r.asked.Machine != "":
		return machineDirs("/", r.asked.Machine)
	}
	return follow.SystemDirs("")
}

// journalsIn returns the folder with the journal files of a folder as journalctl --directory takes it: itself, or the only one in it.
func journalsIn(dir string) ([]string, error) {
	if _, err := os.ReadDir(dir); err != nil {
		return nil, err
	}
	var found []string
	for _, pattern := range []string{"*.journal", "*/*.journal"} {
		files, _ := filepath.Glob(filepath.Join(globQuote(dir), pattern)) // the pattern is valid
		for _, f := range files {
			if d := filepath.Dir(f); len(found) == 0 || found[len(found)-1] != d {
				found = append(found, d)
			}
		}
		if len(found) > 0 {
			break
		}
	}
	switch len(found) {
	case 0:
		return nil, fmt.Errorf("no journal files in %s", dir)
	case 1:
		return found, nil
	}
	return nil, fmt.Errorf("%s has the journals of %s: name the folder of one with --directory", dir, human.Count(len(found), "machines"))
}

// globQuote makes a path match only itself.
func globQuote(path string) string {
	return strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`).Replace(path)
}

// textLog is a text log and its next entry.
type textLog struct {
	*printed.Log
	next *journal.Entry
	file *os.File
}

func isExported(l *textLog) bool {
	is, _ := l.Exported() // open has asked before
	return is
}

// open opens the text logs. wanted are the jails that are to read them.
func (r *rehearsal) open(wanted []*config.Jail) error {
	if len(r.asked.Logs) == 0 || len(wanted) == 0 {
		return nil
	}
	c := wanted[0]
	r.form = textlog.FormSyslog
	if len(r.asked.Jails) > 0 && len(c.Parts) > 0 {
		r.form = setup.FormOf(&c.Parts[0])
	}
	zone, err := time.LoadLocation(c.LogTimeZone)
	if err != nil {
		return fmt.Errorf("jail %q: logtimezone: %w", c.Name, err)
	}
	for _, path := range r.asked.Logs {
		file := os.Stdin
		if path != "-" {
			if file, err = os.Open(path); err != nil {
				return err
			}
		}
		l := &textLog{Log: printed.New(file, zone), file: file}
		l.Form(r.form)
		if _, err := l.Exported(); err != nil {
			return err
		}
		r.logs = append(r.logs, l)
	}
	return nil
}

// readLogs reads text logs as one, in the order of time.
func (r *rehearsal) readLogs(ctx context.Context) (err error) {
	logs, fields := r.logs, r.sought().Fields
	for _, l := range logs {
		l.Deliver(fields)
	}
	for i := len(logs) - 1; i >= 0 && err == nil; i-- {
		logs, err = advance(logs, i)
	}
	for len(logs) > 0 && ctx.Err() == nil && err == nil {
		first := 0
		for i := range logs {
			if logs[i].next.Time.Before(logs[first].next.Time) {
				first = i
			}
		}
		r.observe(logs[first].next)
		for i := range r.beside {
			r.beside[i].observe(logs[first].next, r.asked)
		}
		logs, err = advance(logs, first)
	}
	return errors.Join(err, ctx.Err())
}

// advance reads the next entry of a log. One that has been read to its end is closed and left out.
func advance(logs []*textLog, i int) ([]*textLog, error) {
	var err error
	logs[i].next, err = logs[i].Entry()
	if !isExported(logs[i]) {
		logs[i].next.Log = replayedLog
	}
	if !errors.Is(err, io.EOF) {
		return logs, err
	}
	_ = logs[i].file.Close() // it was only read
	return slices.Delete(logs, i, i+1), nil
}
