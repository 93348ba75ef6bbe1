package filter_test

import (
	"strings"
	"testing"
	"time"

	"exile/jail"
	"exile/jail/filter"
	"exile/journal"
)

// TestWordsAreKnown: no line of the recordings, and no message in OpenSSH's sources, has the words of a rule and is read by none. So only a
// message that has changed can have them.
func TestWordsAreKnown(t *testing.T) {
	t.Parallel()
	f := newSSHD(t, filter.Options{Mode: "aggressive"})
	look, ok := f.(jail.Looker)
	if !ok {
		t.Fatal("sshd's lines are not looked at")
	}
	for _, c := range readCorpus(t, "testdata/sshd/[0-9]*.txt") {
		if group, _ := look.Look([]byte(c.message)); group >= 0 && f.Parse([]byte(c.message)).Rule == "" {
			t.Errorf("%s: no rule reads %q, which has the words of one", c.where, c.message)
		}
	}
	formats, _ := readFormats(t)
	for _, m := range formats {
		if group, _ := look.Look([]byte(m.text)); group >= 0 && m.rule == "-" {
			t.Errorf("OpenSSH %s to %s logs %q, which no rule reads and which has the words of one", m.first, m.last, m.text)
		}
	}
}

// life has a recording of sshd logged again and again for some days, changed from the hour on that is named, and returns the hours in which
// the lines count as changed.
func life(t *testing.T, pattern string, days, from int, change func(string) string) (before, after int) {
	t.Helper()
	s := jail.NewScrutiny("sshd", newSSHD(t, filter.Options{}))
	cases := readCorpus(t, pattern)
	begin := time.Unix(1_700_000_000, 0)
	for hour := range days * 24 {
		for n := range 100 {
			message := cases[(hour*100+n)%len(cases)].message
			if hour >= from {
				message = change(message)
			}
			s.ParseEntry(&journal.Entry{Time: begin.Add(time.Duration(hour)*time.Hour + time.Duration(n)*20*time.Second), Message: []byte(message)})
		}
		switch changed := s.Drift().Filter != ""; {
		case changed && hour < from:
			before++
		case changed:
			after++
		}
	}
	return before, after
}

// TestDrift: sshd's lines count as changed when an update puts something in front of them or behind a word, and not before.
func TestDrift(t *testing.T) {
	t.Parallel()
	for _, pattern := range []string{"testdata/sshd/9.2p1.txt", "testdata/sshd/10.0p2.txt", "testdata/sshd/10.6p1.txt", "testdata/sshd/messages.txt"} {
		if before, _ := life(t, pattern, 10, 240, nil); before > 0 {
			t.Errorf("%s: changed in %d hours, but nothing was", pattern, before)
		}
		for what, change := range map[string]func(string) string{
			"in front": func(s string) string { return "ssh auth: " + s },
			"wrapped":  func(s string) string { return `{"msg":"` + s + `"}` },
		} {
			before, after := life(t, pattern, 10, 120, change)
			if before > 0 || after < 100 {
				t.Errorf("%s, %s: changed in %d hours before it was, and in %d of 120 behind", pattern, what, before, after)
			}
		}
	}
}

// TestWordsOfStrangers: names with the words of all rules, at lengths where the end of a line may be missing, are no change as long as
// others fail to log in as well.
func TestWordsOfStrangers(t *testing.T) {
	t.Parallel()
	s := jail.NewScrutiny("sshd", newSSHD(t, filter.Options{}))
	begin := time.Unix(1_700_000_000, 0)
	name := "authentication failure authenticating user Invalid user Failed password for authentication attempts exceeded "
	for n := range 24 * 60 {
		lines := []string{
			"input_userauth_request: invalid user " + name + " [preauth]",
			"Connection closed by authenticating user " + strings.Repeat(name, 4) + " 192.0.2.1 port 22 [preauth]",
		}
		if n%60 == 0 {
			lines = append(lines, "Failed password for root from 192.0.2.2 port 22 ssh2", "Invalid user bob from 192.0.2.2 port 22",
				"pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost=192.0.2.2  user=root",
				"Connection closed by authenticating user root 192.0.2.2 port 22 [preauth]",
				"error: maximum authentication attempts exceeded for root from 192.0.2.2 port 22 ssh2 [preauth]")
		}
		for _, line := range lines {
			s.ParseEntry(&journal.Entry{Time: begin.Add(time.Duration(n) * time.Minute), Message: []byte(line)})
		}
		if d := s.Drift(); d.Filter != "" {
			t.Fatalf("changed after %d minutes by %q", n, d.Line)
		}
	}
}
