package jail_test

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"exile/jail"
	"exile/jail/filter"
	"exile/journal"
)

// What others log with a local user's text in it is not sshd's, though most of it would count if it were.
func TestOthersAreNotTrusted(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("testdata/others.txt")
	if err != nil {
		t.Fatal(err)
	}
	f, err := filter.New("sshd", filter.Options{})
	if err != nil {
		t.Fatal(err)
	}
	units, identifiers := []string{"ssh.service", "ssh@*.service"}, []string{"sshd", "sshd-session", "sshd-auth"}
	read, believed := 0, 0
	for text := range strings.Lines(string(data)) {
		if strings.HasPrefix(text, "#") {
			continue
		}
		e, err := otherEntry(text)
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		if read++; jail.Trusted(&e, units, identifiers, true) {
			t.Errorf("trusted: %s", text)
		}
		if ev := f.Parse(e.Message); ev.Addr.IsValid() && ev.Counts {
			believed++
		}
	}
	if read < 20 || believed < 3 {
		t.Errorf("%d lines, of which %d would count: too little was tested", read, believed)
	}
}

func otherEntry(text string) (e journal.Entry, err error) {
	var message string
	if _, err = fmt.Sscan(text, &e.UID, &e.Unit, &e.Identifier, &e.Transport); err != nil {
		return e, err
	}
	e.Unit = strings.TrimPrefix(e.Unit, "-")
	message, err = strconv.Unquote(strings.TrimSpace(text[strings.IndexByte(text, '"'):]))
	e.Message = []byte(message)
	return e, err
}
