package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// TestPermit: the error names the chmod that lets the daemon read a file, or the folder that is in the way.
func TestPermit(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	write(t, root, "/shut/open.yaml", "")
	write(t, root, "/open/shut.yaml", "")
	for name, mode := range map[string]fs.FileMode{"/shut": 0, "/open": 0o755, "/open/shut.yaml": 0} {
		if err := os.Chmod(root+name, mode); err != nil {
			t.Fatal(err)
		}
	}
	denied := func(name string) error { return &fs.PathError{Op: "open", Path: root + name, Err: unix.EACCES} }
	wants := map[string]string{"/open/shut.yaml": "chmod o+r " + root + "/open/shut.yaml", "/open": "chmod o+rx " + root + "/open"}
	if os.Geteuid() != 0 { // whom nothing is in the way
		wants["/shut/open.yaml"] = "chmod o+rx " + root + "/shut"
	}
	for name, want := range wants {
		if got := permit(denied(name)); !strings.HasSuffix(got, want) {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if got := permit(&fs.PathError{Op: "open", Path: root, Err: unix.EIO}); got != "" {
		t.Errorf("an error of the disk: %q", got)
	}
}

// TestFilters: the first filters.d that has a filter wins over those that ship, the jail has what the filter says unless it says something
// itself, and the whole can be kept.
func TestFilters(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	filter := func(units, description string) string {
		return "description: " + description + "\nsource: a test\nunits: [" + units + "]\nport: [21]\ndetection: {maxretry: 30, findtime: 2m}\n" +
			"patterns: [{name: no, kind: failure, match: '^no <ADDR>$'}]\n" +
			"samples: [{line: no 192.0.2.1, pattern: no, address: 192.0.2.1}, {line: yes 192.0.2.1, pattern: none}]\n"
	}
	for name, text := range map[string]string{
		"/usr/lib/exile/filters.d/vsftpd.yaml": filter("package.service", "the package's"),
		"/etc/exile/filters.d/vsftpd.yaml":     filter("own.service", "our own"),
		"/etc/exile/filters.d/other.yaml":      filter("other.service", "another"),
		"/etc/exile/filters.d/broken.yaml":     "patterns: [",
		"/etc/exile/exile.yaml": "defaults: {maxretry: 3, bantime: 5m}\njails:\n  vsftpd: {enabled: true}\n" +
			"  mine: {enabled: true, filter: other, maxretry: 7, units: [mine.service]}\n  broken: {enabled: false}\n",
	} {
		if err := os.MkdirAll(filepath.Dir(root+name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(root+name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	read, err := Load(Sources{Root: root})
	if err != nil {
		t.Fatal(err)
	}
	packed, err := read.Pack()
	if err != nil {
		t.Fatal(err)
	}
	kept, err := Unpack(packed)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []*Config{read, kept} {
		got := map[string]string{}
		for _, j := range c.Jails {
			if len(j.Parts) > 0 && j.Parts[0].Service != nil {
				got[j.Name] = fmt.Sprint(j.Parts[0].Service.Description, j.Units, j.Ports, j.MaxRetry, j.FindTime, j.BanTime, j.Detection)
			}
		}
		want := map[string]string{
			"vsftpd": "our own[own.service] [port 21/tcp] 30 2m0s 5m0sthreshold", "mine": "another[mine.service] [port 21/tcp] 7 2m0s 5m0sthreshold",
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
	if got := read.Origin("vsftpd", "maxretry"); !strings.Contains(got, "exile.yaml") {
		t.Errorf("origin %s", got)
	}
	if passed := read.PassedOver(Sources{Root: root}); len(passed) != 1 || !strings.HasSuffix(passed[0].Path, "/usr/lib/exile/filters.d/vsftpd.yaml") {
		t.Errorf("passed over: %v", passed)
	}
	on := "jails:\n  broken: {enabled: true}\n"
	if err := os.WriteFile(root+"/etc/exile/exile.yaml", []byte(on), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(Sources{Root: root}); err == nil || !strings.Contains(err.Error(), "filters.d/broken.yaml") {
		t.Errorf("a broken filter: %v", err)
	}
}

// TestAuto: a jail that is auto runs where a unit or a log of its service exists.
func TestAuto(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		files []string
		want  bool
	}{
		"nothing":             {nil, false},
		"another unit":        {[]string{"/usr/lib/systemd/system/web2.service"}, false},
		"the unit":            {[]string{"/usr/lib/systemd/system/web.service"}, true},
		"a template":          {[]string{"/etc/systemd/system/web@.service"}, true},
		"an instance":         {[]string{"/run/systemd/system/web@a.service"}, true},
		"a masked unit":       {[]string{"/usr/lib/systemd/system/web@b.service"}, false},
		"a log":               {[]string{"/var/log/web/site/a.log"}, true},
		"a folder of logs":    {[]string{"/var/log/web/site/a.txt"}, false},
		"a drop-in of a unit": {[]string{"/usr/lib/systemd/system/web.service.d/x.conf"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root := t.TempDir()
			text := "jails:\n  sshd: {enabled: no}\n  web: {enabled: auto, filter: sshd, units: [web.service, web@*.service], logpath: [/var/log/web/*/*.log]}\n"
			for _, file := range append(c.files, "/etc/exile/exile.yaml") {
				if err := os.MkdirAll(filepath.Dir(root+file), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(root+file, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			masked := root + "/etc/systemd/system/web@b.service"
			if err := errors.Join(os.MkdirAll(filepath.Dir(masked), 0o755), os.Symlink(os.DevNull, masked)); err != nil {
				t.Fatal(err)
			}
			cfg, err := Load(Sources{Root: root})
			if err != nil {
				t.Fatal(err)
			}
			for _, j := range cfg.Jails {
				if j.Name == "web" && j.Enabled != c.want || j.ByHand && c.want {
					t.Errorf("jail %s, enabled: %t", j.Name, j.Enabled)
				}
			}
		})
	}
	for _, name := range []string{"recidive", "port-scan"} {
		if _, err := Parse("x.yaml", []byte("jails: {"+name+": {enabled: auto}}")); err == nil || !strings.Contains(err.Error(), "say yes or no") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestSeveral: each filter of a jail keeps its own senders, the jail has what any of them says, and what it says itself holds for all.
func TestSeveral(t *testing.T) {
	t.Parallel()
	cfg := mustParse(t, "jails:\n  web: {filter: [nginx-http-auth, postfix-auth]}\n  own: {filter: 'nginx-http-auth, postfix-auth', units: [a, b], port: 80}\n"+
		"  all: {filter: nginx-http-auth cowrie}\n")
	web, own := jailNamed(t, cfg, "web"), jailNamed(t, cfg, "own")
	nginx, postfix := web.Parts[0], web.Parts[1]
	if len(web.Parts) != 2 || nginx.Filter != "nginx-http-auth" || postfix.Filter != "postfix-auth" {
		t.Fatalf("parts %+v", web.Parts)
	}
	for _, p := range web.Parts {
		if !slices.Equal(p.Units, p.Service.Units) || !slices.Equal(p.LogPath, p.Service.LogPath) || p.TrustStdout != p.Service.Stdout {
			t.Errorf("%s reads %v %v", p.Filter, p.Units, p.LogPath)
		}
		for _, unit := range p.Units {
			if !slices.Contains(web.Units, unit) {
				t.Errorf("the jail lacks %s", unit)
			}
		}
	}
	if slices.Contains(postfix.Units, nginx.Units[0]) {
		t.Errorf("postfix-auth reads %v", postfix.Units)
	}
	ports := map[uint16]bool{}
	for _, p := range web.Ports {
		ports[p.Number] = true
	}
	if !ports[443] || !ports[25] {
		t.Errorf("ports %v", web.Ports)
	}
	for _, p := range own.Parts {
		if !slices.Equal(p.Units, []string{"a.service", "b.service"}) {
			t.Errorf("%s of own reads %v", p.Filter, p.Units)
		}
	}
	if len(own.Ports) != 1 {
		t.Errorf("ports of own %v", own.Ports)
	}
}

// TestArrived: jails that are auto are turned on when their service is there, without another look at the files; nobody is turned off.
func TestArrived(t *testing.T) {
	t.Parallel()
	there := ""
	s := Sources{Exists: func(logs []string) bool { return slices.Contains(logs, there) }, Text: "jails:\n  sshd: {enabled: no}\n" +
		"  web: {enabled: auto, filter: nginx-http-auth, units: none-of-these, logpath: /srv/web.log}\n" +
		"  bad: {enabled: auto, filter: no-such, units: none-of-these, logpath: /srv/bad.log}\n", File: "x"}
	cfg, err := Load(s)
	if err != nil {
		t.Fatal(err)
	}
	if got := cfg.Arrived(); got != nil || !cfg.Jails[len(cfg.Jails)-1].ByHand {
		t.Errorf("without its log: %v", got)
	}
	there = "/srv/web.log"
	names := cfg.Arrived()
	next, err := cfg.With(names)
	if err != nil || !slices.Equal(names, []string{"web"}) || !jailNamed(t, next, "web").Enabled || next.Jails[len(next.Jails)-1].ByHand {
		t.Errorf("with its log: %v, %v", names, err)
	}
	there = ""
	if again, err := next.With(next.Arrived()); err != nil || !jailNamed(t, again, "web").Enabled || jailNamed(t, cfg, "web").Enabled {
		t.Errorf("a log that is gone: %v", err)
	}
	there = "/srv/bad.log"
	if _, err := cfg.With(cfg.Arrived()); err == nil || !strings.Contains(err.Error(), "no-such") {
		t.Errorf("a jail without a filter: %v", err)
	}
}
