package accounts

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const (
	passwd = `root:x:0:0:root:/root:/bin/bash
daemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin
alice:x:1000:1000:Alice,,,:/home/alice:/bin/bash
bob:x:1001:1001::/home/bob:/bin/zsh
backup:*:34:34:backup:/var/backups:/bin/sh
ftp:x:99:99::/srv/ftp:/bin/false
+@nis::::::
broken:x:1
:x:1:1:::/bin/sh
`
	shadow = `root:$y$j9T$salt$hash:19000:0:99999:7:::
alice:$6$salt$hash:19000:0:99999:7:::
bob:!$6$salt$hash:19000:0:99999:7:::
ghost:!:1::::::
broken
`
	permissive = "port 22\npermitrootlogin yes\npasswordauthentication yes\nkbdinteractiveauthentication no\n"
)

func TestGather(t *testing.T) {
	t.Parallel()
	every := []string{"alice", "backup", "bob", "daemon", "ftp", "root"}
	for _, c := range []struct {
		name, shadow, sshd string
		locked             []string
	}{
		{"all is allowed", shadow, permissive, []string{"backup", "bob", "daemon", "ftp"}},
		{"nothing else is known", "", "", []string{"backup", "daemon", "ftp"}},
		{"root by key", shadow, "permitrootlogin without-password\n", []string{"backup", "bob", "daemon", "ftp", "root"}},
		{"no root", shadow, "permitrootlogin no\n", []string{"backup", "bob", "daemon", "ftp", "root"}},
		{"a dialog may ask for a password", "", "passwordauthentication no\nkbdinteractiveauthentication yes\n", []string{"backup", "daemon", "ftp"}},
		{"keys only", "", "passwordauthentication no\nkbdinteractiveauthentication no\n", every},
		{"keys only, an older sshd", "", "passwordauthentication no\nchallengeresponseauthentication no\n", every},
		{"AllowUsers", "", "allowusers al?ce\nallowusers b*b@192.0.2.0/24\n", []string{"backup", "daemon", "ftp", "root"}},
		{"DenyUsers", "", "denyusers roo* !alice bob@192.0.2.1\n", []string{"backup", "daemon", "ftp", "root"}},
		{"no root but from home", shadow, "permitrootlogin no\n--\nMatch Address 10.0.0.0/8\n\tPermitRootLogin = yes\n", []string{"backup", "bob", "daemon", "ftp"}},
		{"somebody may have a password", "", "passwordauthentication no\nkbdinteractiveauthentication no\n--\nmatch user bob\n PasswordAuthentication \"yes\"\n", []string{"backup", "daemon", "ftp"}},
		{"somebody may not", "", "passwordauthentication no\nkbdinteractiveauthentication no\n--\nMatch User bob\nPasswordAuthentication no\n", every},
		{"before the blocks", "", "passwordauthentication no\nkbdinteractiveauthentication no\n--\nPasswordAuthentication yes\n#Match all\n", every},
		{"other users are allowed from elsewhere", "", "allowusers alice\n--\nMatch Address ::1\nAllowUsers bob\n", []string{"backup", "daemon", "ftp"}},
		{"no pattern of ours", "", "allowusers [a-z]*\n", every},
	} {
		sshd, config, _ := strings.Cut(c.sshd, "--\n")
		got, err := Gather(Sources{strings.NewReader(passwd), strings.NewReader(c.shadow), strings.NewReader(sshd), strings.NewReader(config)})
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		if diff := cmp.Diff(List{version, every, c.locked}, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
}

// No hash and nothing of a comment gets into the list.
func TestNoSecrets(t *testing.T) {
	t.Parallel()
	l, err := Gather(Sources{Passwd: strings.NewReader(passwd), Shadow: strings.NewReader(shadow)})
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(l)
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{"$", "hash", "salt", "Alice", "/home", "ghost"} {
		if strings.Contains(string(text), secret) {
			t.Errorf("the list tells %q: %s", secret, text)
		}
	}
}

func TestManyAccounts(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	for i := range 2 * MaxNames {
		fmt.Fprintf(&b, "user%d:x:1:1:::/bin/false\n", i)
	}
	l, err := Gather(Sources{Passwd: strings.NewReader(b.String())})
	if err != nil || len(l.Accounts) != MaxNames || len(l.Locked) != MaxNames {
		t.Fatalf("%d accounts, %d locked, %v; want %d", len(l.Accounts), len(l.Locked), err, MaxNames)
	}
	if _, err := Gather(Sources{Passwd: strings.NewReader(strings.Repeat("x", 1<<20))}); err == nil {
		t.Error("an endless line was taken")
	}
}

func TestWriteRead(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "accounts.json")
	if _, err := Read(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing file: %v", err)
	}
	for _, want := range []List{
		{version, []string{"alice", "root"}, []string{"root"}},
		{version, []string{}, []string{}},
	} {
		if err := want.Write(path); err != nil {
			t.Fatal(err)
		}
		got, err := Read(path)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%v (-wrote +read):\n%s", err, diff)
		}
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o640 {
		t.Errorf("mode %v, %v; want 0640", info.Mode(), err)
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(path), ".*")); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
	if err := (List{}).Write(filepath.Join(path, "x")); err == nil {
		t.Error("a file was taken for a directory")
	}
}

func TestReadRefuses(t *testing.T) {
	t.Parallel()
	long, _ := json.Marshal(List{Version: version, Accounts: make([]string, MaxNames+1)})
	for _, text := range []string{
		"", "{}", "[]", `{"version":2}`, `{"version":1,"accounts":["a\nb"]}`, `{"version":1,"locked":[""]}`,
		`{"version":1,"locked":["` + strings.Repeat("x", maxName+1) + `"]}`, `{"version":1}{}`, string(long), strings.Repeat(" ", maxFile+1),
	} {
		if l, err := decode(strings.NewReader(text)); err == nil {
			t.Errorf("%.40q was taken for %v", text, l)
		}
	}
}

// All that an sshd_config includes is looked at, each file once even where they include each other, and nothing else.
func TestSSHDConfig(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"sshd_config":     "Include sshd.d/*.conf \"" + dir + "/more\"\nPort 22\n",
		"sshd.d/10.conf":  "include /nonexistent [ sshd.d/20.conf\nMatch User bob",
		"sshd.d/20.conf":  "AllowUsers bob\n",
		"sshd.d/30.other": "not read",
		"more":            "Include=sshd_config\n",
	} {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	text, err := io.ReadAll(SSHDConfig(filepath.Join(dir, "sshd_config")))
	if err != nil {
		t.Fatal(err)
	}
	for want, n := range map[string]int{"Port 22": 1, "Match User bob": 1, "AllowUsers bob": 1, "not read": 0} {
		if got := strings.Count(string(text), want); got != n {
			t.Errorf("%q is there %d times, want %d", want, got, n)
		}
	}
	if text, err := io.ReadAll(SSHDConfig(filepath.Join(dir, "none"))); err != nil || len(text) > 0 {
		t.Errorf("without a file: %q, %v", text, err)
	}
}

func FuzzGather(f *testing.F) {
	f.Add(passwd, shadow, permissive, "")
	f.Add("a:x:1:1:::/bin/sh\n", "a:!:\n", "allowusers [ \\ !* *@*\ndenyusers \\\n", "match all\npermitrootlogin=yes")
	f.Fuzz(func(t *testing.T, passwd, shadow, sshd, config string) {
		l, err := Gather(Sources{strings.NewReader(passwd), strings.NewReader(shadow), strings.NewReader(sshd), strings.NewReader(config)})
		if err != nil {
			return
		}
		text, err := json.Marshal(l)
		if err != nil {
			t.Fatal(err)
		}
		again, err := decode(strings.NewReader(string(text)))
		if diff := cmp.Diff(l, again); err != nil || diff != "" {
			t.Errorf("%v (-wrote +read):\n%s", err, diff)
		}
	})
}
