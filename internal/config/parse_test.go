package config

import (
	"errors"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"exile/firewall"
	"exile/jail"
)

func TestParseDuration(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Duration{
		"0": 0, "600": 600 * time.Second, "10m": 10 * time.Minute, "10 min": 10 * time.Minute, " 1H ": time.Hour,
		"1h 30min": 90 * time.Minute, "1d12h": 36 * time.Hour, "2 weeks": 14 * day, "1w": 7 * day,
		"1mo": 730*time.Hour + 30*time.Minute, // 365.25 d / 12 = 30.4375 d = 730.5 h
		"1y":  365*day + 6*time.Hour, "100y": 100 * year, "1year 1s": year + time.Second,
	} {
		if got, err := ParseDuration(text); err != nil || got != want {
			t.Errorf("%q: %v, %v; want %v", text, got, err, want)
		}
	}
	for _, text := range []string{
		"", " ", "m", "-1", "+1", "1.5h", "1x", "10 10", "1h 5", "0x10", "1_000", "1:30", "101y", "99999999999999999999",
		"9223372036854775807w", "100y 1s", "١m",
	} {
		if got, err := ParseDuration(text); err == nil {
			t.Errorf("%q: %v, want an error", text, got)
		}
	}
}

// Each form that a value may have, and what it means.
func TestValues(t *testing.T) {
	t.Parallel()
	tcp := func(n ...uint16) (ports []firewall.Port) {
		for _, p := range n {
			ports = append(ports, firewall.Port{Proto: 6, Number: p})
		}
		return ports
	}
	for text, c := range map[string]struct {
		get  func(Jail) any
		want any
	}{
		"bantime: -1":                     {func(j Jail) any { return j.BanTime }, jail.Permanent},
		"bantime: infinity":               {func(j Jail) any { return j.BanTime }, jail.Permanent},
		"bantime: '3600'":                 {func(j Jail) any { return j.BanTime }, time.Hour},
		"simulate: yes":                   {func(j Jail) any { return j.Simulate }, true},
		"simulate: 'True'":                {func(j Jail) any { return j.Simulate }, true},
		"enabled: off":                    {func(j Jail) any { return j.Enabled }, false},
		"port: all":                       {func(j Jail) any { return j.Ports }, tcp()},
		"port: ssh":                       {func(j Jail) any { return j.Ports }, tcp(22)},
		"port: '22,2222'":                 {func(j Jail) any { return j.Ports }, tcp(22, 2222)},
		"port: [80, https]":               {func(j Jail) any { return j.Ports }, tcp(80, 443)},
		"port: '6000:6002'":               {func(j Jail) any { return j.Ports }, tcp(6000, 6001, 6002)},
		"port: domain/udp":                {func(j Jail) any { return j.Ports }, []firewall.Port{{Proto: 17, Number: 53}}},
		"units: [nginx, 'x@*.service']":   {func(j Jail) any { return j.Units }, []string{"nginx.service", "x@*.service"}},
		"identifiers: 'a, b c'":           {func(j Jail) any { return j.Identifiers }, []string{"a", "b", "c"}},
		"logpath: /var/log/auth.log":      {func(j Jail) any { return j.LogPath }, []string{"/var/log/auth.log"}},
		"logtimezone: UTC":                {func(j Jail) any { return j.LogTimeZone }, "UTC"},
		"logtimezone: local":              {func(j Jail) any { return j.LogTimeZone }, "Local"},
		"ignorecommand: /bin/x <ip> y":    {func(j Jail) any { return j.IgnoreCommand }, []string{"/bin/x", "<ip>", "y"}},
		"ignorecommand: [/bin/x, 'a; b']": {func(j Jail) any { return j.IgnoreCommand }, []string{"/bin/x", "a; b"}},
		"bantime.multipliers: 1 5 30":     {func(j Jail) any { return j.Escalation.Multipliers }, []int{1, 5, 30}},
		"maxretry: 9\naggregate: both":    {func(j Jail) any { return j.Aggregate }, jail.Aggregate{IPv4: 8, IPv6: 3}},
		"aggregate: off":                  {func(j Jail) any { return j.Aggregate }, jail.Aggregate{}},
		"bantime: 1h\nbantime.increment: on": {
			func(j Jail) any { return j.Escalation.Increment }, true,
		},
		"detection: adaptive\nmaxretry: 3": {func(j Jail) any { return j.Detection }, jail.Adaptive},
	} {
		// The built-in jail has units and identifiers of its own: another one takes the defaults.
		j := jailNamed(t, mustParse(t, text+"\njails: {other: {filter: sshd}, sshd: {enabled: yes}}"), "other")
		if diff := cmp.Diff(c.want, c.get(j)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", text, diff)
		}
	}
}

// The detector of an adaptive jail bans networks by itself: bans are grouped there only if the jail itself says so.
func TestAggregateInAdaptiveJail(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]jail.Aggregate{
		"jails: {sshd: {}}":                                     {},
		"jails: {sshd: {maxretry: 5}}":                          {IPv6: 3},
		"jails: {sshd: {detection: adaptive}}":                  {},
		"aggregate: both\njails: {sshd: {detection: adaptive}}": {},
		"jails: {sshd: {detection: adaptive, aggregate: both}}": {IPv4: 8, IPv6: 3},
		"detection: adaptive\njails: {sshd: {aggregate: ipv6}}": {IPv6: 3},
	} {
		if got := jailNamed(t, mustParse(t, text), "sshd").Aggregate; got != want {
			t.Errorf("%s: %+v, want %+v", text, got, want)
		}
	}
}

// TestDetection: without a word about it an sshd jail is adaptive, and one that names a number of the tutorial does what the
// tutorial says; the configuration says why.
func TestDetection(t *testing.T) {
	t.Parallel()
	const rule = "5 points within 1d or 10 within 30d; bans of 1h, 4h, 1d, 4d, 16d, 30d"
	for text, want := range map[string][3]string{
		"ignoreip: 192.0.2.1":         {"adaptive", "built-in", rule},
		"sshd: {ignoreip: 192.0.2.1}": {"adaptive", "built-in", rule},
		"sshd: {maxretry: 3}":         {"threshold", "maxretry, t.yaml:1", "3 attempts within 10min; bans of 10min, longer for each further offence"},
		"\nbantime: 2h":               {"threshold", "bantime, t.yaml:2", "5 attempts within 10min; bans of 2h"},
		"bantime: -1":                 {"threshold", "bantime, t.yaml:1", "5 attempts within 10min; permanent bans"},
		"sshd:\n  maxretry: 6\n  detection: adaptive\n  adaptive.slow_retry: 0\n  adaptive.maxban: 5h": {"adaptive", "t.yaml:3", "6 points within 1d; bans of 1h, 4h, 5h, 5h, 5h, 5h"},
		"detection: threshold":                       {"threshold", "t.yaml:1", "5 attempts within 10min; bans of 10min, longer for each further offence"},
		"other: {filter: sshd}\nsshd: {enabled: no}": {"adaptive", "built-in", rule},
	} {
		c, err := Parse("t.yaml", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		j := c.Jails[0]
		if got := [3]string{string(j.Detection), c.Why(j.Name), j.Rule()}; got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
		if again := mustParse(t, c.YAML()).Jails[0].Detection; again != j.Detection {
			t.Errorf("%q prints as a configuration that is %s", text, again)
		}
	}
}

// Every way to write the same list: as in a tutorial, with any of the separators, and as YAML has lists. Worked out by hand:
// 127.0.0.1/8 is the network 127.0.0.0/8; ::1 alone is all of its 128 bits; 255.255.255.0 is 24 ones.
func TestIgnoreIP(t *testing.T) {
	t.Parallel()
	want := []jail.Ignore{
		{Prefix: netip.MustParsePrefix("127.0.0.0/8")},
		{Prefix: netip.MustParsePrefix("::1/128")},
		{Prefix: netip.MustParsePrefix("192.0.2.0/24")},
		{Host: "office.example.org"},
		{File: "/etc/exile/friends"},
	}
	for _, text := range []string{
		"127.0.0.1/8 ::1 192.0.2.7/255.255.255.0 office.example.org file:/etc/exile/friends",
		"127.0.0.1/8, ::1, 192.0.2.0/24, office.example.org, file:/etc/exile/friends",
		"'127.0.0.1/8,::1,192.0.2.0/24,office.example.org,file:/etc/exile/friends'",
		"127.0.0.1/8,::1  192.0.2.0/24 ,office.example.org\n    file:/etc/exile/friends",
		"|\n    127.0.0.1/8\t::1\n    192.0.2.0/24\n    office.example.org,\n    file:/etc/exile/friends",
		"[127.0.0.1/8, '::1', 192.0.2.0/24, office.example.org, 'file:/etc/exile/friends']",
		"\n  - 127.0.0.1/8\n  - ::1\n  - 192.0.2.7/255.255.255.0\n  - Office.Example.Org.\n  - file:/etc/exile/friends",
	} {
		j := jailNamed(t, mustParse(t, "defaults:\n  ignoreip: "+strings.ReplaceAll(text, "\n  -", "\n    -")+"\n"), "sshd")
		if diff := cmp.Diff(want, j.IgnoreIP, cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); diff != "" {
			t.Errorf("%s (-want +got):\n%s", text, diff)
		}
	}
}

func TestLoadRefuses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		make func(path string) error
		want string
	}{
		"pipe":   {func(p string) error { return unix.Mkfifo(p, 0o600) }, "not a regular file"},
		"folder": {func(p string) error { return os.Mkdir(p, 0o700) }, "not a regular file"},
		"large":  {func(p string) error { return os.WriteFile(p, make([]byte, maxFile+1), 0o600) }, "larger than"},
		"loop":   {func(p string) error { return os.Symlink(p, p) }, "too many levels"},
		"deep": {
			func(p string) error { return os.WriteFile(p, []byte(strings.Repeat("[", maxFile)), 0o600) }, "not YAML",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "exile.yaml")
			if err := c.make(path); err != nil {
				t.Fatal(err)
			}
			if _, err := Load(Sources{File: path}); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
		})
	}
	if _, err := Load(Sources{File: "/nowhere/exile.yaml"}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: error %v", err)
	}
}

// A file that is wrong from top to bottom gives an error that can be read.
func TestManyProblems(t *testing.T) {
	t.Parallel()
	_, err := Parse("t.yaml", []byte("jails:\n  sshd:\n"+"    x: 1\n"+manyKeys(100)))
	if err == nil || strings.Count(err.Error(), "\n") != maxProblems || !strings.HasSuffix(err.Error(), "and 81 more") {
		t.Errorf("error %v", err)
	}
	if p, ok := errors.AsType[*Problem](err); !ok || p.File != "t.yaml" || p.Line != 3 {
		t.Errorf("first problem %+v", p)
	}
}

func manyKeys(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString("    k" + strings.Repeat("y", i) + ": 1\n")
	}
	return b.String()
}

// Whatever a file holds: it is read or refused, what is read is in range, and it prints as a file that reads the same.
func FuzzParse(f *testing.F) {
	f.Add([]byte("defaults: {findtime: 600, bantime: 3600}\njails: {sshd: {enabled: true, maxretry: 4, port: ssh}}"))
	f.Add([]byte("ignoreip: [192.0.2.1, \"::1/64\", file:/x, host]\nsshd:\n  ignorecommand: [/x, \"<ip>\", 'a''b']\n"))
	f.Add([]byte("a: &x [*x]\n--- !!binary |\n  x\n? [x]\n: <<\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := Parse("t.yaml", data)
		if err != nil {
			return
		}
		for _, j := range c.Jails {
			if j.MaxRetry < 1 || j.FindTime <= 0 || j.BanTime <= 0 && j.BanTime != jail.Permanent || len(j.Ports) > maxPorts {
				t.Errorf("out of range: %+v", j)
			}
		}
		again, err := Parse("t.yaml", []byte(c.YAML()))
		if err != nil {
			t.Fatalf("%v\n%s", err, c.YAML())
		}
		for i := range c.Jails { // it depends on the order of files, see there
			c.Jails[i].Escalation.Increment = again.Jails[i].Escalation.Increment
		}
		diffConfig(t, c, again)
	})
}

// TestNotText: a file in another encoding says so, whatever it would be read as.
func TestNotText(t *testing.T) {
	t.Parallel()
	for data, want := range map[string]string{
		"\xff\xfeb\x00:\x00": "t.yaml: this is text in UTF-16: save it in UTF-8",
		"\xfe\xff\x00b\x00:": "t.yaml: this is text in UTF-16: save it in UTF-8",
		"b\x00:\x001\x00":    "t.yaml: this is text in UTF-16: save it in UTF-8",
		"a: 1\nb: \xe4\n":    "t.yaml:2: this line is not text in UTF-8: save the file in that encoding",
		"a: 1\nb\x00: 1\n":   "t.yaml:2: this line has a NUL byte: it is not text",
	} {
		if _, err := decode("t.yaml", []byte(data)); err == nil || err.Error() != want {
			t.Errorf("%q: %v, want %s", data, err, want)
		}
	}
}
