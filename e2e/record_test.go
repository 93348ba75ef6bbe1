package e2e

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// record is where TestCounting writes what the servers logged: the corpus jail/filter/testdata/sshd, whose README describes
// the next steps.
var record = flag.String("record", "", "a `folder` for what the servers logged")

// said is a line of a server and the client that it belongs to, empty if unknown.
type said struct {
	tag, pid, message, from string
}

// clientAddress finds a client's address. No text chosen by a client contains one.
var clientAddress = regexp.MustCompile(`198\.51\.100\.\d+|2001:db8:bad:[0-9a-f]+::7|fe80::1[0-9a-f]{2}\b`)

// pamUser finds the user in PAM's lines about failures and sessions.
var pamUser = regexp.MustCompile(`^pam_unix\(sshd:\w+\): .* user[= ](\w+)`)

// record writes the lines of each scenario.
func (s *sshds) record(t *testing.T, done []played) {
	t.Helper()
	banner, err := s.client(t, inet, "info").Banner(t.Context())
	m := regexp.MustCompile(`OpenSSH_(\S+)`).FindStringSubmatch(banner)
	if m == nil {
		t.Fatalf("sshd says it is %q, %v", banner, err)
	}
	lines := s.said(t)
	var text strings.Builder
	fmt.Fprintf(&text, "# What a real sshd %s logged, see README. Any other address than 198.51.100.N, 2001:db8:bad:N::7 and fe80::1NN is a\n"+
		"# client's text. Lines for debugging are left out.\n", m[1])
	for _, d := range done {
		counted := d.counted()
		if d.slips {
			counted = 0
		}
		fmt.Fprintf(&text, "# case %s guesses=%d counted=%d\n", d.name, d.guesses, counted)
		for _, l := range lines {
			if l.from == d.from.String() {
				fmt.Fprintf(&text, "%s[%s]: %s\n", l.tag, l.pid, plain(l.message))
			}
		}
	}
	if err := os.WriteFile(filepath.Join(*record, m[1]+".txt"), []byte(text.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}

// plain is a message as the corpus stores it.
func plain(message string) string {
	if strings.ContainsAny(message, "\t\r\n") || strings.HasPrefix(message, `"`) {
		return strconv.Quote(message)
	}
	return message
}

// said reads the log. A line without an address belongs to the client of its process, if the process serves only one;
// otherwise to the only client that used the name.
func (s *sshds) said(t *testing.T) (lines []said) {
	t.Helper()
	log := inside(t, s.Target, "journalctl", "-b", "-a", "-o", "json", "-t", "sshd", "-t", "sshd-session", "-t", "sshd-auth")
	for line := range strings.Lines(log) {
		var e struct {
			Tag     string `json:"SYSLOG_IDENTIFIER"`
			PID     string `json:"_PID"`
			Message any    `json:"MESSAGE"`
		}
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatal(err)
		}
		message, ok := e.Message.(string)
		if ok && !strings.HasPrefix(message, "debug") {
			lines = append(lines, said{e.Tag, e.PID, message, clientAddress.FindString(message)})
		}
	}
	attribute(lines, func(l said) string { return l.pid })
	attribute(lines, func(l said) string {
		if m := pamUser.FindStringSubmatch(l.message); m != nil {
			return m[1]
		}
		return ""
	})
	return lines
}

// attribute assigns unassigned lines to the client of all other lines with the same key.
func attribute(lines []said, key func(said) string) {
	clients := map[string]string{}
	for _, l := range lines {
		if l.from == "" {
			continue
		}
		if was, ok := clients[key(l)]; ok && was != l.from {
			clients[key(l)] = ""
		} else {
			clients[key(l)] = l.from
		}
	}
	for i := range lines {
		if k := key(lines[i]); lines[i].from == "" && k != "" {
			lines[i].from = clients[k]
		}
	}
}
