// Command exiled-accounts writes down, for exiled, which accounts the host has and into which of them nobody can log in
// with a password: who guesses there is an attacker. It reads what only root may, once, and is no daemon.
package main

import (
	"fmt"
	"io"
	"os"

	"exile/internal/accounts"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: sshd -T | exiled-accounts FILE")
		os.Exit(2)
	}
	if err := run(os.Stdin, os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "exiled-accounts:", err)
		os.Exit(1)
	}
}

func run(sshd io.Reader, path string) error {
	p, err := os.Open("/etc/passwd")
	if err != nil {
		return err
	}
	defer p.Close()
	s, err := os.Open("/etc/shadow")
	if err != nil {
		return err
	}
	defer s.Close()
	list, err := accounts.Gather(accounts.Sources{Passwd: p, Shadow: s, SSHD: sshd, Config: accounts.SSHDConfig("/etc/ssh/sshd_config")})
	if err != nil {
		return err
	}
	return list.Write(path)
}
