package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"
)

// sshd asks the host's sshd for its settings: nobody else knows what they come to.
type sshd struct {
	options []string // that the host's sshd runs with
	until   time.Time
}

// patience is how long all answers may take together.
const patience = 30 * time.Second

// config is the file that sshd reads, without the slash in front: the one it is told, the administrator's, or SUSE's own.
func (s *sshd) config() string {
	for i, option := range s.options {
		if name, ok := strings.CutPrefix(option, "-f"); ok && name != "" {
			return strings.TrimLeft(name, "/")
		} else if ok && i+1 < len(s.options) {
			return strings.TrimLeft(s.options[i+1], "/")
		}
	}
	const name, vendor = "etc/ssh/sshd_config", "usr/etc/ssh/sshd_config"
	if _, err := os.Stat("/" + name); err == nil {
		return name
	}
	if _, err := os.Stat("/" + vendor); err == nil {
		return vendor
	}
	return name
}

// settings returns what "sshd -T" prints: the settings for everybody, or, with a user, those for that user at an unused address.
func (s *sshd) settings(user string) ([]byte, error) {
	args := append([]string{"-T"}, s.options...)
	if user != "" {
		if strings.Contains(user, ",") {
			return nil, fmt.Errorf("sshd cannot be asked about a user of the name %q", user)
		}
		args = append(args, "-C", "user="+user+",host=unknown.invalid,addr=192.0.2.1")
	}
	ctx, cancel := context.WithDeadline(context.Background(), s.until)
	defer cancel()
	ask := exec.CommandContext(ctx, "sshd", args...) // as root, within the walls of our unit
	ask.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}
	var out, said limited
	ask.Stdout, ask.Stderr = &out, &said
	if err := ask.Run(); err != nil {
		last := strings.TrimSpace(said.String())
		return nil, fmt.Errorf("%w, %q", cmp.Or(context.Cause(ctx), err), last[strings.LastIndex(last, "\n")+1:])
	}
	return out.Bytes(), nil
}

// limited keeps so much of what sshd says that a longer text is not its settings.
type limited struct{ bytes.Buffer }

const maxSettings = 1 << 20

// Write implements io.Writer.
func (l *limited) Write(p []byte) (int, error) {
	if l.Len()+len(p) > maxSettings {
		return 0, errors.New("too much")
	}
	return l.Buffer.Write(p)
}
