package main

import (
	"errors"
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
	root, list := t.TempDir(), filepath.Join(t.TempDir(), "list")
	put(t, root, "etc/passwd", passwd)
	put(t, root, "etc/shadow", "alice:!:20000::::::\n")
	put(t, root, "etc/group", "alice:x:1000:\n")
	put(t, root, "etc/ssh/sshd_config", "")
	asked := 0
	sshd := func(string) ([]byte, error) {
		if asked++; asked == 1 {
			put(t, root, "etc/shadow", "alice:$y$hash:20000::::::\n")
		}
		return []byte("passwordauthentication yes\n"), nil
	}
	if doubts, err := run(root, "etc/ssh/sshd_config", sshd, list); err != nil || len(doubts) > 0 {
		t.Fatalf("%v, doubts %q", err, doubts)
	}
	if info, err := os.Stat(filepath.Join(root, "etc/shadow")); err != nil || time.Since(info.ModTime()) < quiet {
		t.Errorf("the accounts were read a moment after they changed, %v", err)
	}
	got, err := accounts.Read(list)
	if err != nil || !slices.Equal(got.Accounts, []string{"alice"}) || len(got.Locked) > 0 {
		t.Errorf("the list is %+v, %v, want alice, who has a password", got, err)
	}
}

// A host without sshd has a list, in which nobody is locked.
func TestNoSSHD(t *testing.T) {
	t.Parallel()
	root, list := t.TempDir(), filepath.Join(t.TempDir(), "list")
	put(t, root, "etc/passwd", passwd)
	put(t, root, "etc/shadow", "alice:!:20000::::::\n")
	doubts, err := run(root, "etc/ssh/sshd_config", func(string) ([]byte, error) { return nil, errors.New("none") }, list)
	if got, err2 := accounts.Read(list); err != nil || err2 != nil || len(doubts) != 1 || len(got.Accounts) != 1 || len(got.Locked) != 0 {
		t.Errorf("%+v, %v, %v, doubts %q", got, err, err2, doubts)
	}
}

// The sshd that we ask has the options of the one that serves, and so the same file.
func TestConfig(t *testing.T) {
	t.Parallel()
	for want, options := range map[string][]string{
		"etc/other": {"-f", "/etc/other"},
		"srv/third": {"-u0", "-f/srv/third"},
	} {
		if got := (&sshd{options: options}).config(); got != want {
			t.Errorf("of %q the file is %q, want %q", options, got, want)
		}
	}
	if _, err := (&sshd{until: time.Now().Add(patience)}).settings("a,host=b"); err == nil {
		t.Error("sshd was asked about a user who says where from")
	}
}

// put replaces a file, as useradd and passwd do.
func put(t *testing.T, root, name, text string) {
	t.Helper()
	path := filepath.Join(root, name)
	for _, err := range []error{
		os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path+"-", []byte(text), 0o600), os.Rename(path+"-", path),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
}
