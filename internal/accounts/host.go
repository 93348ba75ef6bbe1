package accounts

import (
	"errors"
	"io/fs"
	"os"
)

// OfHost returns the accounts of this host: the list of the helper, which also knows who has no password, or else the names in the passwd
// file, since only root can read more.
func OfHost(helper, passwd string) (List, error) {
	list, err := Read(helper)
	if !errors.Is(err, fs.ErrNotExist) {
		return list, err
	}
	f, err := os.Open(passwd)
	if err != nil {
		return List{}, err
	}
	defer f.Close()
	names, err := Names(f)
	return List{Accounts: names}, err
}

// AdminsOfHost is Admins with the files of those paths. A missing one is empty.
func AdminsOfHost(list []string, group, passwd string) ([]string, error) {
	groups, err := openIfThere(group)
	if err != nil {
		return nil, err
	}
	defer groups.Close()
	names, err := openIfThere(passwd)
	if err != nil {
		return nil, err
	}
	defer names.Close()
	return Admins(list, groups, names)
}

// openIfThere opens a file; a missing one is empty.
func openIfThere(path string) (*os.File, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return os.Open(os.DevNull)
	}
	return f, err
}
