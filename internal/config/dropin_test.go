package config

import (
	"os"
	"strings"
	"testing"
)

// onHost writes files below a new folder.
func onHost(t *testing.T, files map[string]string) Sources {
	t.Helper()
	s := Sources{Root: t.TempDir()}
	if err := os.MkdirAll(s.Main()+".d", 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range files {
		if err := os.WriteFile(s.Root+"/etc/exile/"+name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// TestDropInOnTrial: a drop-in on trial has its place among the others, replaces the one of its name, and leaves the main file in force.
func TestDropInOnTrial(t *testing.T) {
	t.Parallel()
	s := onHost(t, map[string]string{
		"exile.yaml":                   "defaults: {maxretry: 2, bantime: 2m}\n",
		"exile.yaml.d/50-before.yaml":  "defaults: {maxretry: 3, findtime: 3m}\n",
		"exile.yaml.d/60-suggest.yaml": "defaults: {maxretry: 4, bantime: 4m}\n",
		"exile.yaml.d/70-behind.yaml":  "defaults: {findtime: 5m}\n",
	})
	s.Text = OnTrial("60-suggest.yaml", "defaults:\n  maxretry: 6\n  findtime: 6m\n")
	cfg, err := Load(s)
	if err != nil {
		t.Fatal(err)
	}
	j := cfg.Jails[0]
	if j.MaxRetry != 6 || j.FindTime.Minutes() != 5 || j.BanTime.Minutes() != 2 {
		t.Errorf("maxretry %d, findtime %s, bantime %s", j.MaxRetry, j.FindTime, j.BanTime)
	}
	if got := cfg.Origin(j.Name, "maxretry"); got != "60-suggest.yaml on trial:2" {
		t.Errorf("origin %s", got)
	}
	// Nothing depends on the file there.
	if err := os.Remove(s.DropInPath("60-suggest.yaml")); err != nil {
		t.Fatal(err)
	}
	again, err := Load(s)
	if err != nil {
		t.Fatal(err)
	}
	diffConfig(t, cfg, again)
}

// TestBadDropInOnTrial: mistakes are named with the line that they would have in the file, and what is no drop-in is no main file either.
func TestBadDropInOnTrial(t *testing.T) {
	t.Parallel()
	s := onHost(t, nil)
	for text, want := range map[string]string{
		OnTrial("60-suggest.yaml", "defaults:\n  maxretyr: 6\n"): "60-suggest.yaml on trial:2: ",
		OnTrial("../exile.yaml", "defaults: {maxretry: 6}\n"):    "configuration on trial:",
		OnTrial("a/b.yaml", "defaults: {maxretry: 6}\n"):         "configuration on trial:",
		OnTrial(".hidden.yaml", "defaults: {maxretry: 6}\n"):     "configuration on trial:",
		OnTrial("a.yml", "defaults: {maxretry: 6}\n"):            "configuration on trial:",
		OnTrial("", "defaults: {maxretry: 6}\n"):                 "configuration on trial:",
	} {
		s.Text = text
		if _, err := Load(s); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
	// No file may begin as a text on trial does, so that nobody puts a drop-in on trial by accident, and no older daemon takes it for a main file.
	s = onHost(t, map[string]string{"exile.yaml": OnTrial("60-suggest.yaml", "defaults: {maxretry: 6}\n")})
	if _, err := Load(s); err == nil || !strings.Contains(err.Error(), "exile.yaml: not YAML") {
		t.Errorf("a file: %v", err)
	}
	s.Text, s.File = OnTrial("60-suggest.yaml", ""), s.Main()
	if _, err := Load(s); err == nil || !strings.Contains(err.Error(), "--config") {
		t.Errorf("with --config: %v", err)
	}
}
