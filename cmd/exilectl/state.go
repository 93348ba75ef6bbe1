package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"

	"exile/internal/config"
	"exile/internal/control"
	"exile/internal/state"
)

// exportState writes what a running daemon keeps on disk, as it is now.
func exportState(ctx context.Context, d control.Archiver, c *console) error {
	if err := d.ExportState(ctx, c); err != nil {
		return failure(err, "export the state")
	}
	return nil
}

// importState makes an exported state the only one, in a folder or, if it is not named, in that of the configuration. The
// daemon must not run: it would not see it, and write its own over it.
func (o *options) importState(in io.Reader, dir string) error {
	if o.host != "" || o.machine != "" {
		return errors.New("the state is a file of the host that exiled runs on: import it there")
	}
	if dir == "" {
		cfg, err := config.Load(config.Sources{})
		if err != nil {
			return err
		}
		dir = cfg.StateDir
	}
	contents, err := state.Import(in)
	if err != nil {
		return err
	}
	if err := replaceState(dir, contents); err != nil {
		return fmt.Errorf("failed to import the state: %w", err)
	}
	c := o.newConsole(os.Stdout)
	o.note(c, "Imported %s and the past of %s into %s.", plural(len(contents.Bans), "bans"), plural(len(contents.Past), "addresses"), dir)
	return flush(c)
}

// replaceState writes the state file, which belongs to whom its folder belongs, with no more rights than that user has: he
// may have put anything there, a link that leads elsewhere for one.
func replaceState(dir string, contents state.Contents) error {
	if err := os.Chdir(dir); err != nil {
		return fmt.Errorf("%w; start exiled once, it makes the folder", err)
	}
	if err := becomeOwner("."); err != nil {
		return err
	}
	store, err := state.Open(".")
	if errors.Is(err, state.ErrLocked) {
		return fmt.Errorf("%w Stop it: systemctl stop exiled", err)
	}
	if err != nil {
		return err
	}
	err = errors.Join(store.Err(), store.SetAside())
	if err == nil || errors.Is(err, state.ErrSetAside) {
		err = store.Replace(contents)
	}
	return errors.Join(err, store.Close())
}

// becomeOwner makes root the user whom a folder belongs to, for good.
func becomeOwner(dir string) error {
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !ok || os.Geteuid() != 0 || owner.Uid == 0 {
		return nil
	}
	for _, err := range []error{
		syscall.Setgroups(nil), syscall.Setgid(int(owner.Gid)), syscall.Setuid(int(owner.Uid)),
	} {
		if err != nil {
			return fmt.Errorf("become the owner of the folder: %w", err)
		}
	}
	return nil
}
