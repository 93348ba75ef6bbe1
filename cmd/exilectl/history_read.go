package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"strings"
	"time"

	"exile/internal/announce"
	"exile/internal/control"
	"exile/internal/human"
	"exile/journal"
	"exile/journal/journalfile"
)

// Limits on reading a history.
const (
	maxHistoryFiles = 1024 // the newest
	maxEventField   = 4096
	maxUnread       = 100 // unreadable entries of a file before it is given up
)

// ofEvents selects exiled's messages about bans. Nobody can forge the fields with an underscore; users are those that exiled
// may run as, for journals of this host.
func ofEvents(users []string) journal.Selector {
	ids := journal.Term{Field: "MESSAGE_ID"}
	for _, k := range []control.EventKind{control.BanNew, control.BanRemoved, control.BansRemoved, control.Protected} {
		ids.Values = append(ids.Values, announce.MessageID(k))
	}
	group := journal.Group{{Field: "_SYSTEMD_UNIT", Values: []string{"exiled.service"}}, ids}
	if len(users) > 0 {
		group = append(group, journal.Term{Field: "_UID", Values: users})
	}
	return journal.Selector{group}
}

// daemonUsers are root and the user of exiled; empty if that user does not exist.
func daemonUsers() []string {
	u, err := user.Lookup("exile")
	if err != nil {
		return nil
	}
	return []string{u.Uid, "0"}
}

// history reads events from several journal files, sorted by time.
type history struct {
	files    []*historyFile
	during   period
	fields   map[string]string // of the last entry returned by next
	troubles []string          // what could not be read
}

// historyFile is a file and its next entry.
type historyFile struct {
	*journalfile.File
	cursor *journalfile.Cursor
	at     time.Time
	unread int
}

// newHistory opens the files that overlap the period. It fails if the caller may read none of them.
func newHistory(dirs []string, wanted journal.Selector, during period) (*history, error) {
	h := &history{during: during, fields: map[string]string{}}
	paths := newestJournals(dirs, maxHistoryFiles)
	var denied error
	for _, dir := range dirs {
		if _, err := os.ReadDir(dir); errors.Is(err, fs.ErrPermission) {
			denied = err
		}
	}
	opened := 0
	for _, path := range paths {
		err := h.open(path, wanted)
		switch {
		case err == nil:
			opened++
		case errors.Is(err, fs.ErrPermission):
			denied = err
		case !errors.Is(err, fs.ErrNotExist): // journald has just removed it
			h.troubles = append(h.troubles, fmt.Sprintf("Skipping %s: %v", path, err))
		}
	}
	switch {
	case denied != nil && opened == 0:
		return nil, fmt.Errorf("%w; only root and the groups systemd-journal and adm may read it", denied)
	case denied != nil:
		h.troubles = append(h.troubles, "Skipping journal files that only root and the groups systemd-journal and adm may read.")
	case len(paths) == 0:
		return nil, fmt.Errorf("no journal in %s", strings.Join(dirs, " or "))
	}
	return h, nil
}

func (h *history) open(path string, wanted journal.Selector) error {
	f, err := journalfile.Open(path)
	if err != nil {
		return err
	}
	match, err := f.Match(wanted)
	if err != nil {
		return errors.Join(err, f.Close())
	}
	file := &historyFile{File: f, cursor: f.Cursor(match)}
	if !h.during.since.IsZero() {
		if err := file.cursor.SeekRealtime(uint64(max(h.during.since.UnixMicro(), 0))); err != nil {
			return errors.Join(err, f.Close())
		}
	}
	h.files = append(h.files, file)
	h.advance(len(h.files) - 1)
	return nil
}

// advance moves to the next entry of a file, and closes the file after the period's last entry.
func (h *history) advance(i int) {
	f := h.files[i]
	for {
		ok, err := f.cursor.Next()
		if err != nil {
			if f.unread++; f.unread < maxUnread && !errors.Is(err, journalfile.ErrUnreadable) {
				continue
			}
		}
		f.at = time.UnixMicro(int64(f.cursor.Entry().Realtime))
		if ok && err == nil && f.at.Before(h.during.since) {
			continue // the clock was set back in this file
		}
		if ok && err == nil && h.during.has(f.at) {
			return
		}
		h.drop(i)
		return
	}
}

// drop closes a file, and notes whether it was read completely.
func (h *history) drop(i int) {
	f := h.files[i]
	if f.unread > 0 {
		h.troubles = append(h.troubles, fmt.Sprintf("%s is damaged: skipped at least %s.", f.Path(), human.Count(f.unread, "entries")))
	}
	_ = f.Close() // it was only read
	h.files[i] = h.files[len(h.files)-1]
	h.files = h.files[:len(h.files)-1]
}

// next returns the time and the fields of the oldest entry not returned yet. They are valid until the next call.
func (h *history) next() (at time.Time, fields map[string]string, ok bool) {
	oldest := -1
	for i, f := range h.files {
		if oldest < 0 || f.at.Before(h.files[oldest].at) {
			oldest = i
		}
	}
	if oldest < 0 {
		return at, nil, false
	}
	f := h.files[oldest]
	at = f.at
	clear(h.fields)
	for i := range f.cursor.Fields() {
		data, _, err := f.cursor.Data(i, maxEventField)
		if err != nil {
			f.unread++
			continue
		}
		if name, value, ok := strings.Cut(string(data), "="); ok && strings.HasPrefix(name, announce.Prefix) {
			h.fields[name] = value
		}
	}
	h.advance(oldest)
	return at, h.fields, true
}

func (h *history) close() {
	for len(h.files) > 0 {
		h.drop(0)
	}
}
