package main

import (
	"context"
	"errors"

	"exile/internal/accounts"
	"exile/jail"
)

const groupFile = "/etc/group"

// administration keeps the sessions of each jail informed of which accounts are administrators. An address from which one of them is logged in
// is never banned.
type administration struct {
	group, passwd string // paths
	files         *accounts.Files
	jails         []administered
}

type administered struct {
	sessions *jail.Sessions
	admins   []string // as configured
}

func newAdministration(group, passwd string) *administration {
	return &administration{group: group, passwd: passwd, files: accounts.Watch(group, passwd)}
}

// add adds a jail and tells it.
func (a *administration) add(s *jail.Sessions, admins []string) error {
	j := administered{s, admins}
	a.jails = append(a.jails, j)
	j.sessions.SetAdmins(admins)
	return a.tell(j)
}

// tell tells a jail. If the files cannot be read, that is the accounts that are named, without groups.
func (a *administration) tell(j administered) error {
	names, err := accounts.AdminsOfHost(j.admins, a.group, a.passwd)
	if err == nil {
		j.sessions.SetAdmins(names)
	}
	return err
}

// follow tells the jails each time groups change, until ctx ends. do runs what touches jails; report gets the errors of files that cannot be
// read. Then what was known stays.
func (a *administration) follow(ctx context.Context, do func(change func()) error, report func(error)) {
	a.files.Follow(ctx, func() {
		var failed error
		_ = do(func() { // fails only at the end
			for _, j := range a.jails {
				failed = errors.Join(failed, a.tell(j))
			}
		})
		if failed != nil && ctx.Err() == nil {
			report(failed)
		}
	})
}
