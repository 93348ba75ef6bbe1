package main

import (
	"context"
	"errors"
	"io/fs"
	"os"

	"exile/internal/accounts"
	"exile/jail"
)

const groupFile = "/etc/group"

// administration keeps jails told who the administrators are, in whose sessions nobody is banned.
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

// add tells one more jail.
func (a *administration) add(s *jail.Sessions, admins []string) error {
	j := administered{s, admins}
	a.jails = append(a.jails, j)
	j.sessions.SetAdmins(admins)
	return a.tell(j)
}

// tell tells a jail. Where the files cannot be read it knows those who are named, without groups.
func (a *administration) tell(j administered) error {
	group, err := openIfThere(a.group)
	if err != nil {
		return err
	}
	defer group.Close()
	passwd, err := openIfThere(a.passwd)
	if err != nil {
		return err
	}
	defer passwd.Close()
	names, err := accounts.Admins(j.admins, group, passwd)
	if err == nil {
		j.sessions.SetAdmins(names)
	}
	return err
}

// openIfThere opens a file; one that is not there is empty.
func openIfThere(path string) (*os.File, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return os.Open(os.DevNull)
	}
	return f, err
}

// follow tells the jails again each time groups change, until ctx ends. do runs what touches jails; report is told of files
// that cannot be read, which leave what was known.
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
