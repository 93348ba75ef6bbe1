package main

import (
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"exile/internal/accounts"
)

const passwd = "alice:x:1000:1000::/home/alice:/bin/sh\n"

// A password that an account gets while sshd is still asked for its settings is seen, and the moment after as well.
func TestPasswordComesLate(t *testing.T) {
	t.Parallel()
	etc, list := t.TempDir(), filepath.Join(t.TempDir(), "list")
	write(t, etc, "passwd", passwd)
	write(t, etc, "shadow", "alice:!:20000::::::\n")
	sshd, settings := io.Pipe()
	done := make(chan error)
	go func() { done <- run(sshd, etc, list) }()
	if _, err := io.WriteString(settings, "passwordauthentication yes\n"); err != nil {
		t.Fatal(err)
	}
	write(t, etc, "shadow", "alice:$y$hash:20000::::::\n")
	_ = settings.Close() // never fails
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(filepath.Join(etc, "shadow")); err != nil || time.Since(info.ModTime()) < quiet {
		t.Errorf("the accounts were read a moment after they changed, %v", err)
	}
	got, err := accounts.Read(list)
	if err != nil || !slices.Equal(got.Accounts, []string{"alice"}) || len(got.Locked) > 0 {
		t.Errorf("the list is %+v, %v, want alice, who has a password", got, err)
	}
}

// write replaces a file, as useradd and passwd do.
func write(t *testing.T, etc, name, text string) {
	t.Helper()
	temporary := filepath.Join(etc, name+"-")
	if err := os.WriteFile(temporary, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(temporary, filepath.Join(etc, name)); err != nil {
		t.Fatal(err)
	}
}
