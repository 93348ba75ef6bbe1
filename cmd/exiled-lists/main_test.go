package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestSettings(t *testing.T) {
	t.Parallel()
	secrets := t.TempDir()
	write := func(key string) {
		if err := os.WriteFile(filepath.Join(secrets, "key"), []byte(key), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	env := map[string]string{"STATE_DIRECTORY": "/x", "CREDENTIALS_DIRECTORY": secrets, "URL": "https://lists.example"}
	get := func(name string) string { return env[name] }
	write("none")
	if c, err := settings("bad", get); err != nil || c.Key != "" || c.Plain || c.Name != "bad" || c.Dir != "/x" {
		t.Errorf("%+v, %v", c, err)
	}
	write("secret\n")
	env["PLAIN"] = "yes"
	if c, err := settings("bad", get); err != nil || c.Key != "secret" || !c.Plain {
		t.Errorf("%+v, %v", c, err)
	}
	for _, name := range []string{"URL", "STATE_DIRECTORY"} {
		was := env[name]
		env[name] = ""
		if _, err := settings("bad", get); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("without %s: %v", name, err)
		}
		env[name] = was
	}
}
