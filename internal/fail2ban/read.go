package fail2ban

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
)

// The limits of what is read.
const (
	maxFile     = 1 << 20
	maxFiles    = 512
	maxTotal    = 8 << 20
	maxIncludes = 10           // files that include each other
	maxNamed    = 4 * maxFiles // files that are named by others, each time counted
	maxMerged   = 4 * maxTotal // bytes of the files, each time counted
	maxSections = 4000
	maxValue    = 1 << 16 // bytes, also after interpolation
)

// Setup is a configuration of fail2ban, merged from its files.
type Setup struct {
	sections map[string]section // without DEFAULT
	known    map[string]section // what later files replaced, for %(known/key)s
	defaults section
	places   map[string]Place // of the sections, where they are last
	order    []string
	notes    []Note
	more     int // notes that were not kept
	files    fs.FS
	dir      string
	docs     map[string]*document
	total    int // bytes read
	named    int // files that others named
	merged   int // bytes of files that were merged
	work     int // bytes that interpolation may still put together
}

// Read reads the configuration in the folder of fail2ban. Without that folder the error is fs.ErrNotExist.
func Read(files fs.FS, dir string) (*Setup, error) {
	s := &Setup{
		sections: map[string]section{}, known: map[string]section{}, places: map[string]Place{}, defaults: section{}, docs: map[string]*document{},
		files: rooted{files}, dir: dir, work: allWork,
	}
	names, err := s.list()
	if err == nil && len(names) == 0 {
		err = fmt.Errorf("%s has no jail.conf and no jail.local: %w", s.shown(dir), fs.ErrNotExist)
	}
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		if err := s.include(name, nil); err != nil {
			return nil, err
		}
	}
	if len(s.order) > maxSections {
		return nil, fmt.Errorf("%s has more than %d sections", s.shown(dir), maxSections)
	}
	if err := s.others(); err != nil {
		return nil, err
	}
	return s, nil
}

// shown is a path as people know it.
func (s *Setup) shown(name string) string { return "/" + name }

// list returns the files in the order in which fail2ban reads them. In a folder it reads only these suffixes.
func (s *Setup) list() ([]string, error) {
	var names []string
	for _, suffix := range []string{".conf", ".local"} {
		name := path.Join(s.dir, "jail"+suffix)
		if _, err := fs.Stat(s.files, name); err == nil {
			names = append(names, name)
		} else if !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		more, err := s.folder("jail.d", suffix)
		if err != nil {
			return nil, err
		}
		names = append(names, more...)
	}
	return names, nil
}

// folder lists the files in a folder whose names have a suffix, in order. A folder that is not there is empty; one that may not be read is an
// error.
func (s *Setup) folder(name, suffix string) (names []string, err error) {
	dir := path.Join(s.dir, name)
	found, err := fs.ReadDir(s.files, dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for _, f := range found {
		if strings.HasSuffix(f.Name(), suffix) && !strings.HasPrefix(f.Name(), ".") {
			names = append(names, path.Join(dir, f.Name()))
		}
	}
	return names, nil
}

// include merges a file, after those that it names with before, and before those that it names with after.
func (s *Setup) include(name string, above []string) error {
	if len(above) > maxIncludes {
		return fmt.Errorf("%s is included by more than %d files, one by the other", s.shown(name), maxIncludes)
	}
	d, err := s.document(name)
	if d == nil {
		return err
	}
	if s.merged += d.size; s.merged > maxMerged {
		return fmt.Errorf("%s is included once too often: these are more than %d bytes", s.shown(name), maxMerged)
	}
	above = append(slices.Clone(above), name)
	if err := s.includeAll(d, name, "before", above); err != nil {
		return err
	}
	s.merge(d)
	return s.includeAll(d, name, "after", above)
}

func (s *Setup) includeAll(d *document, name, key string, above []string) error {
	v := d.sections["INCLUDES"][key]
	for word := range strings.FieldsSeq(v.text) {
		if s.named++; s.named > maxNamed {
			return fmt.Errorf("%s: the files name others more than %d times", v.at, maxNamed)
		}
		other := strings.TrimPrefix(path.Clean(word), "/")
		if !path.IsAbs(word) {
			other = path.Join(path.Dir(name), word)
		}
		if slices.Contains(above, other) {
			continue // fail2ban cuts circles, too
		}
		if !fs.ValidPath(other) || !s.exists(other) && !strings.HasSuffix(other, ".local") {
			s.notes = append(s.notes, Note{Kind: NotMoved, At: v.at, Text: "the file " + quoted(word) + " is not there", Advice: "what it sets is missing here"})
			continue
		}
		if err := s.include(other, above); err != nil {
			return err
		}
		if base, ok := strings.CutSuffix(other, ".conf"); ok {
			if err := s.include(base+".local", above); err != nil {
				return err
			}
		}
	}
	return nil
}

// exists reports whether a file is there, be it one that cannot be read: to read it says why.
func (s *Setup) exists(name string) bool {
	_, err := fs.Stat(s.files, name)
	return err == nil || !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrInvalid)
}

// document reads a file once. It returns nil if the file does not exist.
func (s *Setup) document(name string) (*document, error) {
	if d, ok := s.docs[name]; ok {
		return d, nil
	}
	data, err := s.load(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	d, err := parse(s.shown(name), string(data), isStock(name))
	if err != nil {
		return nil, err
	}
	s.docs[name] = d
	s.notes = append(s.notes, d.notes...)
	s.more += d.more
	return d, nil
}

// isStock reports whether a file is one that fail2ban or the distribution writes.
func isStock(name string) bool {
	base := path.Base(name)
	return slices.Contains([]string{"jail.conf", "defaults-debian.conf", "00-firewalld.conf", "00-systemd.conf"}, base) || strings.HasPrefix(base, "paths-") && strings.HasSuffix(base, ".conf")
}

func (s *Setup) load(name string) ([]byte, error) {
	info, err := fs.Stat(s.files, name) // a pipe must not be opened
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", s.shown(name))
	}
	f, err := s.files.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	s.total += len(data)
	switch {
	case err != nil:
	case len(data) > maxFile:
		err = fmt.Errorf("%s is larger than %d bytes", s.shown(name), maxFile)
	case len(s.docs) >= maxFiles || s.total > maxTotal:
		err = fmt.Errorf("%s has more than %d files or %d bytes", s.shown(s.dir), maxFiles, maxTotal)
	}
	return data, err
}

// merge puts the values of a file over those before. They stay known.
func (s *Setup) merge(d *document) {
	for _, name := range d.order {
		own := d.sections[name]
		s.places[name] = d.places[name]
		switch old, ok := s.sections[name]; {
		case name == "INCLUDES":
		case name == defaultSection:
			maps.Copy(s.defaults, own)
		case !ok:
			s.sections[name] = maps.Clone(own)
			s.order = append(s.order, name)
		default:
			s.replace(name, old, own)
		}
	}
}

func (s *Setup) replace(name string, old, own section) {
	known := s.known[name]
	if known == nil {
		known = section{}
		s.known[name] = known
	}
	for key, v := range own {
		if before, ok := old[key]; ok {
			known[key] = before
		}
		old[key] = v
	}
}

// others names files of the administrator's that say things about fail2ban itself.
func (s *Setup) others() error {
	names, err := s.folder("fail2ban.d", "")
	if err != nil {
		return err
	}
	for _, name := range append([]string{path.Join(s.dir, "fail2ban.local")}, names...) {
		switch _, err := fs.Stat(s.files, name); {
		case err == nil:
			s.notes = append(s.notes, Note{
				Kind: NotMoved, At: Place{File: s.shown(name)},
				Text: "what this file says of fail2ban's own log and database was not read", Advice: "dbpurgeage is a key of exile.yaml, too",
			})
		case !errors.Is(err, fs.ErrNotExist):
			return err
		}
	}
	return nil
}
