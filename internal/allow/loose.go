package allow

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// Loose returns an error if anybody besides root can change what is at path, by writing to it or to a folder or link on the way; the error says
// who. The path is absolute. A folder with the sticky bit, such as /tmp, protects files of other users. It returns nil if only root can, or if
// nothing is there.
func Loose(path string) error {
	at, rest := "/", strings.Split(path, "/")
	for links := 0; links <= maxLinks; {
		info, err := os.Lstat(at)
		if err != nil {
			return nil // reading it will show what is wrong
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

// looseOne checks one file or folder; the mode of a link means nothing.
func looseOne(path string, info os.FileInfo) error {
	if owner, ok := info.Sys().(*syscall.Stat_t); ok && owner.Uid != 0 {
		return fmt.Errorf("%s: it belongs to user %d", path, owner.Uid)
	}
	if mode := info.Mode(); mode&os.ModeSymlink == 0 && mode.Perm()&0o022 != 0 && mode&os.ModeSticky == 0 {
		return fmt.Errorf("%s: others than root can write it", path)
	}
	return nil
}
