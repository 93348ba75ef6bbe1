package main

import (
	"errors"
	"fmt"
	"os"

	"exile/internal/actions"
)

// check checks the named files, or those of this host, for exilectl check-config, and says which actions there are.
func check(files []string) error {
	all, broken, err := actions.Load("")
	if len(files) > 0 {
		all, broken, err = nil, nil, nil
	}
	for _, name := range files {
		data, unread := os.ReadFile(name)
		a, wrong := actions.Parse(name, data)
		switch {
		case unread != nil:
			err = errors.Join(err, unread)
		case wrong != nil:
			err = errors.Join(err, wrong)
		default:
			all = append(all, a)
		}
	}
	for _, b := range broken {
		err = errors.Join(err, b.Err)
	}
	for _, a := range all {
		fmt.Printf("Action %s: %s (%s).\n", a.Name, a.Kind, a.File)
	}
	return err
}
