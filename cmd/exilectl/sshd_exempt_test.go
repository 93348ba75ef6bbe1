package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"exile/internal/control"
)

// sshd gets addresses alone: of names what they are now, of files what is in them.
func TestExempt(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "friends")
	if err := os.WriteFile(file, []byte("192.0.2.9 # 192.0.2.66\n2001:db8::/32,198.51.100.7\nnonsense\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	o := &options{}
	got, err := o.exempt([]control.JailStatus{{Protected: []string{"127.0.0.0/8", "::1", "office.example.org (192.0.2.4, 2001:db8::4)", "never.example.org", "file:" + file}}})
	want := []string{"127.0.0.0/8", "::1", "192.0.2.4", "2001:db8::4", "192.0.2.9", "2001:db8::/32", "198.51.100.7"}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%q, %v; want %q", got, err, want)
	}
	for name, jails := range map[string][]control.JailStatus{"no jail": nil, "nobody": {{}}, "no file": {{Protected: []string{"file:/nonexistent"}}}} {
		if got, err := o.exempt(jails); err == nil {
			t.Errorf("%s: %q", name, got)
		}
	}
	o.host = "other"
	if _, err := o.exempt([]control.JailStatus{{Protected: []string{"file:" + file}}}); err == nil || !strings.Contains(err.Error(), "another host") {
		t.Errorf("a file of another host: %v", err)
	}
}
