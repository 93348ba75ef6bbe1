package allow

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// Loose returns an error that says who besides root can change what is at path: by writing it, or a folder or link on the way
// to it. The path is absolute. A folder with a sticky bit, as /tmp has, protects the files of others. It returns nil when only
// root can, or when nothing is there.
func Loose(path string) error {
	at, rest := "/", strings.Split(path, "/")
	for links := 0; links <= maxLinks; {
		info, err := os.Lstat(at)
		if err != nil {
			return nil // whoever reads it will say what is wrong
		}
		if info.Mode()&os.ModeSymlink == 0 {
			if err := looseOne(at, info); err != nil || len(rest) == 0 {
				return err
			}
			at, rest = filepath.Join(at, rest[0]), rest[1:]
			continue
		}
		links++
		target, err := os.Readlink(at)
		if err != nil {
			return nil
		}
		if err := looseOne(at, info); err != nil {
			return err
		}
		if at = filepath.Dir(at); filepath.IsAbs(target) {
			at = "/"
		}
		rest = append(strings.Split(target, "/"), rest...)
	}
	return fmt.Errorf("%s: too many links", path)
}

// maxLinks is how many the kernel follows.
const maxLinks = 40

// looseOne is about what is there itself; a link's mode means nothing.
func looseOne(path string, info os.FileInfo) error {
	if owner, ok := info.Sys().(*syscall.Stat_t); ok && owner.Uid != 0 {
		return fmt.Errorf("%s: it belongs to user %d", path, owner.Uid)
	}
	if mode := info.Mode(); mode&os.ModeSymlink == 0 && mode.Perm()&0o022 != 0 && mode&os.ModeSticky == 0 {
		return fmt.Errorf("%s: others than root can write it", path)
	}
	return nil
}
