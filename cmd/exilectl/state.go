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
	"exile/internal/human"
	"exile/internal/state"
)

// This file has export --state and import --state: everything that the daemon keeps on disk, in one file.

// exportState writes what a running daemon keeps on disk, as of now.
func exportState(ctx context.Context, d control.Archiver, c *console) error {
	if err := d.ExportState(ctx, c); err != nil {
		return failure(err, "export the state")
	}
	return nil
}

// importState replaces the state in a folder, or in the configured one, by an exported state. The daemon must not run: it
// would not notice, and overwrite the state with its own.
func (o *options) importState(in io.Reader, dir string) error {
	if o.host != "" || o.machine != "" {
		return errors.New("the state is a file on exiled's host: import it there")
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
	o.note(c, "Imported %s and the past of %s into %s.", human.Count(len(contents.Bans), "bans"), human.Count(len(contents.Past), "addresses"), dir)
	return flush(c)
}

// replaceState writes the state file, which belongs to the owner of its folder, with no more rights than that user has: the
// user may have put anything there, such as a link to another place.
func replaceState(dir string, contents state.Contents) error {
	if err := os.Chdir(dir); err != nil {
		return fmt.Errorf("%w; start exiled once to make the folder", err)
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

// becomeOwner turns root into the owner of a folder, for good.
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
