package config

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"exile/firewall"
	"exile/jail"
	"exile/jail/adaptive"
)

func jailNamed(t *testing.T, c *Config, name string) Jail {
	t.Helper()
	for _, j := range c.Jails {
		if j.Name == name {
			return j
		}
	}
	t.Fatalf("no jail %q", name)
	return Jail{}
}

func mustParse(t *testing.T, text string) *Config {
	t.Helper()
	c, err := Parse("t.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func prefixes(words ...string) (list []jail.Ignore) {
	for _, w := range words {
		list = append(list, jail.Ignore{Prefix: netip.MustParsePrefix(w)})
	}
	return list
}

func TestBuiltin(t *testing.T) {
	t.Parallel()
	got := mustParse(t, "")
	want := &Config{
		Backend:         "auto",
		KillConnections: true,
		JournalDirs:     []string{"/var/log/journal", "/run/log/journal"},
		StateDir:        "/var/lib/exile",
		LookBack:        24 * time.Hour,
		PurgeAge:        60 * 24 * time.Hour,
		MaxBans:         1_000_000,
		NAT64:           NAT64{Auto: true},
		Recidive:        jail.Recidive{MaxRetry: 5, FindTime: 24 * time.Hour, BanTime: 7 * 24 * time.Hour},
		Jails: []Jail{{
			Config: jail.Config{
				Name:        "sshd",
				Detection:   jail.Adaptive,
				MaxRetry:    5,
				FindTime:    10 * time.Minute,
				BanTime:     10 * time.Minute,
				IPv4Prefix:  32,
				IPv6Prefix:  64,
				MaxTracked:  1_000_000,
				Escalation:  jail.Escalation{Increment: true, Factor: 1, MaxTime: 7 * 24 * time.Hour},
				TrustLogins: 24 * time.Hour,
			},
			Adaptive:    adaptive.Default(),
			Enabled:     true,
			Filters:     []string{"sshd"},
			Mode:        "normal",
			Publickey:   "invalid",
			Units:       []string{"ssh.service", "sshd.service", "ssh@*.service", "sshd@*.service"},
			Identifiers: []string{"sshd", "sshd-session", "sshd-auth"},
			Parts: []Part{{
				Filter: "sshd", Units: []string{"ssh.service", "sshd.service", "ssh@*.service", "sshd@*.service"},
				Identifiers: []string{"sshd", "sshd-session", "sshd-auth"},
			}},
			LogTimeZone: "Local",
			IgnoreIP:    prefixes("127.0.0.0/8", "::1/128"),
			IgnoreSelf:  true,
			IgnoreCache: 5 * time.Minute,
			Admins:      []string{"root", "@sudo", "@wheel", "@admin"},
		}},
	}
	opts := []cmp.Option{
		cmpopts.IgnoreUnexported(Config{}, Jail{}), cmpopts.EquateEmpty(),
		cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }),
	}
	if diff := cmp.Diff(want, got, opts...); diff != "" {
		t.Errorf("the built-in configuration (-want +got):\n%s", diff)
	}
}

// The same jail, written in each way that people know.
func TestLayouts(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"sections": "defaults: {findtime: 600, bantime: 3600}\njails: {sshd: {enabled: true, maxretry: 4, port: ssh}}",
		"flat":     "findtime: 10m\nbantime: 1h\nmaxretry: 4\nport: 22",
		"tutorial": "DEFAULT:\n  findtime: 600\nsshd:\n  enabled: true\n  maxretry: 4\n  bantime: 3600\n  port: ssh\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			j := jailNamed(t, mustParse(t, text), "sshd")
			got := []any{j.Enabled, j.MaxRetry, j.FindTime, j.BanTime, j.Escalation.Increment, j.Ports}
			want := []any{true, 4, 10 * time.Minute, time.Hour, false, []firewall.Port{{Proto: 6, Number: 22}}}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// errors.txt: a file, a line "=>", the errors in order; cases are parted by a line "---- name".
func TestErrors(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("testdata/errors.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range strings.Split("\n"+string(data), "\n---- ")[1:] {
		name, rest, _ := strings.Cut(c, "\n")
		text, want, ok := strings.Cut(rest, "=>\n")
		if !ok {
			t.Fatalf("case %q has no =>", name)
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := Parse("t.yaml", []byte(text))
			if err == nil {
				t.Fatal("no error")
			}
			if diff := cmp.Diff(strings.TrimSpace(want), err.Error()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func write(t *testing.T, root, name, text string) {
	t.Helper()
	name = filepath.Join(root, name)
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestLoadOrder(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	write(t, root, "/usr/lib/exile/exile.yaml", "jails: {sshd: {detection: adaptive}}\nbackend: route")
	write(t, root, "/usr/lib/exile/exile.yaml.d/10-a.yaml", "jails: {a: {filter: sshd, maxretry: 7}}")
	write(t, root, "/usr/lib/exile/exile.yaml.d/20-b.yaml", "jails: {b: {filter: sshd, maxretry: 8}}")
	load := func() *Config {
		t.Helper()
		c, err := Load(Sources{Root: root})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	c := load()
	if got := jailNamed(t, c, "sshd").Detection; got != jail.Adaptive || c.Backend != "route" {
		t.Errorf("packaged file: detection %q, backend %q", got, c.Backend)
	}
	if got := jailNamed(t, c, "b").MaxRetry; got != 8 {
		t.Errorf("packaged drop-in: maxretry %d", got)
	}

	// A drop-in of /etc hides the packaged one of its name, and a tutorial's word in it means what the tutorial says.
	write(t, root, "/etc/exile/exile.yaml.d/20-b.yaml", "jails: {b: {filter: sshd, maxretry: 9}, sshd: {maxretry: 4}}")
	c = load()
	if got := jailNamed(t, c, "b").MaxRetry; got != 9 {
		t.Errorf("drop-in of /etc: maxretry %d", got)
	}
	if got := jailNamed(t, c, "sshd").Detection; got != jail.Threshold {
		t.Errorf("maxretry in a later file: detection %q", got)
	}
	wantOrigin := filepath.Join(root, "/etc/exile/exile.yaml.d/20-b.yaml") + ":1"
	if got := c.Origin("sshd", "maxretry"); got != wantOrigin {
		t.Errorf("origin %q, want %q", got, wantOrigin)
	}

	// An empty main file takes the place of the packaged one; drop-ins still count.
	write(t, root, "/etc/exile/exile.yaml", "")
	if err := os.Symlink("/dev/null", filepath.Join(root, "/etc/exile/exile.yaml.d/10-a.yaml")); err != nil {
		t.Fatal(err)
	}
	c = load()
	if c.Backend != "auto" || len(c.Jails) != 2 {
		t.Errorf("masked: backend %q, %d jails", c.Backend, len(c.Jails))
	}
}

func TestNull(t *testing.T) {
	t.Parallel()
	c, err := parse([]file{
		{"a", []byte("defaults: {maxretry: 9}\njails: {sshd: {units: [x.service], maxretry: 3}}\nbackend: route")},
		{"b", []byte("defaults: {maxretry: }\njails: {sshd: {units: null, maxretry: ~}}\nbackend: ~")},
	})
	if err != nil {
		t.Fatal(err)
	}
	j := jailNamed(t, c, "sshd")
	if j.MaxRetry != 5 || len(j.Units) != 4 || c.Backend != "auto" {
		t.Errorf("null left maxretry %d, units %v, backend %q", j.MaxRetry, j.Units, c.Backend)
	}
}

func TestYAMLReadsBack(t *testing.T) {
	t.Parallel()
	c := mustParse(t, `
jails:
  sshd: {detection: adaptive, maxretry: 4, ignoreip: "192.0.2.1, host.example", ignorecommand: [/bin/x, "a b", "-1", "no", ""]}
  empty: {filter: sshd}
`)
	again, err := Parse("t.yaml", []byte(c.YAML()))
	if err != nil {
		t.Fatalf("%v\n%s", err, c.YAML())
	}
	if diff := cmp.Diff(c.Jails, again.Jails, cmpopts.IgnoreUnexported(Jail{}), cmpopts.EquateEmpty(),
		cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); diff != "" {
		t.Errorf("(-once +twice):\n%s", diff)
	}
}

func TestAdaptive(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]func(*adaptive.Config){
		"":                            func(*adaptive.Config) {},
		"maxretry: 3\nfindtime: 1h":   func(*adaptive.Config) {},
		"sshd: {maxretry: 3}":         func(*adaptive.Config) {},
		"sshd: {detection: adaptive}": func(*adaptive.Config) {},
		"maxretry: 3\nsshd: {detection: adaptive}":  func(*adaptive.Config) {},
		"sshd: {detection: adaptive, maxretry: 3}":  func(c *adaptive.Config) { c.MaxRetry = 3 },
		"detection: adaptive\nfindtime: 1h":         func(*adaptive.Config) {},
		"detection: adaptive\nsshd: {findtime: 1h}": func(c *adaptive.Config) { c.FindTime = time.Hour },
		"detection: adaptive\nsshd: {maxretry: 7}":  func(c *adaptive.Config) { c.MaxRetry = 7 },
		"adaptive.maxretry: 2.5\nadaptive.slow_retry: 0": func(c *adaptive.Config) {
			c.MaxRetry, c.SlowRetry = 2.5, 0
		},
		"adaptive.ladder: 1h 1d\nadaptive.name_ladder: [2d]\nadaptive.maxban: 3d": func(c *adaptive.Config) {
			c.Ladder, c.NameLadder, c.MaxBan = []time.Duration{time.Hour, day}, []time.Duration{2 * day}, 3*day
		},
		"adaptive.prefix_hosts: 0\nadaptive.name_hosts: 2\nadaptive.known_good: 1": func(c *adaptive.Config) {
			c.PrefixHosts, c.NameHosts, c.KnownGood = 0, 2, 1
		},
		"adaptive.name_sure: 0\nadaptive.siege_hosts: 8\nadaptive.siege_time: 1d\nadaptive.stranger_retry: 2.5": func(c *adaptive.Config) {
			c.NameSure, c.SiegeHosts, c.SiegeTime, c.StrangerRetry = 0, 8, day, 2.5
		},
	} {
		expected := adaptive.Default()
		want(&expected)
		if diff := cmp.Diff(expected, jailNamed(t, mustParse(t, text), "sshd").Adaptive); diff != "" {
			t.Errorf("%q (-want +got):\n%s", text, diff)
		}
	}
}

// TestService: a jail with the filter of a built-in one guards that one's service, unless a file names another.
func TestService(t *testing.T) {
	t.Parallel()
	builtin := jailNamed(t, mustParse(t, ""), "sshd")
	for text, want := range map[string][]string{
		"jails: {sshd-ddos: {filter: sshd, mode: ddos}}":                                    builtin.Units,
		"jails: {sshd-ddos: {filter: sshd, units: my-sshd}}":                                {"my-sshd.service"},
		"defaults: {units: my-sshd}\njails: {sshd-ddos: {filter: sshd}}":                    {"my-sshd.service"},
		"jails: {sshd: {units: my-sshd}, sshd-ddos: {filter: sshd, identifiers: sshd-two}}": builtin.Units,
	} {
		j := jailNamed(t, mustParse(t, text), "sshd-ddos")
		if diff := cmp.Diff(want, j.Units); diff != "" {
			t.Errorf("%s: units (-want +got):\n%s", text, diff)
		}
		if len(j.Identifiers) == 0 {
			t.Errorf("%s: no identifiers", text)
		}
	}
}

// TestNobodyAtWork: a host without an enabled jail is one for bans by hand, with what the defaults say.
func TestNobodyAtWork(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"defaults: {enabled: no, bantime: 3h}",
		"bantime: 3h\njails: {sshd: {enabled: no}, recidive: {enabled: yes}}",
		"jails: {sshd: {enabled: no}, manual: {enabled: no, bantime: 3h, filter: sshd, units: [x]}}",
	} {
		c := mustParse(t, text)
		last := c.Jails[len(c.Jails)-1]
		if last.Name != "manual" || !last.Enabled || !last.ByHand || last.BanTime != 3*time.Hour || len(last.IgnoreIP) == 0 || len(last.Units) > 0 {
			t.Errorf("%s: %+v", text, last)
		}
	}
	for _, j := range mustParse(t, "").Jails {
		if j.ByHand {
			t.Errorf("beside other jails there is %+v", j)
		}
	}
}
