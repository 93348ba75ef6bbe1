package textlog

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"exile/journal"
)

const (
	maxFiles = 128 // followed at once
	// maxRotations is how many rotations of one log are looked at, the newest: the folder may belong to a service that
	// was broken into, and must not use up what other logs need.
	maxRotations = 32
	grace        = time.Minute // how long a rotated file is read after it last grew
)

// wildcards make a path a pattern.
const wildcards = `*?[\`

// rotation is what logrotate and its kin append to the name of a log that they moved away: .1, -20260102, .1.gz
var (
	rotation = regexp.MustCompile(`^[.-][0-9]+(-[0-9]+)?$`)
	rotated  = regexp.MustCompile(`([.-][0-9]+(-[0-9]+)?|\.(gz|xz|bz2|zst|lz4|Z))$`)

	errTooMany = fmt.Errorf("more than %d text logs: name fewer", maxFiles)
)

// expand returns the paths that pattern stands for now. Rotated files that it happens to match are left out: they are
// found from the name that they had. A path without wildcards stands for itself, there or not.
func expand(pattern string) []string {
	if !strings.ContainsAny(pattern, wildcards) {
		return []string{pattern}
	}
	paths, _ := filepath.Glob(pattern) // New has checked the pattern; a folder that cannot be read matches nothing
	return slices.DeleteFunc(paths, rotated.MatchString)
}

// rotations returns the names of what path was rotated to and not compressed, the oldest first.
func rotations(path string) []string {
	folder, base := filepath.Split(path)
	entries, _ := os.ReadDir(folder) // what cannot be listed cannot be opened either: that is reported then
	type found struct {
		name     string
		modified time.Time
	}
	var all []found
	for _, entry := range entries {
		suffix, ok := strings.CutPrefix(entry.Name(), base)
		if !ok || !rotation.MatchString(suffix) {
			continue
		}
		if info, err := entry.Info(); err == nil && info.Mode().IsRegular() {
			all = append(all, found{folder + entry.Name(), info.ModTime()})
		}
	}
	slices.SortFunc(all, func(a, b found) int {
		if c := a.modified.Compare(b.modified); c != 0 {
			return c
		}
		return strings.Compare(b.name, a.name)
	})
	all = all[max(0, len(all)-maxRotations):]
	names := make([]string, len(all))
	for i, one := range all {
		names[i] = one.name
	}
	return names
}

// chain opens the files that hold the log at path, oldest first, the log itself last. Those already open are the same.
func (f *follower) chain(path string) []*file {
	var chain []*file
	for _, name := range append(rotations(path), path) {
		if one := f.open(path, name); one != nil && !slices.Contains(chain, one) {
			chain = append(chain, one)
		}
	}
	return chain
}

// open opens the file at name unless it is open. It returns nil when there is none; other errors are gaps.
func (f *follower) open(path, name string) *file {
	one, err := open(path, name)
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			f.complain(name, err)
		} else {
			delete(f.complained, name)
		}
		return nil
	}
	if i := slices.IndexFunc(f.files, func(o *file) bool { return o.id == one.id }); i >= 0 {
		one.close()
		f.files[i].name = name
		return f.files[i]
	}
	if len(f.files) >= maxFiles {
		one.close()
		f.complain(path, errTooMany)
		return nil
	}
	delete(f.complained, name)
	f.files = append(f.files, one)
	return one
}

// complain reports what is wrong with a path, once until that changes.
func (f *follower) complain(path string, err error) {
	if errors.Is(err, fs.ErrPermission) {
		err = fmt.Errorf("%w; let exiled read it, see logpath in exile.yaml(5)", err)
	}
	if last := f.complained[path]; last != nil && last.Error() == err.Error() {
		return
	}
	if len(f.complained) >= maxFiles {
		clear(f.complained)
	}
	f.complained[path] = err
	f.gap(journal.Gap{Kind: journal.GapUnreadable, File: path, Err: err})
}

// begin finds the files and goes to where they were left.
func (f *follower) begin() error {
	places, err := split(f.from.Resume)
	if err != nil {
		return err
	}
	f.resumed = places != nil
	var chains [][]*file
	for _, path := range f.paths() {
		chains = append(chains, f.chain(path))
	}
	for _, p := range places {
		if err := f.restore(p); err != nil {
			return err
		}
	}
	for _, chain := range chains {
		f.adopt(chain, time.Time{})
	}
	return nil
}

// restore goes to p in the file that it is of: the same file, moved or not, or a copy made before it was truncated.
func (f *follower) restore(p place) error {
	same := slices.IndexFunc(f.files, func(o *file) bool { return o.id == p.fileID && o.holds(p) })
	if same < 0 && p.offset > 0 {
		same = slices.IndexFunc(f.files, func(o *file) bool { return !o.adopted && o.holds(p) })
	}
	if same < 0 {
		f.gap(journal.Gap{Kind: journal.GapVacuumed, Err: fmt.Errorf(
			"resume text log: the file with inode %d, read up to byte %d, is gone", p.inode, p.offset)})
		return nil
	}
	one := f.files[same]
	one.resume, one.adopted = p.offset, true
	if f.from.Since.IsZero() {
		return one.seek(p.offset)
	}
	return nil
}

// adopt decides which files of a chain to read. The last of those that were being read tells: what is before it had been
// read, what is behind it is new. When none was, what was modified until read is old.
func (f *follower) adopt(chain []*file, read time.Time) {
	last := -1
	for i, one := range chain {
		if one.adopted {
			last = i
		}
	}
	for i, one := range chain {
		one.moved = i < len(chain)-1
		switch {
		case one.adopted:
		case i < last:
			f.reread(one)
		case one.moved && (last < 0 && !one.modified.After(read) || !f.resumed && one.modified.Before(f.from.Since)):
			f.drop(one)
		default:
			one.adopted = true
		}
	}
}

// reread reads a file that had been read before, for what is not older than Since.
func (f *follower) reread(one *file) {
	if !f.beginning || f.from.Since.IsZero() || one.modified.Before(f.from.Since) {
		f.drop(one)
		return
	}
	one.resume, one.adopted = one.size, true
}

// scan looks for logs that were rotated, appeared, or can be let go.
func (f *follower) scan(now time.Time) {
	for _, path := range f.paths() {
		f.follow(path)
	}
	for _, one := range slices.Clone(f.files) {
		one.moved = one.moved || one.links == 0
		if one.moved && one.eof && now.Sub(one.grown) > grace {
			f.finish(one)
		}
	}
}

// follow opens the file that has come to path, and those that came and went since the last look.
func (f *follower) follow(path string) {
	current := slices.IndexFunc(f.files, func(o *file) bool { return o.log == path && !o.moved })
	if current < 0 {
		if one := f.open(path, path); one != nil {
			one.adopted, one.moved = true, false
		}
		return
	}
	old := f.files[current]
	if info, err := os.Stat(path); err != nil || sameFile(info, old) {
		return
	}
	chain := f.chain(path)
	f.adopt(chain, old.modified)
	if !slices.Contains(chain, old) { // moved out of sight, or compressed at once
		old.moved = len(chain) > 0 && chain[len(chain)-1].name == path
	}
}

func sameFile(info os.FileInfo, f *file) bool {
	own, err := f.f.Stat()
	return err == nil && os.SameFile(info, own)
}

// finish lets a rotated file go. A last line without an end is not delivered: half an address is another address.
func (f *follower) finish(one *file) {
	if n := one.unfinished(); n > 0 {
		f.gap(journal.Gap{Kind: journal.GapTruncated, File: one.name, Entries: 1, Err: fmt.Errorf(
			"the last line has no end; %d bytes not read", n)})
	}
	f.drop(one)
}

// truncated starts a file from its beginning, after reading the rest of what it was from the copy that was made of it.
func (f *follower) truncated(one *file) error {
	was := one.place()
	if was.offset > 0 && one.holds(was) { // only what had not been taken
		return one.seek(was.offset)
	}
	if !f.copied(one, was) {
		f.gap(journal.Gap{Kind: journal.GapTruncated, File: one.name, Err: fmt.Errorf(
			"truncated after byte %d had been read, and there is no copy; lines may be missing", was.offset)})
	}
	begin := int64(0)
	if one.sameHead() { // only its end was cut off
		begin = one.size
	}
	one.resume, one.last = 0, time.Time{}
	return one.seek(begin)
}

// copied looks for a copy of what one was, and goes to the same place in it.
func (f *follower) copied(one *file, was place) bool {
	if was.offset == 0 {
		return one.end == one.start
	}
	for _, name := range rotations(one.log) {
		cp := f.open(one.log, name)
		if cp == nil || cp.adopted {
			continue
		}
		if cp.holds(was) && cp.seek(was.offset) == nil {
			cp.adopted, cp.moved = true, true
			cp.resume, cp.last = one.resume, one.last
			return true
		}
		f.drop(cp)
	}
	return false
}
