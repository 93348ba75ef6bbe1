package accounts

import (
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Bounds on what an sshd_config may include.
const (
	maxConfigs = 256     // files
	maxConfig  = 1 << 20 // bytes of each
)

// SSHDConfig is the text of an sshd_config(5) and of what it includes, one after the other. What cannot be read is left
// out, as it is for an sshd that refuses it: then "sshd -T" says nothing either.
func SSHDConfig(path string) io.Reader {
	c := configs{dir: filepath.Dir(path)}
	c.add(path)
	return strings.NewReader(c.text.String())
}

type configs struct {
	dir  string // that relative names are in
	read []string
	text strings.Builder
}

func (c *configs) add(path string) {
	if path = filepath.Clean(path); len(c.read) >= maxConfigs || slices.Contains(c.read, path) {
		return
	}
	c.read = append(c.read, path)
	f, err := os.Open(path)
	if err != nil {
		return
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxConfig))
	if err != nil {
		return
	}
	c.text.Write(append(text, '\n'))
	for line := range strings.Lines(string(text)) {
		if key, value := keyword(line); key == "include" {
			c.include(strings.Fields(value))
		}
	}
}

func (c *configs) include(patterns []string) {
	for _, pattern := range patterns {
		pattern = strings.Trim(pattern, `"`)
		if !filepath.IsAbs(pattern) {
			pattern = filepath.Join(c.dir, pattern)
		}
		paths, _ := filepath.Glob(pattern) // a bad pattern includes nothing
		for _, path := range paths {
			c.add(path)
		}
	}
}

// keyword splits a line of an sshd_config: a keyword in small letters, blanks or one "=", and the rest.
func keyword(line string) (key, value string) {
	line = strings.TrimSpace(line)
	i := strings.IndexAny(line, " \t=")
	if i < 0 || strings.HasPrefix(line, "#") {
		return "", ""
	}
	return strings.ToLower(line[:i]), strings.Trim(strings.TrimLeft(line[i:], " \t="), " \t\"")
}

// matched are the settings that a Match block loosens for somebody: "sshd -T" does not tell for whom.
type matched struct {
	inside                        bool // a Match block
	password, dialog, root, allow bool
}

// line reads a line of SSHDConfig. Of a Match block that ends with its file more may seem to be inside: that locks fewer.
func (m *matched) line(line string) {
	key, value := keyword(line)
	if key == "match" {
		m.inside = true
	}
	if !m.inside {
		return
	}
	switch key {
	case "passwordauthentication":
		m.password = m.password || value != "no"
	case "kbdinteractiveauthentication", "challengeresponseauthentication":
		m.dialog = m.dialog || value != "no"
	case "permitrootlogin":
		m.root = m.root || value == "yes"
	case "allowusers":
		m.allow = true
	}
}

// loosen takes back what does not hold for everybody.
func (p *policy) loosen(m matched) {
	p.noPassword = p.noPassword && !m.password
	p.noDialog = p.noDialog && !m.dialog
	p.noRoot = p.noRoot && !m.root
	if m.allow {
		p.allow = nil
	}
}
