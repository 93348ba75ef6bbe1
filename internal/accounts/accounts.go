// Package accounts tells which accounts a host has, and into which of them nobody can log in with a password.
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

// List is names of accounts, in order. No file, and so no attacker, can make it longer than MaxNames.
type List struct {
	Version  int      `json:"version"` // of the form
	Accounts []string `json:"accounts"`
	Locked   []string `json:"locked"` // of these, those that nobody can log in to with a password
	SSHD     Startups `json:"sshd,omitzero"`
}

const (
	// version names the form.
	version = 1
	// MaxNames bounds a list.
	MaxNames = 4096
	// maxName bounds a name: longer ones cannot log in.
	maxName = 64
	// maxFile bounds the file: two lists of the longest names, every byte escaped.
	maxFile = 4 << 20
)

// Write puts the list into a file, which is at every time whole, the old one or the new. Its group may read it.
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

// Read returns the list that a file holds. A missing file is fs.ErrNotExist; one that Write did not make is refused.
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
		l.SSHD = Startups{} // it was not asked, or is one that we do not understand
	}
	for _, name := range slices.Concat(l.Accounts, l.Locked) {
		if !valid(name) {
			return List{}, fmt.Errorf("%q is not the name of an account", name)
		}
	}
	return l, nil
}

// valid reports whether a name can be that of an account.
func valid(name string) bool {
	return name != "" && len(name) <= maxName && !strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r == 0x7f || r == 0xfffd })
}
