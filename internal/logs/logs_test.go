package logs

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// serve runs a helper for that user, and returns its socket.
func serve(t *testing.T, user uint32, patterns ...string) string {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "socket")
	l, err := net.ListenUnix("unixpacket", &net.UnixAddr{Name: socket, Net: "unixpacket"})
	if err != nil {
		t.Fatal(err)
	}
	s, done := &Server{User: user, Patterns: func() []string { return patterns }}, make(chan error)
	go func() { done <- s.Serve(l) }()
	t.Cleanup(func() {
		_ = l.Close()
		if err := <-done; !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
	})
	return socket
}

func own() uint32 { return uint32(os.Geteuid()) }

// tree makes the files that the tests ask for, and returns its folder, which no link leads to.
func tree(t *testing.T) string {
	t.Helper()
	root, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for dir := root; dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	in := func(name string) string { return filepath.Join(root, name) }
	for _, err := range []error{
		os.Mkdir(in("web"), 0o755), os.Mkdir(in("web/folder.log"), 0o755), os.Mkdir(in("other"), 0o755),
		os.WriteFile(in("web/a.log"), []byte("line\n"), 0o600), os.WriteFile(in("web/a.log.1"), []byte("older\n"), 0o600),
		os.WriteFile(in("web/hidden"), []byte("secret\n"), 0o600), os.WriteFile(in("other/b.log"), []byte("other\n"), 0o600),
		os.WriteFile(in("secret"), []byte("secret\n"), 0o600),
		os.Link(in("secret"), in("web/hard.log")), os.Symlink(in("secret"), in("web/link.log")), os.Symlink("web", in("way")),
		unix.Mkfifo(in("web/fifo.log"), 0o600),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// TestRefused: the helper opens the logs that the patterns match and what they were rotated to, lists their folders, and refuses the rest.
func TestRefused(t *testing.T) {
	t.Parallel()
	root := tree(t)
	socket := serve(t, own(),
		root+"/web/*.log", root+"/way/*.log", "/dev/null", root+"/nowhere/c.log", root+"/secret/x/c.log", "/exile-no-such.log")
	for name, c := range map[string]struct {
		path string
		want unix.Errno
	}{
		"a log":                {root + "/web/a.log", 0},
		"a rotated log":        {root + "/web/a.log.1", 0},
		"its folder":           {root + "/web", 0},
		"a log to come":        {root + "/web/c.log", unix.ENOENT},
		"a folder to come":     {root + "/nowhere", unix.ENOENT},
		"another file":         {root + "/web/hidden", unix.EACCES},
		"another folder's":     {root + "/other/b.log", unix.EACCES},
		"another folder":       {root + "/other", unix.EACCES},
		"the folder above":     {root, unix.EACCES},
		"the passwords":        {"/etc/shadow", unix.EACCES},
		"what is not there":    {"/etc/nowhere", unix.EACCES},
		"the way up":           {root + "/web/../secret", unix.EACCES},
		"the way up to a log":  {root + "/web/../web/a.log", unix.EACCES},
		"not clean":            {root + "/web//a.log", unix.EACCES},
		"a slash behind":       {root + "/web/", unix.EACCES},
		"relative":             {"web/a.log", unix.EACCES},
		"a NUL":                {root + "/web/a.log\x00.log", unix.EACCES},
		"too long":             {root + "/web/" + strings.Repeat("a", unix.PathMax) + ".log", unix.EACCES},
		"long":                 {root + "/web/" + strings.Repeat("a", 300) + ".log", unix.ENAMETOOLONG},
		"a link":               {root + "/web/link.log", unix.ELOOP},
		"a link to the folder": {root + "/way/a.log", unix.ELOOP},
		"a link as the folder": {root + "/way", unix.ELOOP},
		"a hard link":          {root + "/web/hard.log", unix.EACCES},
		"a log as a folder":    {root + "/web/a.log/x.log", unix.EACCES},
		"a file as a folder":   {root + "/secret/x/c.log", unix.ENOTDIR},
		"the root":             {"/", 0},
		"a log in the root":    {"/exile-no-such.log", unix.ENOENT},
		"a FIFO":               {root + "/web/fifo.log", unix.EACCES},
		"a device":             {"/dev/null", unix.EACCES},
		"a folder like a log":  {root + "/web/folder.log", unix.EACCES},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, errno, err := Client{socket}.ask(c.path)
			if errno != c.want || (f != nil) != (c.want == 0) || err != nil {
				t.Errorf("%q: %v, %v, %v, want %v", c.path, f, errno, err, c.want)
			}
			if f != nil {
				_ = f.Close()
			}
		})
	}
	if _, _, err := (Client{socket}).ask(""); err == nil { // nothing is no packet
		t.Error("an empty question has an answer")
	}
}

// TestSheltered: of a folder that only the one above it protects no descriptor is passed, and no file that a user may have linked to.
func TestSheltered(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED, NOTHING WAS TESTED: only root can give files away")
	}
	root := tree(t)
	in := func(name string) string { return filepath.Join(root, name) }
	for _, err := range []error{
		os.MkdirAll(in("closed/site"), 0o755), os.WriteFile(in("closed/site/a.log"), nil, 0o644), os.Chmod(in("closed"), 0o700),
		os.Mkdir(in("his"), 0o755), os.Chown(in("his"), 1234, 1234), os.WriteFile(in("his/root.log"), nil, 0o600),
		os.WriteFile(in("his/own.log"), nil, 0o600), os.Chown(in("his/own.log"), 1234, 1234),
		os.WriteFile(in("web/service.log"), nil, 0o600), os.Chown(in("web/service.log"), 33, 4),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	socket := serve(t, own(), root+"/closed/*/*.log", root+"/his/*.log", root+"/web/*.log")
	for name, want := range map[string]unix.Errno{
		"closed/site": unix.EACCES, "closed/site/a.log": 0, "closed": 0,
		"his": 0, "his/root.log": unix.EACCES, "his/own.log": 0, "web/service.log": 0,
	} {
		f, errno, err := Client{socket}.ask(in(name))
		if errno != want || err != nil {
			t.Errorf("%s: %v, %v, want %v", name, errno, err, want)
		}
		if f != nil {
			_ = f.Close()
		}
	}
}

// TestRead: the descriptor reads the log and cannot write to it; that of a folder lists it.
func TestRead(t *testing.T) {
	t.Parallel()
	root := tree(t)
	c := Client{serve(t, own(), root+"/web/*.log")}
	f, _, err := c.ask(root + "/web/a.log")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if text, err := io.ReadAll(f); err != nil || string(text) != "line\n" {
		t.Errorf("read %q, %v", text, err)
	}
	if _, err := f.WriteString("x"); !errors.Is(err, unix.EBADF) {
		t.Errorf("it was written to: %v", err)
	}
	folder, _, err := c.ask(root + "/web")
	if err != nil {
		t.Fatal(err)
	}
	defer folder.Close()
	if names, err := folder.Readdirnames(-1); err != nil || !slices.Contains(names, "a.log") {
		t.Errorf("the folder holds %q, %v", names, err)
	}
}

// TestNoHelper: what this process may open it opens; and without a helper, or with one that is not for it, there is the error that there is
// without any.
func TestNoHelper(t *testing.T) {
	t.Parallel()
	root := tree(t)
	f, err := Client{"/nowhere/socket"}.Open(root + "/web/a.log")
	if err != nil {
		t.Fatal(err)
	}
	_ = f.Close()
	if _, err := (Client{"/nowhere/socket"}).Open(root + "/nowhere"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("what is not there: %v", err)
	}
	if _, _, err := (Client{serve(t, own()+1, root+"/web/*.log")}).ask(root + "/web/a.log"); err == nil {
		t.Error("another user has an answer")
	}
	if _, _, err := (Client{silent(t)}).ask(root); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a helper that hangs up: %v", err)
	}
}

// silent is the socket of a helper that hangs up.
func silent(t *testing.T) string {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "socket")
	l, err := net.ListenUnix("unixpacket", &net.UnixAddr{Name: socket, Net: "unixpacket"})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if conn, err := l.Accept(); err == nil {
			_ = conn.Close()
		}
	}()
	t.Cleanup(func() { _ = l.Close(); <-done })
	return socket
}

// TestAsNobody: a user without rights reads by way of the helper what root may read and the patterns match. The descriptor of a folder
// lists it, and opens nothing in it or beside it that the user may not open.
func TestAsNobody(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED, NOTHING WAS TESTED: only root can be somebody else")
	}
	const nobody = 65534
	root := tree(t)
	for _, err := range []error{os.Chmod(root+"/web", 0o700), os.WriteFile(root+"/web/open", nil, 0o644)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	socket := serve(t, nobody, root+"/web/*.log")
	reachable(t, socket, nobody)
	failed := make(chan error, 1)
	go func() { failed <- as(nobody, func() error { return nobodyReads(Client{socket}, root) }) }()
	if err := <-failed; err != nil {
		t.Error(err)
	}
}

// reachable lets a user connect to a socket in a test's folder.
func reachable(t *testing.T, socket string, user int) {
	t.Helper()
	if err := os.Chown(socket, user, user); err != nil {
		t.Fatal(err)
	}
	for dir := filepath.Dir(socket); dir != os.TempDir() && dir != "/"; dir = path.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
}

// as runs a function on a thread of that user, which ends with the goroutine.
func as(user uintptr, do func() error) error {
	runtime.LockOSThread()
	for call, arguments := range map[uintptr][3]uintptr{unix.SYS_SETGROUPS: {}, unix.SYS_SETRESGID: {user, user, user}} {
		if _, _, errno := unix.RawSyscall(call, arguments[0], arguments[1], arguments[2]); errno != 0 {
			return errno
		}
	}
	if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, user, user, user); errno != 0 {
		return errno
	}
	return do()
}

func nobodyReads(c Client, root string) error {
	if _, err := os.Open(root + "/web/a.log"); !errors.Is(err, fs.ErrPermission) {
		return errors.Join(errors.New("nothing is tested: nobody may open the log"), err)
	}
	f, err := c.Open(root + "/web/a.log")
	if err != nil {
		return err
	}
	_ = f.Close()
	if _, err := c.Open(root + "/web/c.log"); !errors.Is(err, fs.ErrNotExist) {
		return errors.Join(errors.New("a log that is not there"), err)
	}
	if _, err := c.Open(root + "/web/hidden"); !errors.Is(err, fs.ErrPermission) {
		return errors.Join(errors.New("another file"), err)
	}
	folder, err := c.Open(root + "/web")
	if err != nil {
		return err
	}
	defer folder.Close()
	if names, err := folder.Readdirnames(-1); err != nil || len(names) < 5 {
		return errors.Join(errors.New("the folder is not listed"), err)
	}
	for _, name := range []string{"a.log", "open", "..", "../other/b.log"} {
		if _, err := unix.Openat(int(folder.Fd()), name, unix.O_RDONLY|unix.O_CLOEXEC, 0); !errors.Is(err, unix.EACCES) {
			return errors.Join(errors.New("the folder's descriptor opens "+name), err)
		}
	}
	if err := unix.Fchdir(int(folder.Fd())); !errors.Is(err, unix.EACCES) {
		return errors.Join(errors.New("it is entered"), err)
	}
	return nil
}

// TestBusy: questions that never come hold up the others no longer than there is patience for one.
func TestBusy(t *testing.T) {
	t.Parallel()
	root := tree(t)
	socket := serve(t, own(), root+"/web/*.log")
	for range maxQuestions - 1 {
		conn, err := net.Dial("unixpacket", socket)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
	}
	f, errno, err := Client{socket}.ask(root + "/web/a.log")
	if f == nil {
		t.Fatalf("no answer: %v, %v", errno, err)
	}
	_ = f.Close()
}

// FuzzParse: what is taken for a path is absolute, clean, and what a kernel would look up.
func FuzzParse(f *testing.F) {
	for _, text := range []string{"", "/", "/a", "a", "/a/../b", "/a//b", "/a/", "/a\x00b", "/..", "/.", "//", "/\xff"} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, packet []byte) {
		name, ok := parse(packet)
		if ok && (name[0] != '/' || path.Clean(name) != name || !bytes.Equal(packet, []byte(name)) || len(name) >= unix.PathMax ||
			strings.Contains(name+"/", "/../") || strings.ContainsRune(name, 0)) {
			t.Errorf("%q is taken for the path %q", packet, name)
		}
	})
}

// TestPatience: a question that does not come ends with the patience.
func TestPatience(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("it takes as long as the helper's patience")
	}
	conn, err := net.Dial("unixpacket", serve(t, own(), "/nowhere"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetReadDeadline(time.Now().Add(10 * patience))
	if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("the helper waits: %v", err)
	}
}
