package accounts

import (
	"context"
	"os"
	"time"
)

// lookEvery is how often files are checked. They change when the host is administered.
const lookEvery = 10 * time.Second

// Files are the files that accounts are read from. Call Watch before the first reading, so that no change is missed.
type Files struct {
	paths []string
	seen  []os.FileInfo // nil: the file does not exist
}

// Watch notes the current state of the files.
func Watch(paths ...string) *Files {
	f := &Files{paths: paths, seen: make([]os.FileInfo, len(paths))}
	f.Changed()
	return f
}

// Changed reports whether one of the files has changed, appeared or disappeared since the last call.
func (f *Files) Changed() (changed bool) {
	for i, path := range f.paths {
		info, err := os.Stat(path)
		if err != nil {
			info = nil
		}
		changed = changed || !sameFile(f.seen[i], info)
		f.seen[i] = info
	}
	return changed
}

func sameFile(a, b os.FileInfo) bool {
	if a == nil || b == nil {
		return a == b
	}
	return os.SameFile(a, b) && a.ModTime().Equal(b.ModTime()) && a.Size() == b.Size()
}

// Follow calls changed each time a file has changed, until ctx ends.
func (f *Files) Follow(ctx context.Context, changed func()) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if f.Changed() {
				changed()
			}
		case <-ctx.Done():
			return
		}
	}
}
