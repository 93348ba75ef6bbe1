package main

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"exile/internal/config"
	"exile/internal/control/controltest"
	"exile/internal/suggest"
)

// recommended has a host with a file of its owner, and a report that recommends a rule of suggest for sshd.
func recommended(t *testing.T, rule int) (config.Sources, *suggest.Report) {
	t.Helper()
	from := config.Sources{Root: t.TempDir()}
	own := "defaults: {maxretry: 2, bantime: 5m, ignoreip: [198.51.100.0/24]}\njails: {sshd: {maxretry: 9, bantime.increment: yes, bantime.factor: 3}}\n"
	if err := errors.Join(os.MkdirAll(from.Main()+".d", 0o755), os.WriteFile(from.Main(), []byte(own), 0o600)); err != nil {
		t.Fatal(err)
	}
	r := suggest.Rules()[rule]
	return from, &suggest.Report{
		Verdict: suggest.Change, Best: 1, Jails: []string{"sshd"}, Rows: []suggest.Row{{Rule: suggest.Now}, {Rule: r.Name, Settings: r.Settings}},
		Why: "It would have prevented more.",
	}
}

func dropIn(t *testing.T, from config.Sources, name, text string) {
	t.Helper()
	if err := os.WriteFile(from.DropInPath(name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestEachRuleTakesEffect: a drop-in with any rule of suggest does what was tried, over the settings of the owner, of which the others stay.
func TestEachRuleTakesEffect(t *testing.T) {
	t.Parallel()
	for i, r := range suggest.Rules() {
		from, rep := recommended(t, i)
		text, err := suggestedTrial(from, rep)
		if err != nil {
			t.Errorf("%s: %v", r.Name, err)
			continue
		}
		from.Text = text
		cfg, err := config.Load(from)
		if err != nil {
			t.Fatal(err)
		}
		if j := jailIn(cfg, "sshd"); !strings.HasPrefix(r.Name, string(j.Detection)) || len(j.IgnoreIP) != 1 {
			t.Errorf("%s: %+v", r.Name, j)
		}
	}
}

// TestNotApplied: what would not do what was tried, or would lose something, is not put on trial.
func TestNotApplied(t *testing.T) {
	t.Parallel()
	for want, change := range map[string]func(config.Sources, *suggest.Report){
		"70-own.yaml:2 says maxretry of jail sshd after 60-suggest.yaml": func(from config.Sources, _ *suggest.Report) {
			dropIn(t, from, "70-own.yaml", "jails:\n  sshd: {maxretry: 7}\n")
		},
		"files that sort after 60-suggest.yaml": func(from config.Sources, _ *suggest.Report) {
			dropIn(t, from, "70-own.yaml", "jails:\n  sshd: {bantime.factor: 7}\n")
		},
		"70-own.yaml:1: ": func(from config.Sources, _ *suggest.Report) { dropIn(t, from, "70-own.yaml", "jials: {}\n") },
		"jail sshd is off": func(from config.Sources, _ *suggest.Report) {
			dropIn(t, from, "70-own.yaml", "jails: {sshd: {enabled: no}}\n")
		},
		"is no name for a ": func(_ config.Sources, rep *suggest.Report) { rep.Jails = []string{"a\nb"} },
		"rules of other jails": func(from config.Sources, rep *suggest.Report) {
			rep.Jails = []string{"sshd", "web"}
			dropIn(t, from, suggestedName, suggestedText(rep))
			rep.Jails = []string{"sshd"}
		},
		"60-suggest.yaml has rules of other": func(from config.Sources, _ *suggest.Report) { dropIn(t, from, suggestedName, "defaults: {}\n") },
	} {
		const threshold = 20
		from, rep := recommended(t, threshold)
		change(from, rep)
		if _, err := suggestedTrial(from, rep); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	// Its own file it replaces.
	from, rep := recommended(t, 20)
	dropIn(t, from, suggestedName, suggestedText(rep))
	if _, err := suggestedTrial(from, rep); err != nil {
		t.Error(err)
	}
}

// TestConfirmDropIn: the rule is on trial once and nothing is written; confirm writes the drop-in, whose text it is, and not the main file.
func TestConfirmDropIn(t *testing.T) {
	t.Parallel()
	from, rep := recommended(t, 20)
	before, err := os.ReadFile(from.Main())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(from.Main() + ".d"); err != nil { // it is made
		t.Fatal(err)
	}
	text, err := suggestedTrial(from, rep)
	if err != nil {
		t.Fatal(err)
	}
	fake := new(controltest.Fake)
	fake.Main("/srv/other.yaml")
	if err := tryDropIn(t.Context(), fake, from, text, time.Minute); err == nil || !strings.Contains(err.Error(), `reads "/srv/other.yaml"`) {
		t.Errorf("another file: %v", err)
	}
	fake.Main(from.Main())
	if err := tryDropIn(t.Context(), fake, from, text, time.Minute); err != nil {
		t.Fatal(err)
	}
	if err := tryDropIn(t.Context(), fake, from, text, time.Minute); err == nil || !strings.Contains(err.Error(), "on trial already") {
		t.Errorf("twice: %v", err)
	}
	if _, err := os.Stat(from.Main() + ".d"); err == nil {
		t.Error("written before it was confirmed")
	}
	o := new(options)
	if err := o.confirm(t.Context(), fake, o.newConsole(io.Discard), from.Main(), text); err != nil {
		t.Fatal(err)
	}
	now, err := os.ReadFile(from.Main())
	if err != nil || string(now) != string(before) {
		t.Errorf("the main file: %s, %v", now, err)
	}
	got, err := os.ReadFile(filepath.Join(from.Root, "etc/exile/exile.yaml.d/60-suggest.yaml"))
	if err != nil || string(got) != suggestedText(rep) {
		t.Errorf("the drop-in: %s, %v", got, err)
	}
	tried := from
	tried.Text = text
	a, err1 := config.Load(from)
	b, err2 := config.Load(tried)
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	if err := takesEffect(a, b, "sshd", nil); err != nil {
		t.Errorf("confirmed: %v", err)
	}
}
