package allow

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// Loose says who else than root can change what is at path: by writing it, or a folder above it or above what a link leads
// to. A folder with a sticky bit, as /tmp has, lets nobody take away what is another's. nil: nobody can, or there is nothing
// to change.
func Loose(path string) error {
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return nil // whoever reads it will say what is wrong
	}
	for _, p := range []string{path, real} {
		for ; ; p = filepath.Dir(p) {
			if err := looseOne(p); err != nil {
				return err
			}
			if p == filepath.Dir(p) {
				break
			}
		}
	}
	return nil
}

func looseOne(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return nil
	}
	if owner, ok := info.Sys().(*syscall.Stat_t); ok && owner.Uid != 0 {
		return fmt.Errorf("%s: it belongs to user %d", path, owner.Uid)
	}
	if info.Mode().Perm()&0o022 != 0 && info.Mode()&os.ModeSticky == 0 {
		return fmt.Errorf("%s: others than root can write it", path)
	}
	return nil
}
