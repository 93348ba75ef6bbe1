package policy

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// ansible is where internal/tools/fail2ban.sh has put Debian's ansible-core, unpacked.
const ansible = "/var/cache/exile/fail2ban/ansible"

const playbook = `- hosts: localhost
  connection: local
  gather_facts: false
  roles:
    - role: exile
      exile_packages: []
      exile_service: false
      exile_dir: DIR/etc
      exile_ctl: DIR/exilectl
      exile_config: {jails: {sshd: {KEY: 4}}}
`

// TestAnsible runs the role of the examples on this machine, in a folder of the test: a good configuration is put in place, and a bad one
// is not.
func TestAnsible(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat(ansible); err != nil {
		t.Skipf("SKIPPED, NOTHING WAS TESTED: %v; run internal/tools/fail2ban.sh as root", err)
	}
	work := checkout(t.TempDir())
	work.sh(t, "mkdir roles && cp -r '"+abs(t, "units/examples/ansible")+"' roles/exile")
	build := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", string(work)+"/exilectl", "./cmd/exilectl")
	build.Dir, build.Env = root, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	for _, c := range []struct{ key, says string }{
		{"maxretry", "changed=2"}, {"maxretyr", `unknown key \"maxretyr\"`},
	} {
		text := strings.NewReplacer("DIR", string(work), "KEY", c.key).Replace(playbook)
		if err := os.WriteFile(filepath.Join(string(work), "p.yml"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command("/usr/bin/python3", filepath.Join(ansible, "usr/bin/ansible-playbook"), "-i", "localhost,", "p.yml")
		cmd.Dir = string(work)
		cmd.Env = []string{
			"HOME=" + string(work), "PATH=" + os.Getenv("PATH"), "LANG=C.UTF-8", "PYTHONDONTWRITEBYTECODE=1", "ANSIBLE_LOCALHOST_WARNING=false",
			"PYTHONPATH=" + filepath.Join(ansible, "usr/lib/python3/dist-packages"), "ANSIBLE_REMOTE_TEMP=" + string(work) + "/tmp",
		}
		if out, _ := cmd.CombinedOutput(); !strings.Contains(string(out), c.says) { // it fails where it should
			t.Errorf("%s: the playbook does not say %q:\n%s", c.key, c.says, out)
		}
	}
	got, err := os.ReadFile(filepath.Join(string(work), "etc/exile.yaml"))
	if err != nil || !strings.Contains(string(got), "maxretry: 4") {
		t.Errorf("exile.yaml is %q, %v", got, err)
	}
}
