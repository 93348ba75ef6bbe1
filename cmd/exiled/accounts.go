package main

import (
	"context"

	"exile/firewall"
	"exile/internal/accounts"
	"exile/internal/daemon"
	"exile/jail/adaptive"
)

const (
	// accountsFile is written by exiled-accounts.service, where that is enabled.
	accountsFile = "/run/exile-accounts/accounts.json"
	passwdFile   = "/etc/passwd"
)

// acquaintance tells jails and detectors which accounts the host has, and where sshd listens. It reads the list of the helper, which also
// knows which accounts have no password, or else the passwd file.
type acquaintance struct {
	files     *accounts.Files
	helper    string // path of its list
	passwd    string
	listeners []listener
}

// listener is told each time the list has changed.
type listener interface{ tell(list accounts.List) }

// acquainted is a detector, and whether its service is sshd: other services may have their own passwords for the same names.
type acquainted struct {
	*adaptive.Detector
	sshd bool
}

func (d acquainted) tell(list accounts.List) {
	if !d.sshd {
		list.Locked = nil
	}
	d.SetAccounts(list.Accounts, list.Locked)
}

// gate is a jail of sshd, whose bans of groups close the ports on which sshd listens.
type gate struct{ jail *daemon.Jail }

func (g gate) tell(list accounts.List) {
	g.jail.GroupPorts = nil
	for _, n := range portsOf(list.SSHD) {
		g.jail.GroupPorts = append(g.jail.GroupPorts, firewall.Port{Proto: protoTCP, Number: n})
	}
}

func newAcquaintance(helper, passwd string) *acquaintance {
	return &acquaintance{files: accounts.Watch(helper, passwd), helper: helper, passwd: passwd}
}

// add adds a listener and tells it.
func (a *acquaintance) add(l listener) error {
	a.listeners = append(a.listeners, l)
	list, err := a.read()
	if err == nil {
		l.tell(list)
	}
	return err
}

// follow tells all listeners each time the accounts change, until ctx ends. do runs what touches jails; report gets the errors of lists that
// cannot be read. Then what was known stays.
func (a *acquaintance) follow(ctx context.Context, do func(change func()) error, report func(accounts.List, error)) {
	a.files.Follow(ctx, func() {
		list, err := a.read()
		report(list, err)
		if err != nil {
			return
		}
		_ = do(func() { // fails only at the end
			for _, l := range a.listeners {
				l.tell(list)
			}
		})
	})
}

func (a *acquaintance) read() (accounts.List, error) { return accounts.OfHost(a.helper, a.passwd) }
