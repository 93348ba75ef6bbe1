// Package accounts knows which accounts a host has, and which of them cannot be logged in to with a password.
package accounts

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// List is a sorted list of accounts. No file, and so no attacker, can make it longer than MaxNames.
type List struct {
	Version  int      `json:"version"` // of the form
	Accounts []string `json:"accounts"`
	Locked   []string `json:"locked"` // of these, those that nobody can log in to with a password
	SSHD     Startups `json:"sshd,omitzero"`
}

const (
	// version names the form.
	version = 1
	// MaxNames is the maximum length of a list.
	MaxNames = 4096
	// maxName is the maximum length of a name: longer ones cannot log in.
	maxName = 64
	// maxFile is the maximum size of the file: two lists of the longest names, every byte escaped.
	maxFile = 4 << 20
)

// Write replaces the file atomically. Its group may read it.
func (l List) Write(path string) error {
	data, err := json.Marshal(l)
	if err != nil {
		return fmt.Errorf("encode accounts: %w", err)
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".accounts-*")
	if err != nil {
		return fmt.Errorf("write accounts: %w", err)
	}
	_, err = f.Write(append(data, '\n'))
	if err = errors.Join(err, f.Chmod(0o640), f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("write accounts: %w", err), os.Remove(f.Name()))
	}
	return nil
}

// Read returns the list in a file. A missing file is fs.ErrNotExist; a file that Write did not make is refused.
func Read(path string) (List, error) {
	f, err := os.Open(path)
	if err != nil {
		return List{}, err
	}
	defer f.Close()
	l, err := decode(f)
	if err != nil {
		return List{}, fmt.Errorf("%s: %w", path, err)
	}
	return l, nil
}

func decode(r io.Reader) (List, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxFile+1))
	if err != nil {
		return List{}, err
	}
	var l List
	switch {
	case len(data) > maxFile:
		return List{}, errors.New("not a list of accounts: too large")
	case json.Unmarshal(data, &l) != nil || l.Version != version:
		return List{}, fmt.Errorf("not a list of accounts of version %d: start exiled-accounts.service", version)
	case len(l.Accounts) > MaxNames || len(l.Locked) > MaxNames:
		return List{}, fmt.Errorf("more than %d accounts", MaxNames)
	case !l.SSHD.Known():
		l.SSHD = Startups{} // sshd was not asked, or was not understood
	}
	for _, name := range slices.Concat(l.Accounts, l.Locked) {
		if !valid(name) {
			return List{}, fmt.Errorf("%q is not the name of an account", name)
		}
	}
	return l, nil
}

// valid reports whether an account can have that name.
func valid(name string) bool {
	return name != "" && len(name) <= maxName && !strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r == 0x7f || r == 0xfffd })
}
