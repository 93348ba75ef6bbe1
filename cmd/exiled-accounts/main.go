// Command exiled-accounts writes down, for exiled, which accounts the host has and into which of them nobody can log in
// with a password: who guesses there is an attacker. It reads what only root may, once, and is no daemon.
package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"exile/internal/accounts"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: sshd -T | exiled-accounts FILE")
		os.Exit(2)
	}
	if err := run(os.Stdin, "/etc", os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "exiled-accounts:", err)
		os.Exit(1)
	}
}

// maxSettings bounds what sshd says.
const maxSettings = 16 << 20

// run reads the accounts last: while we run, systemd does not see them change.
func run(sshd io.Reader, etc, path string) error {
	settings, err := io.ReadAll(io.LimitReader(sshd, maxSettings))
	if err != nil {
		return fmt.Errorf("read sshd's settings: %w", err)
	}
	passwd, shadow := filepath.Join(etc, "passwd"), filepath.Join(etc, "shadow")
	settle(passwd, shadow)
	p, err := os.Open(passwd)
	if err != nil {
		return err
	}
	defer p.Close()
	s, err := os.Open(shadow)
	if err != nil {
		return err
	}
	defer s.Close()
	config := accounts.SSHDConfig(filepath.Join(etc, "ssh/sshd_config"))
	list, err := accounts.Gather(accounts.Sources{Passwd: p, Shadow: s, SSHD: bytes.NewReader(settings), Config: config})
	if err != nil {
		return err
	}
	return list.Write(path)
}

// quiet is for how long nobody has to have changed the accounts.
const quiet = time.Second

// settle waits for that: who makes an account gives it a password next. Files that do not rest are read as they are.
func settle(paths ...string) {
	for range 5 {
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
