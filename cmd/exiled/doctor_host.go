package main

import (
	"bytes"
	"context"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"exile/internal/config"
	"exile/internal/human"
)

// examineHost says what the host is, whether its clock is right, and whether the names that are never banned have addresses.
func examineHost(ctx context.Context, f *findings, cfg *config.Config) {
	f.title("Host")
	f.add(fact, "exile %s, %s, kernel %s", version, distribution(), kernelRelease())
	examineClock(f)
	examineNames(ctx, f, cfg, lookUp)
}

// distribution is PRETTY_NAME of os-release(5).
func distribution() string {
	for _, path := range []string{"/etc/os-release", "/usr/lib/os-release"} {
		text, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(text)) {
			if name, ok := strings.CutPrefix(strings.TrimSpace(line), "PRETTY_NAME="); ok {
				return strings.Trim(name, `"'`)
			}
		}
	}
	return "an unknown system"
}

func kernelRelease() string {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return "unknown"
	}
	return unix.ByteSliceToString(u.Release[:]) + " " + unix.ByteSliceToString(u.Machine[:])
}

// examineClock asks the kernel whether somebody keeps its clock right (adjtimex(2)). Bans end, and logs are read again, by that clock.
func examineClock(f *findings) {
	var t unix.Timex
	state, err := unix.Adjtimex(&t)
	switch {
	case err != nil:
		f.add(unclear, "the kernel does not say whether its clock is right: %v", err)
	case state == unix.TIME_ERROR || t.Status&unix.STA_UNSYNC != 0:
		f.add(unclear, "nobody keeps the clock right: turn on systemd-timesyncd, chrony or another client of NTP, unless the host of a container does")
	default:
		f.add(good, "the clock is synchronized, to %s at most", (time.Duration(t.Maxerror) * time.Microsecond).Round(time.Millisecond))
	}
}

// examineNames resolves the host names of ignoreip. They are the administrator's own, and so are not shown.
func examineNames(ctx context.Context, f *findings, cfg *config.Config, resolve func(string) []netip.Addr) {
	var all []string
	for _, j := range cfg.Jails {
		for _, g := range j.IgnoreIP {
			if g.Host != "" && !slices.Contains(all, g.Host) {
				all = append(all, g.Host)
			}
		}
	}
	for i, name := range all {
		if ctx.Err() != nil {
			return
		}
		found := resolve(name)
		switch {
		case len(found) == 0:
			f.add(wrong, "name %d of ignoreip has no address now, and protects nobody: look with exilectl status", i+1)
		default:
			f.add(good, "name %d of ignoreip has %s", i+1, human.Count(len(found), "addresses"))
		}
	}
}

// rivals are programs that ban, by the names of their processes, and what each would disturb.
var rivals = map[string]string{
	"fail2ban-server": "see exilectl import-fail2ban, then systemctl disable --now fail2ban",
	"sshguard":        "systemctl disable --now sshguard",
	"crowdsec":        "its bouncer bans what exile unbans; let one of them guard each service",
	"crowdsec-firewa": "it bans what exile unbans; let one of them guard each service",
	"denyhosts":       "systemctl disable --now denyhosts",
	"lfd":             "it is of CSF, and bans what exile unbans",
	"blacklistd":      "let one of the two guard each service",
}

// examineRivals looks for other programs that ban among the processes.
func examineRivals(f *findings, proc string) {
	f.title("Others")
	comms, _ := filepath.Glob(filepath.Join(proc, "[0-9]*/comm")) // the pattern is valid
	var found []string
	for _, path := range comms {
		comm, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		name := string(bytes.TrimSpace(comm))
		if advice, known := rivals[name]; known && !slices.Contains(found, name) {
			found = append(found, name)
			f.add(unclear, "%s is running, too: %s", name, advice)
		}
	}
	if len(found) == 0 {
		f.add(good, "no other program that bans is running: fail2ban, sshguard, CrowdSec, DenyHosts, CSF, blacklistd")
	}
}
