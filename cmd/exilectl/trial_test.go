package main

import (
	"bufio"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"exile/internal/config"
	"exile/internal/replay"
)

// onTrial has a host with a jail on trial, and a file of its owner.
func onTrial(t *testing.T, since time.Time, own string) config.Sources {
	t.Helper()
	from := config.Sources{Root: t.TempDir()}
	file := trialFile(from, "sshd")
	text := (&trial{"sshd", since, since.Add(7 * 24 * time.Hour)}).text()
	if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(text), 0o600),
		os.WriteFile(from.Main(), []byte(own), 0o600)); err != nil {
		t.Fatal(err)
	}
	return from
}

// TestTrialFile: the drop-in has all that there is to know, and makes the jail simulate, whatever its other settings are.
func TestTrialFile(t *testing.T) {
	t.Parallel()
	since := time.Date(2026, 11, 1, 10, 0, 0, 0, time.UTC)
	from := onTrial(t, since, "jails: {sshd: {maxretry: 2}}\n")
	got, err := readTrial(from, "sshd")
	if want := (trial{"sshd", since, since.Add(7 * 24 * time.Hour)}); err != nil || *got != want {
		t.Errorf("%+v, %v", got, err)
	}
	j, err := runningJail(from, "sshd")
	if err != nil || !j.Simulate || j.MaxRetry != 2 {
		t.Errorf("%+v, %v", j, err)
	}
	if said := got.begun(from); !strings.Contains(said, "only simulates, also after") {
		t.Error(said)
	}
	// A file behind it wins, and that is said.
	if err := os.WriteFile(from.Main()+".d/99-own.yaml", []byte("jails: {sshd: {simulate: no}}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if said := got.begun(from); !strings.HasPrefix(said, "But ") || !strings.Contains(said, "99-own.yaml:1 says simulate: no") {
		t.Error(said)
	}
}

// TestTrialEnded: a jail bans after its trial, unless its owner has it simulate anyway.
func TestTrialEnded(t *testing.T) {
	t.Parallel()
	for own, want := range map[string]string{
		"": "Jail sshd bans", "jails: {sshd: {simulate: yes}}\n": "still only simulates: ", "jails: {sshd: {enabled: no}}\n": "jail sshd is off",
	} {
		from := onTrial(t, time.Now(), own)
		if err := os.Remove(trialFile(from, "sshd")); err != nil {
			t.Fatal(err)
		}
		if said := ended(from, "sshd"); !strings.Contains(said, want) {
			t.Errorf("with %q: %s", own, said)
		}
	}
}

// TestTrialRefuses: what is no trial of ours is not touched.
func TestTrialRefuses(t *testing.T) {
	t.Parallel()
	from := onTrial(t, time.Now(), "")
	spoilt := trialFile(from, "vsftpd")
	if err := os.WriteFile(spoilt, []byte("jails: {vsftpd: {enabled: yes}}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for jail, want := range map[string]string{
		"vsftpd": "does not say when the trial began", "../evil": "is no name for a jail", "sshe": "there is no jail sshe", "recidive": "there is no jail",
	} {
		if err := new(options).beginTrial(t.Context(), from, jail, time.Hour); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("begin %s: %v", jail, err)
		}
	}
	for jail, want := range map[string]string{"vsftpd": "does not say when", "../evil": "is no name for a jail", "named": "not on trial"} {
		if err := new(options).endTrial(t.Context(), from, jail); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("end %s: %v", jail, err)
		}
	}
	if _, err := os.Stat(trialFile(from, "sshe")); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	if _, err := os.Stat(spoilt); err != nil {
		t.Error(err)
	}
}

// TestTrialInStatus: the status says that a trial is over, and which command shows it.
func TestTrialInStatus(t *testing.T) {
	t.Parallel()
	since := time.Date(2026, 11, 1, 10, 0, 0, 0, time.UTC)
	from := onTrial(t, since, "")
	for days, want := range map[int]string{
		1: "        Trial: of jail sshd until ",
		9: "        Trial: of jail sshd is over since 2d, and it goes on to simulate: exilectl trial sshd says what it would have done\n",
	} {
		var b strings.Builder
		c := &console{Writer: bufio.NewWriter(&b), now: since.Add(time.Duration(days) * 24 * time.Hour)}
		warnTrials(c, from)
		if err := c.Flush(); err != nil || !strings.HasPrefix(b.String(), want) {
			t.Errorf("after %d days: %q, %v", days, b.String(), err)
		}
	}
}

// TestTrialStanding: a name that somebody typed is quoted, and a trial that is over says what can be done.
func TestTrialStanding(t *testing.T) {
	t.Parallel()
	since := time.Date(2026, 11, 1, 10, 0, 0, 0, time.UTC)
	rep := &replay.Report{
		Count: replay.Count{Attempts: 40, Prevented: 30, Passed: 10, Denied: 1}, Sources: 4, Bans: 3,
		False: []replay.False{{Ban: replay.Ban{Prefix: "192.0.2.1", Jail: "sshd", At: since}, Users: []string{"x\u202ey"}}},
	}
	var b strings.Builder
	now := since.Add(8 * 24 * time.Hour)
	c := &console{Writer: bufio.NewWriter(&b), now: now}
	standingOf(&trial{"sshd", since, since.Add(7 * 24 * time.Hour)}, rep, now).print(c)
	if err := c.Flush(); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"40 attempts from 4 addresses.", "it would have made 3 bans, prevented 30 (75.0 %), and denied 1 login.", `"x\u202ey"`, "over since",
		"exilectl trial --end sshd has it ban",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
}
