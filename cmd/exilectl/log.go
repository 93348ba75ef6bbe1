package main

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"exile/journal"
	"exile/journal/follow"
	"exile/journal/journalfile"
)

// Limits on reading the journal.
const (
	maxJournals = 64 // files, the newest
	maxLogLine  = 4096
)

// logLine is a line of the daemon's log.
type logLine struct {
	time       time.Time
	identifier string
	pid        int32
	message    string
}

// ofDaemon selects messages from the daemon and systemd's messages about it. Nobody can forge the fields with an underscore.
func ofDaemon() journal.Selector {
	return journal.Selector{
		{{Field: "_SYSTEMD_UNIT", Values: []string{"exiled.service"}}},
		{{Field: "UNIT", Values: []string{"exiled.service"}}, {Field: "_PID", Values: []string{"1"}}},
	}
}

// journalDirs are the directories with the log of the daemon that we talk to; none if unknown.
func (o *options) journalDirs(dir string) []string {
	switch {
	case dir != "":
		return []string{dir}
	case o.bridge() != nil || os.Getenv("DBUS_SYSTEM_BUS_ADDRESS") != "":
		return nil
	}
	dirs, _ := follow.SystemDirs("") // without a machine ID there is no journal
	return dirs
}

// logTail is the end of a log, oldest line first.
type logTail struct {
	lines  []logLine
	denied bool // a file may not be read
}

// lastLines returns at most the last n lines of the daemon's log. It skips what it cannot read: users who may not read the
// journal may still ask for the state.
func lastLines(dirs []string, n int) (tail logTail) {
	if n == 0 {
		return tail
	}
	for _, path := range newestJournals(dirs, maxJournals) {
		lines, err := linesOf(path, n)
		tail.denied = tail.denied || errors.Is(err, fs.ErrPermission)
		tail.lines = append(tail.lines, lines...)
	}
	slices.SortStableFunc(tail.lines, func(a, b logLine) int { return a.time.Compare(b.time) })
	tail.lines = tail.lines[max(len(tail.lines)-n, 0):]
	return tail
}

// newestJournals lists at most n of the system's journal files, those written last.
func newestJournals(dirs []string, n int) []string {
	type file struct {
		path string
		info fs.FileInfo
	}
	var files []*file // the program already contains a sort of this type
	for _, dir := range dirs {
		paths, _ := filepath.Glob(filepath.Join(dir, "system*.journal")) // the pattern is well formed
		for _, path := range paths {
			if info, err := os.Stat(path); err == nil {
				files = append(files, &file{path, info})
			}
		}
	}
	slices.SortFunc(files, func(a, b *file) int {
		return cmp.Or(b.info.ModTime().Compare(a.info.ModTime()), strings.Compare(a.path, b.path))
	})
	var paths []string
	for _, f := range files[:min(len(files), n)] {
		paths = append(paths, f.path)
	}
	return paths
}

// linesOf reads the last lines of one file, backwards, until there are n or something cannot be read.
func linesOf(path string, n int) (lines []logLine, err error) {
	f, err := journalfile.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	match, err := f.Match(ofDaemon())
	if err != nil {
		return nil, err
	}
	c := f.Cursor(match)
	if err := c.SeekTail(); err != nil {
		return nil, err
	}
	for len(lines) < n {
		if ok, err := c.Previous(); err != nil || !ok {
			break
		}
		var e journal.Entry
		if _, _, err := c.Read(&e, nil, maxLogLine); err != nil {
			break
		}
		lines = append(lines, logLine{e.Time, strings.Clone(e.Identifier), e.PID, string(e.Message)})
	}
	slices.Reverse(lines)
	return lines, nil
}

// printLog prints lines like "systemctl status".
func printLog(c *console, tail logTail) {
	if len(tail.lines) > 0 || tail.denied {
		c.line("")
	}
	if tail.denied {
		c.line("Some log lines are not shown: members of the group systemd-journal may read them all.")
	}
	for _, l := range tail.lines {
		text := fmt.Sprintf("%s %s[%d]: %s", l.time.Local().Format("Jan 02 15:04:05"), clean(l.identifier), l.pid, clean(l.message))
		if c.width > 0 {
			text = ellipsize(text, c.width)
		}
		c.line(text)
	}
}
