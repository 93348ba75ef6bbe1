package main

import (
	"context"
	"errors"
	"io/fs"
	"os"

	"exile/internal/accounts"
	"exile/jail"
)

const (
	// accountsFile is what exiled-accounts.service writes, where it is enabled.
	accountsFile = "/run/exile-accounts/accounts.json"
	passwdFile   = "/etc/passwd"
)

// acquaintance keeps detectors told which accounts the host has: from the helper, which also knows which of them have no
// password, or else from the passwd file.
type acquaintance struct {
	files     *accounts.Files
	helper    string // path of its list
	passwd    string
	detectors []acquainted
}

// acquainted is a detector, and whether its service is sshd: others may have passwords of their own for the same names.
type acquainted struct {
	*jail.AdaptiveDetector
	sshd bool
}

func (d acquainted) tell(list accounts.List) {
	if !d.sshd {
		list.Locked = nil
	}
	d.SetAccounts(list.Accounts, list.Locked)
}

func newAcquaintance(helper, passwd string) *acquaintance {
	return &acquaintance{files: accounts.Watch(helper, passwd), helper: helper, passwd: passwd}
}

// add tells one more detector.
func (a *acquaintance) add(d acquainted) error {
	a.detectors = append(a.detectors, d)
	list, err := a.read()
	if err == nil {
		d.tell(list)
	}
	return err
}

// follow tells the detectors again each time the accounts change, until ctx ends. do runs what touches detectors; report
// is told of lists that cannot be read, which leave what was known.
func (a *acquaintance) follow(ctx context.Context, do func(change func()) error, report func(accounts.List, error)) {
	a.files.Follow(ctx, func() {
		list, err := a.read()
		report(list, err)
		if err != nil {
			return
		}
		_ = do(func() { // fails only at the end
			for _, d := range a.detectors {
				d.tell(list)
			}
		})
	})
}

func (a *acquaintance) read() (accounts.List, error) {
	list, err := accounts.Read(a.helper)
	if !errors.Is(err, fs.ErrNotExist) {
		return list, err
	}
	f, err := os.Open(a.passwd)
	if err != nil {
		return accounts.List{}, err
	}
	defer f.Close()
	names, err := accounts.Names(f)
	return accounts.List{Accounts: names}, err // only root can read which accounts have no password
}
