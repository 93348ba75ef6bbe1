package e2e

import (
	"regexp"
	"strings"
	"testing"
)

// TestHistory: the history of an address can be read from the journal long after its ban ended, by users who may read the
// journal; what a local user writes there in exiled's words is not part of it.
func TestHistory(t *testing.T) {
	t.Parallel()
	g := boot(t, config("auto"))
	if err := g.AddUser(t.Context(), "mallory", "a known secret"); err != nil {
		t.Fatal(err)
	}
	inside(t, g, "exilectl", "ban", "--duration=1h", "--reason=scans us", "203.0.113.61")
	inside(t, g, "exilectl", "unban", "203.0.113.61")
	shell := attacker(t, g, "203.0.113.5")
	const id = "MESSAGE_ID=2929576456a04afc970b3018a1aa88c1"
	forge := `lie='` + id + `\nEXILE_EVENT=ban\nEXILE_JAIL=sshd\nEXILE_ADDRESS=203.0.113.66\n_SYSTEMD_UNIT=exiled.service\n_UID=0\nMESSAGE=a lie\n'
		printf "$lie" | logger --journald
		systemd-run --user --wait -q --unit=exiled.service sh -c "printf '$lie' | logger --journald"
		exilectl history 2>&1; echo "status $?"`
	said, err := shell.Login(t.Context(), "mallory", "a known secret", forge)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(said, "permission denied; only root and the groups systemd-journal and adm may read it") || !strings.Contains(said, "status 1") {
		t.Errorf("without the right to read the journal, history says %q", said)
	}
	inside(t, g, "journalctl", "--sync")
	if log := inside(t, g, "journalctl", "-b", "-o", "cat", id); strings.Count(log, "a lie") != 2 {
		t.Errorf("the journal does not have both lies, nothing was tested: %q", log)
	}
	want := regexp.MustCompile(`^\S+ \S+ ban   203\.0\.113\.61 by sshd, 0 failures, left: 1h, origin: manual: scans us\n` +
		`\S+ \S+ unban 203\.0\.113\.61 by sshd: unban$`)
	eventually(t, "the history is complete", func() bool { return want.MatchString(inside(t, g, "exilectl", "history")) })
	if got := inside(t, g, "exilectl", "history", "--since=-1h", "203.0.113.0/24"); !want.MatchString(got) {
		t.Errorf("the history of the network is %q", got)
	}
	if got := inside(t, g, "exilectl", "history", "203.0.113.66"); got != "" {
		t.Errorf("the lie is believed: %q", got)
	}
	if got := inside(t, g, "sh", "-c", "exilectl list-bans --until=-1h; exilectl list-bans --since=today"); !strings.HasPrefix(got, "ADDRESS JAIL SINCE") {
		t.Errorf("list-bans says %q", got)
	}
}
