package fail2ban

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"
)

// locked is a file system with a folder or a file that may not be read.
type locked struct {
	fstest.MapFS
	name string
}

func (l locked) refuse(name string) error {
	if name == l.name {
		return &fs.PathError{Op: "open", Path: name, Err: fs.ErrPermission}
	}
	return nil
}

func (l locked) ReadDir(name string) ([]fs.DirEntry, error) {
	if err := l.refuse(name); err != nil {
		return nil, err
	}
	return l.MapFS.ReadDir(name)
}

func (l locked) Stat(name string) (fs.FileInfo, error) {
	if err := l.refuse(name); err != nil {
		return nil, err
	}
	return l.MapFS.Stat(name)
}

// What may not be read is not passed over.
func TestReadLocked(t *testing.T) {
	t.Parallel()
	files := fstest.MapFS{"f/jail.conf": {}, "f/jail.d/a.conf": {}, "f/fail2ban.d/a.conf": {}, "f/fail2ban.local": {}}
	for _, name := range []string{"f/jail.conf", "f/jail.d", "f/jail.d/a.conf", "f/fail2ban.d", "f/fail2ban.local"} {
		if _, err := Read(locked{files, name}, "f"); !errors.Is(err, fs.ErrPermission) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The report ends, and says how much more there is.
func TestMoveNotes(t *testing.T) {
	t.Parallel()
	const more = 500
	for name, text := range map[string]string{
		"lines":    strings.Repeat("x\n", maxNotes+more),
		"keys":     "[vsftpd]\nenabled = true\n" + keys(maxNotes+more-1), // one more note says that the jail was moved
		"defaults": "[DEFAULT]\n" + keys(maxNotes+more),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := mustMove(t, fstest.MapFS{"etc/fail2ban/jail.local": {Data: []byte(text)}}, false)
			last := r.Notes[len(r.Notes)-1]
			if want := fmt.Sprintf("and %d more notes, which are not shown", more+1); len(r.Notes) != maxNotes+1 || last.Text != want {
				t.Errorf("%d notes, the last %q, want %q", len(r.Notes), last.Text, want)
			}
		})
	}
}

func keys(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "key%d = x\n", i)
	}
	return b.String()
}

// No more jails are moved than exile has room for, no more are tried than twice as many, and each is accounted for.
func TestMoveJails(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		defaults               string
		moved, invalid, beyond int
	}{
		"valid":   {"", maxJails, 0, maxSections - maxJails},
		"invalid": {"[DEFAULT]\nmaxretry = 5000\n", 0, maxTried, maxSections - maxTried},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := mustMove(t, fstest.MapFS{"etc/fail2ban/jail.local": {Data: append([]byte(test.defaults), sectionsOf(maxSections)...)}}, false)
			var moved, invalid, beyond int
			for _, j := range r.Jails {
				switch {
				case j.Action == Mapped:
					moved++
				case j.Reason == "these are more than 250 jails":
					beyond++
				default:
					invalid++
				}
			}
			if moved != test.moved || invalid != test.invalid || beyond != test.beyond {
				t.Errorf("%d moved, %d not valid, %d beyond", moved, invalid, beyond)
			}
		})
	}
}

// A filter for which lines are hard to find ends.
func TestTranslateLong(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	b.WriteString("[Definition]\nfailregex = ^ <HOST> \\w{100}\n")
	for i := range maxLines - 1 {
		fmt.Fprintf(&b, "  ^ <HOST> \\w{1000}\\w{%d}\n", i+1)
	}
	r := mustMove(t, fstest.MapFS{
		"etc/fail2ban/jail.local":         {Data: []byte("[long]\nenabled = true\nlogpath = /var/log/long.log\n")},
		"etc/fail2ban/filter.d/long.conf": {Data: []byte(b.String())},
	}, false)
	if got := r.Jails[0]; got.Action != Refused || !strings.Contains(got.Reason, "takes too long") {
		t.Errorf("%+v", got)
	}
}
