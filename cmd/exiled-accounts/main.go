// Command exiled-accounts writes down, for exiled, which accounts the host has and into which of them nobody can log in
// with a password: who guesses there is an attacker. It reads what only root may, once, and is no daemon.
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"exile/internal/accounts"
)

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "usage: exiled-accounts FILE [OPTION OF SSHD...]")
		os.Exit(2)
	}
	s := &sshd{os.Args[2:], time.Now().Add(patience)}
	doubts, err := run("/", s.config(), s.settings, os.Args[1])
	for _, doubt := range doubts {
		fmt.Fprintf(os.Stderr, "<4>%s\n", doubt) // a warning
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "exiled-accounts:", err)
		os.Exit(1)
	}
}

// rounds bounds how often files are read again that change meanwhile.
const rounds = 5

// run writes the list. While we run, systemd does not see the files change: what changed meanwhile is read again.
func run(root, config string, sshd func(user string) ([]byte, error), path string) (doubts []string, err error) {
	var files []string
	for _, name := range []string{"etc/passwd", "etc/shadow", "etc/group", "etc/nsswitch.conf", "etc/pam.d", config} {
		files = append(files, filepath.Join(root, name))
	}
	h := accounts.Host{Root: os.DirFS(root), Config: strings.TrimLeft(config, "/"), SSHD: sshd}
	watch := accounts.Watch(files...)
	for range rounds {
		settle(files...)
		watch.Changed()
		h.Now = time.Now()
		var list accounts.List
		if list, doubts, err = h.Gather(); err != nil {
			return doubts, err
		}
		if err = list.Write(path); err != nil || !watch.Changed() {
			break
		}
	}
	return doubts, err
}

// quiet is for how long nobody has to have changed the files.
const quiet = time.Second

// settle waits for that: who makes an account gives it a password next. Files that do not rest are read as they are.
func settle(paths ...string) {
	for range rounds {
		age := quiet
		for _, path := range paths {
			if info, err := os.Stat(path); err == nil {
				age = min(age, time.Since(info.ModTime()))
			}
		}
		if age >= quiet {
			return
		}
		time.Sleep(quiet - max(age, 0))
	}
}
