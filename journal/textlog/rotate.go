package textlog

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"exile/journal"
)

const (
	maxLogs  = 256         // followed at once
	maxFiles = 2 * maxLogs // open at once: the logs, and what they were rotated to
	// maxRotations is how many rotations of one log are looked at, newest first: the folder may belong to a compromised
	// service, which must not use up what other logs need.
	maxRotations = 32
	grace        = time.Minute // how long a rotated file is read after it last grew
)

// rotations returns the names of what path was rotated to and not compressed, the oldest first.
func (c Config) rotations(path string) []string {
	folder, base := filepath.Split(path)
	names, _ := c.names(filepath.Clean(folder)) // what cannot be listed cannot be opened either, which is reported then
	type found struct {
		name     string
		modified time.Time
	}
	var all []found
	for _, name := range names {
		if !isRotation(base, name) {
			continue
		}
		info, err := os.Lstat(folder + name)
		if errors.Is(err, fs.ErrPermission) {
			info, err = c.stat(folder + name)
		}
		if err == nil && info.Mode().IsRegular() {
			all = append(all, found{folder + name, info.ModTime()})
		}
	}
	slices.SortFunc(all, func(a, b found) int {
		if c := a.modified.Compare(b.modified); c != 0 {
			return c
		}
		return strings.Compare(b.name, a.name)
	})
	all = all[max(0, len(all)-maxRotations):]
	names = make([]string, len(all))
	for i, one := range all {
		names[i] = one.name
	}
	return names
}

// chain opens the files that hold the log at path, oldest first, the log itself last. Files already open are reused.
func (f *follower) chain(path string) []*file {
	var chain []*file
	names := append(f.cfg.rotations(path), path)
	for _, name := range slices.Backward(names) { // if there are too many, the oldest are left out
		if one := f.open(path, name); one != nil && !slices.Contains(chain, one) {
			chain = append(chain, one)
		}
	}
	slices.Reverse(chain)
	return chain
}

// open opens the file at name unless it is open. It returns nil if it does not exist; other errors are gaps.
func (f *follower) open(path, name string) *file {
	one, err := f.cfg.openLog(path, name)
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
		if name == path { // what was to be read of a rotation, and cannot, is a gap of its own
			f.complain(path, fmt.Errorf("more than %d files are open", maxFiles))
		}
		return nil
	}
	delete(f.complained, name)
	f.files = append(f.files, one)
	return one
}

// complain reports what is wrong with a path, once until it changes.
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

// begin finds the files and goes to where reading stopped.
func (f *follower) begin() error {
	places, err := split(f.from.Resume)
	if err != nil {
		return err
	}
	f.resumed = places != nil
	paths := f.paths()
	for _, path := range paths { // first, so that there is room for all of them
		f.open(path, path)
	}
	var chains [][]*file
	for _, path := range paths {
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
	f.miss()
	return nil
}

// restore goes to p in its file: the same file, moved or not, or a copy made before it was truncated.
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

// adopt decides which files of a chain to read. Files before the last one that was being read were read already, and
// those after it are new. If none was being read, files modified until read are old.
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

// reread reads a file again, for what is not older than Since.
func (f *follower) reread(one *file) {
	if !f.beginning || f.from.Since.IsZero() || one.modified.Before(f.from.Since) {
		f.drop(one)
		return
	}
	one.resume, one.adopted = one.size, true
}

// scan looks for logs that were rotated, appeared, or can be closed.
func (f *follower) scan(now time.Time) {
	paths := f.paths()
	for _, path := range paths {
		f.follow(path)
	}
	for _, one := range slices.Clone(f.files) {
		one.moved = one.moved || one.links == 0 || left(one, paths)
		if one.moved && one.eof && now.Sub(one.grown) > grace {
			f.finish(one)
		}
	}
	f.miss()
	maps.DeleteFunc(f.complained, func(name string, _ error) bool { return name != "" && !isPattern(name) && gone(name) })
}

// left reports whether a file that a pattern matched was renamed to what no pattern matches, or is a rotation now.
func left(one *file, paths []string) bool {
	if slices.Contains(paths, one.log) || slices.Contains(paths, one.name) {
		return false
	}
	return gone(one.log) || slices.ContainsFunc(paths, func(path string) bool { return isRotation(path, one.log) })
}

// gone reports whether there is no such file. One that we may not look at may be there.
func gone(name string) bool {
	_, err := os.Lstat(name)
	return errors.Is(err, fs.ErrNotExist)
}

// follow opens the new file at path, and those that came and went since the last look.
func (f *follower) follow(path string) {
	current := slices.IndexFunc(f.files, func(o *file) bool { return o.log == path && !o.moved })
	if current < 0 {
		if one := f.open(path, path); one != nil {
			one.adopted, one.moved = true, false
			if !isRotation(filepath.Base(one.log), filepath.Base(path)) {
				one.log = path // it was renamed to what is a log of its own
			}
		}
		return
	}
	old := f.files[current]
	if info, err := f.cfg.stat(path); err != nil || sameFile(info, old) {
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

// finish closes a rotated file. It does not deliver a last line without an end: half an address is another address.
func (f *follower) finish(one *file) {
	if n := one.unfinished(); n > 0 {
		f.gap(journal.Gap{Kind: journal.GapTruncated, File: one.name, Entries: 1, Err: fmt.Errorf(
			"the last line has no end; %d bytes not read", n)})
	}
	f.drop(one)
}

// truncated starts a file from its beginning, after reading the rest of its former content from the copy of it.
func (f *follower) truncated(one *file) error {
	was := one.place()
	if was.offset > 0 && one.holds(was) { // only what was not read yet
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
	for _, name := range f.cfg.rotations(one.log) {
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
