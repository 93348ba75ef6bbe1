package accounts

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
)

// TestGather: each file of testdata/hosts is a host that differs from a Debian in the files it has. It names who cannot log
// in with a password, who may, and which doubts there are.
func TestGather(t *testing.T) {
	t.Parallel()
	hosts, err := filepath.Glob("testdata/hosts/*.txtar")
	if err != nil || len(hosts) < 40 {
		t.Fatalf("%d hosts, %v", len(hosts), err)
	}
	for _, name := range hosts {
		h, files := hostOf(t, name)
		words := func(name string) []string { return strings.Fields(string(files[name])) }
		every := slices.Sorted(slices.Values(slices.Concat(words("no"), words("may"))))
		got, doubts, err := h.Gather()
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(List{version, every, append([]string{}, words("no")...), startups(files["startups"])}, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		want := strings.TrimSpace(string(files["doubt"]))
		if all := strings.Join(doubts, "\n"); !strings.Contains(all, want) || want == "" && all != "" {
			t.Errorf("%s: doubts are %q, want %q", name, all, want)
		}
	}
}

// startups is what a host's file of that name says: ports, and the three numbers; nothing where sshd does not tell.
func startups(text []byte) (s Startups) {
	if words := strings.Fields(string(text)); len(words) > 3 {
		_, _ = fmt.Sscan(strings.Join(words[:3], " "), &s.Begin, &s.Full, &s.Grace)
		for _, word := range words[3:] {
			port, _ := strconv.ParseUint(word, 10, 16)
			s.Ports = append(s.Ports, uint16(port))
		}
	}
	return s
}

// hostOf is the host that a file of testdata/hosts describes, and that file.
func hostOf(t testing.TB, name string) (Host, map[string][]byte) {
	t.Helper()
	root, files := fstest.MapFS{}, make(map[string][]byte)
	for _, archive := range []string{"testdata/debian.txtar", name} {
		a, err := txtar.ParseFile(archive)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range a.Files {
			files[f.Name] = f.Data
			if strings.Contains(f.Name, "/") {
				root[f.Name] = &fstest.MapFile{Data: f.Data}
			}
		}
	}
	return Host{root, "etc/ssh/sshd_config", answers(files), time.Unix(20000*24*60*60, 0)}, files
}

// answers are what sshd says: of a user what the file "sshd.USER" holds, of everybody what "sshd" does.
func answers(files map[string][]byte) func(string) ([]byte, error) {
	return func(user string) ([]byte, error) {
		text, ok := files[strings.TrimSuffix("sshd."+user, ".")]
		if !ok {
			return nil, fs.ErrNotExist
		}
		return text, nil
	}
}

// No hash and nothing of a comment gets into the list, nor into the doubts.
func TestNoSecrets(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"shadow", "pam-broken", "no-sshd"} {
		h, _ := hostOf(t, "testdata/hosts/"+name+".txtar")
		l, doubts, err := h.Gather()
		if err != nil {
			t.Fatal(err)
		}
		text, err := json.Marshal(l)
		if err != nil {
			t.Fatal(err)
		}
		for _, secret := range []string{"$", "salt", "Alice", "/home", "ghost"} {
			if strings.Contains(string(text)+strings.Join(doubts, "\n"), secret) {
				t.Errorf("%s: the list tells %q: %s, %q", name, secret, text, doubts)
			}
		}
	}
}

// Without the files there is no list: an empty one would say that nobody is here.
func TestUnread(t *testing.T) {
	t.Parallel()
	for _, missing := range []string{"etc/passwd", "etc/shadow"} {
		h, _ := hostOf(t, "testdata/hosts/debian.txtar")
		delete(h.Root.(fstest.MapFS), missing)
		if l, _, err := h.Gather(); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "/"+missing) {
			t.Errorf("without /%s: %v, %v", missing, l, err)
		}
	}
}

func TestManyAccounts(t *testing.T) {
	t.Parallel()
	h, _ := hostOf(t, "testdata/hosts/match-user.txtar")
	var passwd, shadow strings.Builder
	for i := range 2 * MaxNames {
		fmt.Fprintf(&passwd, "user%d:x:1:1:::/bin/false\n", i)
		fmt.Fprintf(&shadow, "user%d:%s:1::::::\n", i, []string{"!", "$6$"}[i%2])
	}
	root := h.Root.(fstest.MapFS)
	root["etc/passwd"], root["etc/shadow"] = &fstest.MapFile{Data: []byte(passwd.String())}, &fstest.MapFile{Data: []byte(shadow.String())}
	asked, sshd := 0, h.SSHD
	h.SSHD = func(user string) ([]byte, error) { asked++; return sshd("") }
	l, _, err := h.Gather()
	if want := MaxNames/2 + MaxAsked; err != nil || len(l.Accounts) != MaxNames || len(l.Locked) != want || asked != MaxAsked+1 {
		t.Fatalf("%d accounts, %d locked, asked %d times, %v; want %d, %d", len(l.Accounts), len(l.Locked), asked, err, MaxNames, want)
	}
	root["etc/passwd"] = &fstest.MapFile{Data: []byte(strings.Repeat("x", 2*maxLine))}
	if _, _, err := h.Gather(); err == nil {
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
		{version, []string{"alice", "root"}, []string{"root"}, Startups{[]uint16{22}, 10, 100, 120}},
		{version, []string{}, []string{}, Startups{}},
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

// FuzzGather: whatever the files and sshd say, a list comes out that can be read, and nobody is locked who is no account
// or of whom sshd says nothing.
func FuzzGather(f *testing.F) {
	hosts, _ := filepath.Glob("testdata/hosts/*.txtar") // TestGather sees that they are there
	for _, name := range hosts {
		h, files := hostOf(f, name)
		text := func(name string) string { data, _ := fs.ReadFile(h.Root, name); return string(data) }
		f.Add(text("etc/passwd"), text("etc/shadow"), string(files["sshd"]), text("etc/ssh/sshd_config"), text("etc/pam.d/common-auth"), text("etc/nsswitch.conf"))
	}
	f.Add("a:x:1:1:::/bin/sh\n", "a:!:\n", "passwordauthentication no\nallowusers [ \\ !* *@*\ndenyusers \\\n", "match all\npermitrootlogin=yes\nmatch \"", "auth [ok=1", "group:[")
	f.Fuzz(func(t *testing.T, passwd, shadow, sshd, config, pam, names string) {
		h := Host{fstest.MapFS{}, "etc/ssh/sshd_config", func(string) ([]byte, error) { return []byte(sshd), nil }, time.Now()}
		for name, text := range map[string]string{
			"etc/passwd": passwd, "etc/shadow": shadow, "etc/group": passwd, "etc/ssh/sshd_config": config,
			"etc/pam.d/sshd": "@include common-auth\n" + pam, "etc/pam.d/common-auth": pam, "etc/pam.d/other": pam, "etc/nsswitch.conf": names,
		} {
			h.Root.(fstest.MapFS)[name] = &fstest.MapFile{Data: []byte(text)}
		}
		l, doubts, err := h.Gather()
		if err != nil {
			return
		}
		if strings.ContainsFunc(strings.Join(doubts, ""), func(r rune) bool { return r < ' ' }) {
			t.Errorf("doubts hold what a terminal obeys: %q", doubts)
		}
		if !strings.Contains(strings.ToLower(sshd), "passwordauthentication") && len(l.Locked) > 0 {
			t.Errorf("sshd says nothing, and locked are %q", l.Locked)
		}
		for _, name := range l.Locked {
			if !slices.Contains(l.Accounts, name) {
				t.Errorf("%q is locked and no account", name)
			}
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
