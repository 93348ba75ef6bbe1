package config

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestPassedOver: what somebody may believe to be read is listed, with why it is not.
func TestPassedOver(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	for _, name := range []string{
		"/etc/exile/exile.yml", "/etc/exile/jail.local", "/etc/exile/exile.yaml~", "/etc/exile/friends", "/etc/exile/bin/ask", "/etc/exile/exile.d/10.yaml",
		"/etc/exile/exile.yaml.d/10.yml", "/etc/exile/exile.yaml.d/.20.yaml.swp", "/etc/exile/exile.yaml.d/20.yaml~",
		"/etc/exile/exile.yaml.d/30.yaml", "/run/exile/org.exile1", "/run/exile/exile.yaml.d/30.yaml", "/usr/lib/exile/exiled",
		"/usr/lib/exile/exile.yaml", "/usr/lib/exile/exile.yaml.d/40.yaml",
	} {
		write(t, root, name, "")
	}
	write(t, root, "/etc/exile/exile.yaml", "ignoreip: file:"+root+"/etc/exile/friends\nignorecommand: "+root+"/etc/exile/bin/ask <ip>\n")
	from := Sources{Root: root}
	c, err := Load(from)
	if err != nil {
		t.Fatal(err)
	}
	below := func(path string) string { return strings.TrimPrefix(path, root) }
	var files, passed []string
	for _, path := range c.Files() {
		files = append(files, below(path))
	}
	for _, p := range c.PassedOver(from) {
		passed = append(passed, below(p.Path)+": "+strings.ReplaceAll(p.Why, root, ""))
	}
	const dropIn, other = "the name of a drop-in or filter ends in .yaml and does not begin with a dot", "only exile.yaml and exile.yaml.d/*.yaml are read"
	if diff := cmp.Diff([]string{
		"/etc/exile/exile.yaml", "/etc/exile/exile.yaml.d/30.yaml", "/usr/lib/exile/exile.yaml.d/40.yaml",
	}, files); diff != "" {
		t.Errorf("read (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{
		"/etc/exile/exile.yaml.d/.20.yaml.swp: " + dropIn,
		"/etc/exile/exile.yaml.d/10.yml: " + dropIn,
		"/etc/exile/exile.yaml.d/20.yaml~: " + dropIn,
		"/etc/exile/exile.d: " + other,
		"/etc/exile/exile.yaml~: " + other,
		"/etc/exile/exile.yml: " + other,
		"/etc/exile/jail.local: " + other,
		"/run/exile/exile.yaml.d/30.yaml: /etc/exile/exile.yaml.d/30.yaml takes its place",
		"/usr/lib/exile/exile.yaml: /etc/exile/exile.yaml takes its place",
	}, passed); diff != "" {
		t.Errorf("passed over (-want +got):\n%s", diff)
	}
	if got := c.PassedOver(Sources{File: root + "/etc/exile/exile.yaml"}); got != nil {
		t.Errorf("beside a file that is named: %v", got)
	}
}
