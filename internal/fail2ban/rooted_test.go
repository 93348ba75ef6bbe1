package fail2ban

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestRootedErrors: a file that cannot be read is named by its whole path.
func TestRootedErrors(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	loop := filepath.Join(root, "etc/fail2ban/jail.conf")
	if err := os.MkdirAll(filepath.Dir(loop), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("jail.conf", loop); err != nil {
		t.Fatal(err)
	}
	if _, err := Read(os.DirFS(root), "etc/fail2ban"); err == nil || !strings.Contains(err.Error(), " /etc/fail2ban/jail.conf: ") {
		t.Errorf("got %v", err)
	}
}
