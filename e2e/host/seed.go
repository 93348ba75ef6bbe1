package host

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// file is a file or symbolic link that is made in the host before its first boot.
type file struct {
	Name string
	Data []byte
	Mode os.FileMode
	Link string // the target, if it is a link
}

func (f file) write(root string) error {
	path := filepath.Join(root, f.Name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
		return err
	}
	if f.Link != "" {
		return os.Symlink(f.Link, path)
	}
	if err := os.WriteFile(path, f.Data, f.Mode); err != nil {
		return err
	}
	return os.Chmod(path, f.Mode) // whatever the umask is
}

// seed collects what the stage needs to know.
func (h *Host) seed(first bool) (seed, error) {
	s := seed{First: first, Name: h.opts.Name, Lower: h.opts.Lower, Tree: h.opts.Tree}
	if !first {
		return s, nil
	}
	key, err := hostKey()
	if err != nil {
		return s, err
	}
	var id [16]byte
	_, _ = rand.Read(id[:]) // never fails
	text := func(name, data string) file { return file{Name: name, Data: []byte(data), Mode: 0o644} }
	unit := h.sshUnit()
	s.Files = []file{
		text("/etc/machine-id", hex.EncodeToString(id[:])+"\n"),
		text("/etc/hostname", h.opts.Name+"\n"),
		text("/etc/hosts", "127.0.0.1 localhost "+h.opts.Name+"\n::1 localhost\n"),
		text("/etc/resolv.conf", "# no name servers here\n"),
		text("/etc/ssh/sshd_config", h.sshdConfig()),
		{Name: "/etc/ssh/ssh_host_ed25519_key", Data: key, Mode: 0o600},
		// Storage on disk, so that the journal survives a reboot.
		text("/var/log/journal/.keep", ""),
		text("/var/lib/systemd/.keep", ""),
		text("/etc/systemd/journald.conf.d/e2e.conf", "[Journal]\nRateLimitIntervalSec=0\nSystemMaxUse=64M\n"),
		{Name: "/etc/systemd/system/default.target", Link: "/lib/systemd/system/multi-user.target"},
		{Name: "/etc/systemd/system/multi-user.target.wants/" + unit, Link: "/lib/systemd/system/" + unit},
		{Name: "/etc/systemd/system/console-getty.service", Link: "/dev/null"},
	}
	for name, data := range h.opts.Files {
		s.Files = append(s.Files, text(name, data))
	}
	return s, nil
}

// sshUnit is the name of sshd's unit in the host.
func (h *Host) sshUnit() string {
	if _, err := os.Stat(filepath.Join(h.opts.Lower, "lib/systemd/system/ssh.service")); err == nil {
		return "ssh.service"
	}
	return "sshd.service"
}

// sshdConfig is Debian's default, but with passwords for everybody and without sshd's own limits: in a test only exile may
// keep an attacker out.
func (h *Host) sshdConfig() string {
	lines := []string{
		"HostKey /etc/ssh/ssh_host_ed25519_key",
		"PasswordAuthentication yes",
		"KbdInteractiveAuthentication no",
		"PermitRootLogin yes",
		"UsePAM yes",
		"PrintMotd no",
		"MaxStartups 200",
	}
	if h.sshdKnows("persourcepenalties") { // OpenSSH 9.8 and later
		lines = append(lines, "PerSourcePenalties no")
	}
	return strings.Join(lines, "\n") + "\n"
}

func (h *Host) sshdKnows(option string) bool {
	program, err := os.ReadFile(filepath.Join(h.opts.Lower, "usr/sbin/sshd"))
	return err == nil && bytes.Contains(program, []byte(option))
}

// hostKey makes a key for sshd.
func hostKey() ([]byte, error) {
	dir, err := os.MkdirTemp("", "exile-host-key-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	path := filepath.Join(dir, "key")
	if out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("make host key: %w: %s", err, out)
	}
	return os.ReadFile(path)
}
