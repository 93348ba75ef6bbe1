// Command exiled-lists gets a block list for exiled, which has no network, and writes it into a file. systemd starts it by a timer, with
// the settings of the list in the environment and as a user of its own.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"exile/internal/lists/fetch"
)

var version = "devel" // set by the linker

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGINT, unix.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "exiled-lists:", err)
		os.Exit(1) //nolint:gocritic // stop only ends the wait for signals
	}
}

// run gets the list that the only argument names.
func run(ctx context.Context, args []string) error {
	if len(args) != 1 {
		return errors.New("the name of a list is wanted; see man:exiled-lists(8)")
	}
	c, err := settings(args[0], os.Getenv)
	if err != nil {
		return fmt.Errorf("list %q: %w", args[0], err)
	}
	r, err := fetch.Get(ctx, c)
	switch {
	case err != nil:
		return fmt.Errorf("list %q: %w", args[0], err)
	case r.Unchanged:
		fmt.Println("The list has not changed")
	default:
		fmt.Printf("The list has %d entries\n", r.Entries)
	}
	return nil
}

// noKey is what the unit says in place of a key that does not exist.
const noKey = "none"

// settings reads the environment that the list's file and systemd made.
func settings(name string, env func(string) string) (fetch.Config, error) {
	c := fetch.Config{
		Name: name, Dir: env("STATE_DIRECTORY"), URL: env("URL"), Format: env("FORMAT"), KeyHeader: env("KEY_HEADER"),
		Plain: env("PLAIN") == "yes", Agent: "exile/" + version,
	}
	if c.URL == "" {
		return c, fmt.Errorf("URL= is missing in /etc/exile/lists.d/%s.conf", name)
	}
	if c.Dir == "" {
		return c, errors.New("STATE_DIRECTORY is not set: start it with systemctl start exiled-lists@NAME")
	}
	secret, err := os.ReadFile(filepath.Join(env("CREDENTIALS_DIRECTORY"), "key"))
	if err != nil {
		return c, fmt.Errorf("read the key: %w", err)
	}
	if c.Key = strings.TrimSpace(string(secret)); c.Key == noKey {
		c.Key = ""
	}
	c.Client = fetch.NewClient(c.Key != "")
	return c, nil
}
