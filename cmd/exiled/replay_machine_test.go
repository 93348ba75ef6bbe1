package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const containerID = "0123456789abcdef0123456789abcdef"

// TestMachineDirs: the journal of a container is found by what systemd-machined knows of it, and nothing in the container leads out of it.
func TestMachineDirs(t *testing.T) {
	t.Parallel()
	const state, leader, root = "run/systemd/machines/web", "# This is private data.\nNAME=web\nLEADER=4711\n", "proc/4711/root/"
	const volatile, persistent = root + "run/log/journal/" + containerID + "/", root + "var/log/journal/" + containerID + "/"
	for _, c := range []struct {
		name    string
		machine string
		files   map[string]string // their text; of links, behind "->", where they lead; DIR stands for the host's root
		want    []string          // folders below the host's root
		fails   string
	}{
		{"both journals", "web", map[string]string{
			state: leader, root + "etc/machine-id": containerID + "\n", volatile + "system.journal": "", persistent + "system.journal": "",
		}, []string{persistent, volatile}, ""},
		{"only a volatile one", "web", map[string]string{
			state: leader, root + "etc/machine-id": containerID + "\n", volatile + "system.journal": "",
		}, []string{volatile}, ""},
		{"none", "web", map[string]string{state: leader, root + "etc/machine-id": containerID + "\n"}, nil, "has no journal"},
		{"a link in the container is one of the container", "web", map[string]string{
			state: leader, root + "etc/machine-id": "->/usr/id", root + "usr/id": containerID, root + "var/log/journal": "->/srv/logs",
			root + "srv/logs/" + containerID + "/system.journal": "",
		}, []string{root + "srv/logs/" + containerID}, ""},
		{"a link to the host", "web", map[string]string{
			state: leader, root + "etc/machine-id": containerID, root + "var/log/journal": "->DIR/var/log/journal",
			"var/log/journal/" + containerID + "/system.journal": "",
		}, nil, "has no journal"},
		{"a link up to the host", "web", map[string]string{
			state: leader, root + "etc/machine-id": "->../../../../etc/machine-id", "etc/machine-id": containerID,
			"var/log/journal/" + containerID + "/system.journal": "",
		}, nil, "etc/machine-id"},
		{"an ID that is a path", "web", map[string]string{state: leader, root + "etc/machine-id": "../../.."}, nil, "etc/machine-id"},
		{"no ID", "web", map[string]string{state: leader, root + "etc/hostname": "web"}, nil, "etc/machine-id"},
		{"it has just ended", "web", map[string]string{state: leader}, nil, "proc/4711/root"},
		{"no leader", "web", map[string]string{state: "NAME=web\n"}, nil, "has no leader"},
		{"a leader that is a path", "web", map[string]string{state: "LEADER=../../etc\n"}, nil, "has no leader"},
		{"no such container", "db", map[string]string{state: leader}, nil, "no running container"},
		{"a path", "../machines/web", map[string]string{state: leader}, nil, "is no name of a container"},
		{"a folder", ".", map[string]string{state: leader}, nil, "is no name of a container"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			host := t.TempDir()
			for path, text := range c.files {
				put(t, filepath.Join(host, path), strings.ReplaceAll(text, "DIR", host))
			}
			dirs, err := machineDirs(host, c.machine)
			if c.fails != "" {
				if err == nil || !strings.Contains(err.Error(), c.fails) {
					t.Fatalf("%v, %v; want an error with %q", dirs, err, c.fails)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var got, want []string
			for _, d := range dirs {
				to, err := os.Readlink(d)
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, to)
			}
			for _, d := range c.want {
				want = append(want, filepath.Join(host, d))
			}
			if !slices.Equal(got, want) {
				t.Errorf("%v, want %v", got, want)
			}
		})
	}
}

// put writes a file, or makes a link, and the folders around it.
func put(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	var err error
	if to, is := strings.CutPrefix(text, "->"); is {
		err = os.Symlink(to, path)
	} else {
		err = os.WriteFile(path, []byte(text), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}
