package main

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"

	"exile/internal/lapi"
)

// Keys are made, listed and removed without the service; it is not started by hand.
func TestCommands(t *testing.T) {
	t.Parallel()
	keys := lapi.Keys{Path: filepath.Join(t.TempDir(), "keys")}
	for _, c := range []struct{ args, want, fails string }{
		{"--version", "exile devel\n", ""},
		{"--help", usage, ""},
		{"list-keys", "", ""},
		{"add-key nginx", "*", ""},
		{"add-key nginx", "", "has a key already"},
		{"list-keys", "nginx\n", ""},
		{"remove-key nginx", "", ""},
		{"remove-key nginx", "", "no key"},
		{"list-keys", "", ""},
		{"add-key", "", "--help"},
		{"add-key a b", "", "--help"},
		{"nosuch", "", "--help"},
		{"list-keys x", "", "--help"},
		{"", "", "systemctl start exile-lapi.socket"},
	} {
		var out bytes.Buffer
		err := run(t.Context(), keys, strings.Fields(c.args), &out)
		if (err != nil) != (c.fails != "") || err != nil && !strings.Contains(err.Error(), c.fails) {
			t.Errorf("%q: %v, want %q", c.args, err, c.fails)
		}
		if got := out.String(); got != c.want && (c.want != "*" || len(got) < 40) {
			t.Errorf("%q says %q, want %q", c.args, got, c.want)
		}
	}
}
