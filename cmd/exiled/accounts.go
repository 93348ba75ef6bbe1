package main

import (
	"errors"
	"io/fs"
	"os"

	"exile/internal/accounts"
	"exile/jail"
)

// accountsFile is what exiled-accounts.service writes, where it is enabled.
const accountsFile = "/run/exile-accounts/accounts.json"

// learnAccounts tells a detector which accounts the host has: from the helper, which also knows which of them have no
// password, or else from the passwd file. They are read at the start and at each reload.
func (p *planner) learnAccounts(d *jail.AdaptiveDetector) {
	list, err := accounts.Read(accountsFile)
	if errors.Is(err, fs.ErrNotExist) {
		list, err = passwdAccounts()
	}
	if err != nil {
		p.log.Warn("The accounts of this host are not known; slips of the finger count as names that do not exist", "error", err)
		return
	}
	d.SetAccounts(list.Accounts, list.Locked)
}

// passwdAccounts are the accounts alone: who has no password only root may know.
func passwdAccounts() (accounts.List, error) {
	f, err := os.Open("/etc/passwd")
	if err != nil {
		return accounts.List{}, err
	}
	defer f.Close()
	list, err := accounts.Gather(accounts.Sources{Passwd: f})
	list.Locked = nil
	return list, err
}
