// Package target boots a host guarded by exile, installed by make install and queried with the tools that its users have.
package target

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"exile/e2e/host"
)

// Target is a booted host with exile.
type Target struct{ *host.Host }

// Tree is exile as laid out by make install. Remove it after use.
type Tree string

// Install runs make install into a new folder.
func Install(ctx context.Context) (Tree, error) {
	source, err := sourceDir()
	if err != nil {
		return "", err
	}
	reap()
	dir, err := os.MkdirTemp("", fmt.Sprintf(treeName, os.Getpid()))
	if err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, "make", "-s", "-C", source, "install", "DESTDIR="+dir)
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", errors.Join(fmt.Errorf("make install: %w: %s", err, out), os.RemoveAll(dir))
	}
	return Tree(dir), nil
}

// Package makes the .deb of a version in dir and returns its path.
func Package(ctx context.Context, version, dir string) (string, error) {
	source, err := sourceDir()
	if err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, "make", "-s", "-C", source, "package", "VERSION="+version, "DIST="+dir)
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("make package: %w: %s", err, out)
	}
	found, _ := filepath.Glob(filepath.Join(dir, "exile_"+version+"_*.deb")) // the pattern is well formed
	if len(found) != 1 {
		return "", fmt.Errorf("make package made %q, want one .deb of version %s", found, version)
	}
	return found[0], nil
}

// treeName names the trees by the process's ID, so that those of killed processes can be found.
const treeName = "exile-tree-%d-"

// reap removes the trees of processes that no longer exist.
func reap() {
	left, _ := filepath.Glob(filepath.Join(os.TempDir(), "exile-tree-*-*")) // the pattern is well formed
	for _, dir := range left {
		var pid int
		if _, err := fmt.Sscanf(filepath.Base(dir), treeName, &pid); err != nil {
			continue
		}
		if _, err := os.Stat(fmt.Sprintf("/proc/%d", pid)); errors.Is(err, fs.ErrNotExist) {
			_ = os.RemoveAll(dir) // another process may be removing it too
		}
	}
}

// Remove removes the folder.
func (t Tree) Remove() error { return os.RemoveAll(string(t)) }

// sourceDir is the folder of go.mod: the working directory or one above it.
func sourceDir() (string, error) {
	dir, err := os.Getwd()
	for ; err == nil && dir != "/"; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
	}
	return "", errors.Join(errors.New("run this in the source folder of exile"), err)
}

// Boot boots a host with that root file system, which is only read, and with exile's files and this configuration file in
// place. exiled does not run yet.
func Boot(ctx context.Context, root string, tree Tree, config string) (*Target, error) {
	files := Strict()
	files["/etc/exile/exile.yaml"] = config
	return Shipped(ctx, root, tree, files)
}

// Shipped boots a host with exile's units exactly as shipped, and these text files by path.
func Shipped(ctx context.Context, root string, tree Tree, files map[string]string) (*Target, error) {
	h, err := host.Boot(ctx, host.Options{Lower: root, Tree: string(tree), Files: files})
	if err != nil {
		return nil, err
	}
	return &Target{h}, nil
}

// Strict are files that make the sandbox kill the daemon and its helpers for a system call that it otherwise only refuses.
func Strict() map[string]string {
	const kill = "[Service]\nSystemCallErrorNumber=kill\n"
	return map[string]string{
		"/etc/systemd/system/exiled.service.d/strict.conf":                  kill,
		"/etc/systemd/system/exiled-names@.service.d/strict.conf":           kill,
		"/etc/systemd/system/exiled-logs.service.d/strict.conf":             kill,
		"/etc/systemd/system/exiled-actions.service.d/strict.conf":          kill,
		"/etc/systemd/system/exiled-actions-program@.service.d/strict.conf": kill,
		"/etc/systemd/system/exiled-actions-network@.service.d/strict.conf": kill,
		"/etc/systemd/system/exiled-actions-reload@.service.d/strict.conf":  kill,
		"/etc/systemd/system/exiled-mail-report.service.d/strict.conf":      kill,
		// sshd begins by dropping its groups, and carries on if it cannot.
		"/etc/systemd/system/exiled-accounts.service.d/strict.conf": kill + "SystemCallFilter=~setgroups:EPERM\n",
	}
}

// Activate enables and starts exiled like the packages and make install on a live system.
func (t *Target) Activate(ctx context.Context) error {
	source, err := sourceDir()
	if err != nil {
		return err
	}
	script, err := os.ReadFile(filepath.Join(source, "units/package/postinstall.sh"))
	if err != nil {
		return err
	}
	_, err = t.Feed(ctx, string(script), "sh", "-s", "1", "")
	if err == nil {
		_, err = t.Run(ctx, "systemctl", "is-active", "exiled.service")
	}
	if err != nil {
		return fmt.Errorf("activate exile: %w:\n%s", err, t.Log(ctx))
	}
	return nil
}

// Log is what exiled, its helpers, and systemd about both, logged up to now: journald is asked to write what it has received,
// but not waited for if it is stopped.
func (t *Target) Log(ctx context.Context) string {
	soon, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	_, _ = t.Run(soon, "journalctl", "--sync")
	out, err := t.Run(ctx, "journalctl", "-b", "-o", "short-precise", "--no-hostname", "-u", "exiled.service", "-u", "exiled-accounts.service",
		"-u", "exiled-names@*", "-u", "exiled-logs.service", "-u", "exiled-actions*")
	if err != nil {
		return err.Error()
	}
	return out
}

// Row is a line of exilectl's lists of bans and failures.
type Row struct {
	Address  string
	Failures int
	Offence  int // the ordinal of the ban; 1 is the first of the address
}

// List reads the list printed by a verb of exilectl.
func (t *Target) List(ctx context.Context, verb string) (map[netip.Prefix]Row, error) {
	out, err := t.Run(ctx, "exilectl", verb, "--json=short")
	if err != nil {
		return nil, err
	}
	var rows []Row
	if err := json.Unmarshal([]byte(out), &rows); err != nil {
		return nil, fmt.Errorf("read %s: %w: %q", verb, err, out)
	}
	all := make(map[netip.Prefix]Row, len(rows))
	for _, r := range rows {
		p, err := parsePrefix(r.Address)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", verb, err)
		}
		all[p] = r
	}
	return all, nil
}

// Banned are the prefixes that exilectl list-bans shows, sorted.
func (t *Target) Banned(ctx context.Context) ([]netip.Prefix, error) {
	rows, err := t.List(ctx, "list-bans")
	return slices.SortedFunc(maps.Keys(rows), netip.Prefix.Compare), err
}

// Failures is how many failures of the address exilectl list-failures shows.
func (t *Target) Failures(ctx context.Context, addr netip.Addr) (int, error) {
	rows, err := t.List(ctx, "list-failures")
	for p, r := range rows {
		if p.Contains(addr) {
			return r.Failures, err
		}
	}
	return 0, err
}

// IsBanned reports whether a ban covers the address.
func (t *Target) IsBanned(ctx context.Context, addr netip.Addr) (bool, error) {
	bans, err := t.Banned(ctx)
	return slices.ContainsFunc(bans, func(p netip.Prefix) bool { return p.Contains(addr) }), err
}

func parsePrefix(s string) (netip.Prefix, error) {
	if strings.Contains(s, "/") {
		return netip.ParsePrefix(s)
	}
	addr, err := netip.ParseAddr(s)
	return netip.PrefixFrom(addr, addr.BitLen()), err
}

// Event is a ban as told by the journal.
type Event struct {
	Prefix   netip.Prefix
	Jail     string
	Failures int
	Since    string        // identifies the ban, with the two fields above
	Time     time.Time     // of the journal entry
	Lasts    time.Duration // 0: for ever
	Latency  time.Duration // from the deciding log entry to the ban in the kernel
	Evidence []string      // the log entries behind it: time, rule, cursor
}

// banID is the MESSAGE_ID of a ban, see units/catalog.
const banID = "2929576456a04afc970b3018a1aa88c1"

// Bans returns the address's bans that the journal tells of since the boot, oldest first. A ban that was told twice, because
// exiled was killed, is listed once.
func (t *Target) Bans(ctx context.Context, addr netip.Addr) ([]Event, error) {
	out, err := t.Run(ctx, "journalctl", "-b", "-q", "-o", "json", "_SYSTEMD_UNIT=exiled.service", "MESSAGE_ID="+banID)
	if err != nil {
		return nil, err
	}
	var events []Event
	for line := range strings.Lines(out) {
		e, err := parseEvent(line)
		if err != nil {
			return nil, fmt.Errorf("read ban event: %w: %s", err, line)
		}
		again := slices.ContainsFunc(events, func(b Event) bool { return b.Prefix == e.Prefix && b.Jail == e.Jail && b.Since == e.Since })
		if e.Prefix.Contains(addr) && !again {
			events = append(events, e)
		}
	}
	return events, nil
}

func parseEvent(line string) (Event, error) {
	var raw struct {
		Address  string `json:"EXILE_ADDRESS"`
		Jail     string `json:"EXILE_JAIL"`
		Failures string `json:"EXILE_FAILURES"`
		Since    string `json:"EXILE_SINCE"`
		Duration string `json:"EXILE_DURATION_USEC"`
		Latency  string `json:"EXILE_LATENCY_USEC"`
		Evidence string `json:"EXILE_EVIDENCE"`
		Time     string `json:"__REALTIME_TIMESTAMP"`
	}
	if err := json.Unmarshal([]byte(line), &raw); err != nil {
		return Event{}, err
	}
	prefix, err := parsePrefix(raw.Address)
	failures, err2 := strconv.Atoi(raw.Failures)
	micros, err3 := strconv.ParseInt(raw.Time, 10, 64)
	latency, err4 := optionalInt(raw.Latency)
	lasts, err5 := optionalInt(raw.Duration)
	e := Event{
		Prefix: prefix, Jail: raw.Jail, Failures: failures, Since: raw.Since, Time: time.UnixMicro(micros),
		Lasts: time.Duration(lasts) * time.Microsecond, Latency: time.Duration(latency) * time.Microsecond, Evidence: strings.Split(raw.Evidence, "\n"),
	}
	return e, errors.Join(err, err2, err3, err4, err5)
}

func optionalInt(s string) (int64, error) {
	if s == "" {
		return 0, nil
	}
	return strconv.ParseInt(s, 10, 64)
}

// WaitBan waits until the journal tells of the address's nth ban since the boot, and returns it. The caller's ctx limits how
// long.
func (t *Target) WaitBan(ctx context.Context, addr netip.Addr, nth int) (Event, error) {
	for {
		events, err := t.Bans(ctx, addr)
		if err == nil && len(events) >= nth {
			return events[nth-1], nil
		}
		select {
		case <-ctx.Done():
			return Event{}, fmt.Errorf("wait for the ban of %s: %w\n%s", addr, errors.Join(err, ctx.Err()),
				t.Log(context.WithoutCancel(ctx)))
		case <-time.After(20 * time.Millisecond):
		}
	}
}
