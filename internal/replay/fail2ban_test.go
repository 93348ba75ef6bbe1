package replay_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// packages is where internal/tools/fail2ban.sh puts fail2ban of two Debians, unpacked.
const packages = "/var/cache/exile/fail2ban"

// TestAsFail2ban: fail2ban's own code makes of random logs the bans that a replay says it would.
func TestAsFail2ban(t *testing.T) {
	t.Parallel()
	logs := 1000
	if testing.Short() {
		logs = 100
	}
	dir := t.TempDir()
	var files []string
	for seed := range logs {
		file := filepath.Join(dir, fmt.Sprintf("%04d.log", seed))
		if err := os.WriteFile(file, randomLog(uint64(seed)), 0o600); err != nil {
			t.Fatal(err)
		}
		files = append(files, file)
	}
	for _, suite := range []string{"bookworm", "trixie"} {
		t.Run(suite, func(t *testing.T) {
			t.Parallel()
			root := filepath.Join(packages, suite)
			if _, err := os.Stat(root); err != nil {
				t.Skipf("SKIPPED, NOTHING IS COMPARED WITH fail2ban: %v; run make deps as root", err)
			}
			cmd := exec.Command("python3", append([]string{"testdata/fail2ban.py", root}, files...)...)
			cmd.Env = append(os.Environ(), "TZ=UTC", "PYTHONDONTWRITEBYTECODE=1", "PYTHONWARNINGS=ignore")
			var said strings.Builder
			cmd.Stderr = &said
			out, err := cmd.Output()
			if err != nil {
				t.Fatalf("%v\n%s", err, said.String())
			}
			compareWithFail2ban(t, files, string(out))
		})
	}
}

func compareWithFail2ban(t *testing.T, files []string, out string) {
	t.Helper()
	want, file, bans := make(map[string][]string), "", 0
	for line := range strings.Lines(out) {
		if line = strings.TrimSpace(line); strings.HasSuffix(line, ".log") {
			file = line
			continue
		}
		want[file] = append(want[file], line)
		bans++
	}
	if bans < len(files) {
		t.Errorf("%d bans in %d logs: that is too little to compare", bans, len(files))
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want[file], bansByLines(t, text)); diff != "" {
			t.Errorf("bans (-fail2ban +replay):\n%s\nof\n%s", diff, text)
		}
	}
}

// said are lines of sshd. ADDR, PORT, USER and NONE are put in: an address, a port, a name that exists and one that does not.
func said() []string {
	return []string{
		"Failed password for USER from ADDR port PORT ssh2",
		"Failed password for USER from ADDR port PORT ssh2",
		"Failed password for invalid user NONE from ADDR port PORT ssh2",
		"Failed publickey for USER from ADDR port PORT ssh2: RSA SHA256:abc",
		"Failed publickey for invalid user NONE from ADDR port PORT ssh2: RSA SHA256:abc",
		"Failed none for invalid user NONE from ADDR port PORT ssh2",
		"Invalid user NONE from ADDR port PORT",
		"pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost=ADDR  user=USER",
		"PAM 2 more authentication failures; logname= uid=0 euid=0 tty=ssh ruser= rhost=ADDR  user=USER",
		"error: PAM: Authentication failure for USER from ADDR",
		"error: maximum authentication attempts exceeded for USER from ADDR port PORT ssh2 [preauth]",
		"Disconnecting authenticating user USER ADDR port PORT: Too many authentication failures [preauth]",
		"Disconnecting: Too many authentication failures for USER [preauth]",
		"Connection closed by authenticating user USER ADDR port PORT [preauth]",
		"Connection closed by ADDR port PORT [preauth]",
		"Connection reset by invalid user NONE ADDR port PORT [preauth]",
		"Disconnected from invalid user NONE ADDR port PORT [preauth]",
		"Received disconnect from ADDR port PORT:11: Bye Bye [preauth]",
		"User USER from ADDR not allowed because not listed in AllowUsers",
		"User USER not allowed because account is locked",
		"Accepted password for USER from ADDR port PORT ssh2",
		"Connection from ADDR port PORT on 10.0.0.1 port 22",
		"Received disconnect from ADDR port PORT:11: disconnected by user",
		"Disconnected from user USER ADDR port PORT",
		"Server listening on 0.0.0.0 port 22.",
	}
}

// randomLog is a log of a few connections from three addresses at a time, with gaps below and above a findtime.
func randomLog(seed uint64) (text []byte) {
	r := rand.New(rand.NewPCG(seed, 7))
	one := func(list ...string) string { return list[r.IntN(len(list))] }
	gaps := []time.Duration{0, 1, 1, 2, 5, 30, 60, 200, 400, 700}
	at := time.Date(2025, 11, 20, 0, 0, 0, 0, time.UTC)
	var connections []*strings.Replacer
	for i := range 5 + r.IntN(35) {
		at = at.Add(gaps[r.IntN(len(gaps))] * time.Second)
		if i == 0 || r.IntN(3) == 0 {
			connections = append(connections[max(0, len(connections)-3):], strings.NewReplacer("ADDR", one("192.0.2.1", "192.0.2.2", "2001:db8::1"),
				"PORT", fmt.Sprint(1+r.IntN(60000)), "PID", fmt.Sprint(1000+i), "USER", one("root", "bob"), "NONE", one("admin", "test")))
		}
		line := at.Format("2006-01-02T15:04:05+00:00") + " host sshd[PID]: " + one(said()...) + "\n"
		text = append(text, connections[r.IntN(len(connections))].Replace(line)...)
	}
	return text
}
