package config

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"exile/jail"
	"exile/journal"
)

// TestMatch: matches are combined as journalctl combines them.
func TestMatch(t *testing.T) {
	t.Parallel()
	term := func(field string, values ...string) journal.Term { return journal.Term{Field: field, Values: values} }
	for text, want := range map[string]journal.Selector{
		"A=1":                         {{term("A", "1")}},
		"A=1 B=2 A=3":                 {{term("A", "1", "3"), term("B", "2")}},
		"A=1 + B=2 A=3":               {{term("A", "1")}, {term("B", "2"), term("A", "3")}},
		"['A=a b, c', +, _B_2=x=y]":   {{term("A", "a b, c")}, {term("_B_2", "x=y")}},
		"[]":                          nil,
		"_SYSTEMD_UNIT=web@*.service": {{term("_SYSTEMD_UNIT", "web@*.service")}},
	} {
		c, err := Parse("t.yaml", []byte("jails: {web: {filter: sshd, units: x, match: "+text+"}}"))
		if len(want) > 0 {
			c, err = Parse("t.yaml", []byte("jails: {web: {filter: sshd, match: "+text+"}}"))
		}
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if diff := cmp.Diff(want, jailNamed(t, c, "web").Match); diff != "" {
			t.Errorf("%s (-want +got):\n%s", text, diff)
		}
	}
}

// TestContainers: what a jail says of containers takes the place of what its filter says of a service of the host.
func TestContainers(t *testing.T) {
	t.Parallel()
	c := mustParse(t, "jails: {web: {filter: nginx-http-auth, containers: [web-*, image=*/nginx:1.*], owner: 1000}}")
	j := jailNamed(t, c, "web")
	want := Part{
		Filter: "nginx-http-auth", Service: j.Parts[0].Service,
		Containers: jail.Containers{Names: []string{"web-*"}, Images: []string{"*/nginx:1.*"}, Owner: 1000},
	}
	if diff := cmp.Diff([]Part{want}, j.Parts, cmp.Comparer(func(a, b journal.Selector) bool { return len(a) == len(b) }),
		cmp.FilterPath(func(p cmp.Path) bool { return p.Last().String() == ".Service" }, cmp.Ignore())); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if len(j.Units)+len(j.Identifiers)+len(j.LogPath) > 0 || !j.Contained() {
		t.Errorf("it still reads %q %q %q", j.Units, j.Identifiers, j.LogPath)
	}
	docker := jailNamed(t, mustParse(t, "jails: {web: {filter: nginx-http-auth, logformat: docker, logpath: /c/*/*-json.log}}"), "web")
	if p := &docker.Parts[0]; !p.InDocker() || !docker.Contained() || len(p.Units)+len(p.Identifiers) > 0 || len(p.LogPath) != 1 {
		t.Errorf("%+v", p)
	}
	if plain := jailNamed(t, mustParse(t, "jails: {web: {filter: nginx-http-auth}}"), "web"); plain.Contained() || len(plain.Units) == 0 {
		t.Errorf("a service of the host: %+v", plain.Parts)
	}
}

// TestContainerMistakes: each mistake is told with its place and what to write.
func TestContainerMistakes(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"filter: sshd, match: A":                                    `t.yaml:1: match: "A" is not FIELD=VALUE`,
		"filter: sshd, match: a=1":                                  `"a=1" is not FIELD=VALUE`,
		"filter: sshd, match: A=":                                   "a value has 1 to 256 bytes",
		"filter: sshd, match: 'A=['":                                "syntax error in pattern",
		"filter: sshd, match: + A=1":                                "a plus stands between two matches",
		"filter: sshd, match: A=1 +":                                "a plus stands between two matches",
		"filter: sshd, match: MESSAGE=x":                            "what a line says is for the filter",
		"filter: sshd, match: {A: 1}":                               "write matches as FIELD=VALUE",
		"filter: nginx-http-auth, containers: docker.io/nginx":      `"docker.io/nginx" is neither the name or a pattern of containers, nor image=`,
		"filter: nginx-http-auth, containers: image=":               "is neither the name or a pattern",
		"filter: nginx-http-auth, containers: web, owner: nobody-7": `"nobody-7" is neither a UID nor an account in /etc/passwd`,
		"filter: nginx-http-auth, containers: web, owner: -1":       "is neither a UID nor an account",
		"filter: sshd, containers: web":                             "can have others banned with the filter sshd: write trust_stdout: yes",
		"filter: nginx-http-auth, containers: web, units: a":        "units: match: or containers: says in its place whose lines the jail reads",
		"filter: nginx-http-auth, match: A=1, logpath: /l":          "logpath: match: or containers: says in its place",
		"filter: nginx-http-auth, logformat: docker":                "name the containers' logs with logpath:",
		"filter: sshd, logformat: docker, logpath: /c/*.log":        "trust_stdout: yes",
	} {
		_, err := Parse("t.yaml", []byte("jails: {web: {"+text+"}}"))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", text, err, want)
		}
	}
	for _, text := range []string{"filter: sshd, containers: web, trust_stdout: yes", "enabled: no, filter: sshd, containers: web"} {
		mustParse(t, "jails: {web: {"+text+"}}")
	}
}

// TestProxies: proxies are never banned, whatever else ignoreip has.
func TestProxies(t *testing.T) {
	t.Parallel()
	c := mustParse(t, "ignoreip: 192.0.2.1\njails: {web: {filter: nginx-http-auth, proxies: [198.51.100.0/24, 'file:/etc/cdn', lb.example]}, other: {filter: sshd}}")
	j := jailNamed(t, c, "web")
	var got []string
	for _, g := range j.IgnoreIP {
		got = append(got, g.String())
	}
	if diff := cmp.Diff([]string{"192.0.2.1/32", "198.51.100.0/24", "file:/etc/cdn", "lb.example"}, got); diff != "" || len(j.Proxies) != 3 {
		t.Errorf("%d proxies (-want +got):\n%s", len(j.Proxies), diff)
	}
	if other := jailNamed(t, c, "other"); len(other.Proxies) > 0 || len(other.IgnoreIP) != 1 {
		t.Errorf("another jail: %v", other.IgnoreIP)
	}
	if _, err := Parse("t.yaml", []byte("jails: {web: {filter: sshd, proxies: 1.2.3}}")); err == nil || !strings.Contains(err.Error(), "proxies: ") {
		t.Errorf("got %v", err)
	}
}
