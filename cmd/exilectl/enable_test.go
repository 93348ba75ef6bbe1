package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"exile/internal/config"
	"exile/jail/filter/services"
)

// TestSwitchRefuses: what is no jail, or has a drop-in of its owner's, stays as it is.
func TestSwitchRefuses(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	folder := filepath.Join(root, "etc/exile/exile.yaml.d")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	own := "jails: {vsftpd: {enabled: true, maxretry: 2}}\n"
	if err := os.WriteFile(filepath.Join(folder, "50-vsftpd.yaml"), []byte(own), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		on   bool
		says string
	}{
		{"../../evil", true, "is no name for a jail"},
		{"a: {enabled: true}\n  b", true, "is no name for a jail"},
		{"", true, "is no name for a jail"},
		{"vsfptd", false, "there is no such jail"},
		{"mariadb", true, "MariaDB writes the name that a client gives"},
		{"mariadb", true, "write jails: {mariadb: {framable: accepted}} in a drop-in"},
		{"vsftpd", false, "says more than enable and disable do"},
	} {
		err := new(options).switchJail(t.Context(), config.Sources{Root: root}, c.name, c.on)
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%q: %v, want %s", c.name, err, c.says)
		}
	}
	files, err := filepath.Glob(root + "/etc/exile/*/*")
	if err != nil || len(files) != 1 {
		t.Errorf("there are %q, %v", files, err)
	}
	if text, err := os.ReadFile(files[0]); err != nil || string(text) != own {
		t.Errorf("the drop-in is %q, %v", text, err)
	}
}

// TestFilterDraft: the draft of a filter is the one that a jail reads with.
func TestFilterDraft(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	own := filepath.Join(root, "usr/lib/exile/filters.d")
	if err := errors.Join(os.MkdirAll(own, 0o755), os.MkdirAll(filepath.Join(root, "etc/exile"), 0o755),
		os.WriteFile(filepath.Join(own, "app.yaml"), []byte("description: another\n"), 0o600)); err != nil {
		t.Fatal(err)
	}
	shipped, err := services.Shipped("vsftpd")
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"vsftpd": string(shipped), "app": "description: another\n"} {
		d, err := filterDraft(config.Sources{Root: root}, name)
		if err != nil || d.first != want || d.file != filepath.Join(root, "etc/exile/filters.d", name+".yaml") {
			t.Errorf("%s: %+v, %v", name, d, err)
		}
	}
}
