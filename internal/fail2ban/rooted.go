package fail2ban

import (
	"errors"
	"io/fs"
)

// rooted is the root file system as an fs.FS, in whose errors paths begin with the slash that people expect.
type rooted struct{ fs.FS }

// Open implements fs.FS.
func (r rooted) Open(name string) (fs.File, error) {
	f, err := r.FS.Open(name)
	return f, slashed(err)
}

// Stat implements fs.StatFS: to look at a file must not open it.
func (r rooted) Stat(name string) (fs.FileInfo, error) {
	info, err := fs.Stat(r.FS, name)
	return info, slashed(err)
}

// ReadDir implements fs.ReadDirFS.
func (r rooted) ReadDir(name string) ([]fs.DirEntry, error) {
	found, err := fs.ReadDir(r.FS, name)
	return found, slashed(err)
}

func slashed(err error) error {
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		return &fs.PathError{Op: p.Op, Path: "/" + p.Path, Err: p.Err}
	}
	return err
}
