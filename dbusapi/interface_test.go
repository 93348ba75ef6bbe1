package dbusapi

import (
	"encoding/xml"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
	"github.com/godbus/dbus/v5/introspect"
	"github.com/google/go-cmp/cmp"

	"exile/dbusapi/dbustest"
	"exile/dbusapi/internal/exile1"
	"exile/dbusapi/internal/server"
	"exile/internal/control"
	"exile/internal/control/controltest"
)

// The tests of this file compare what is served with what is written: with UPDATE set they write it.

// live returns what a daemon on a bus says of an object.
func live(t *testing.T, path dbus.ObjectPath) introspect.Node {
	t.Helper()
	bus := dbustest.Start(t)
	fake := &controltest.Fake{}
	fake.Set(control.Status{}, []control.JailStatus{{Name: "sshd"}}, nil, nil)
	up, done := make(chan error, 1), make(chan struct{})
	s := New(Config{Address: bus.Address, Daemon: fake, LogLevel: new(slog.LevelVar), Connected: func(err error) { up <- err }})
	ctx := t.Context() // ends before the cleanups
	go func() {
		defer close(done)
		_ = s.Serve(ctx) // returns nil
	}()
	t.Cleanup(func() { <-done })
	if err := <-up; err != nil {
		t.Fatal(err)
	}
	conn, err := dbus.Connect(bus.Address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	var text string
	if err := conn.Object(BusName, path).Call("org.freedesktop.DBus.Introspectable"+".Introspect", 0).Store(&text); err != nil {
		t.Fatal(err)
	}
	var n introspect.Node
	if err := xml.Unmarshal([]byte(text), &n); err != nil {
		t.Fatal(err)
	}
	return n
}

// ours is an interface of a node.
func ours(t *testing.T, n introspect.Node, name string) introspect.Interface {
	t.Helper()
	i := slices.IndexFunc(n.Interfaces, func(i introspect.Interface) bool { return i.Name == name })
	if i < 0 {
		t.Fatalf("no interface %s in %v", name, n.Interfaces)
	}
	return n.Interfaces[i]
}

func TestShippedInterfacesAreTheServedOnes(t *testing.T) {
	t.Parallel()
	for path, name := range map[dbus.ObjectPath]string{exile1.ManagerPath: ManagerInterface, exile1.JailsPath + "/sshd": JailInterface} {
		i := ours(t, live(t, path), name)
		compareFile(t, "../units/dbus/"+name+".xml", server.XML(introspect.Node{Interfaces: []introspect.Interface{i}}))
		manual(t, i, string(path))
	}
}

func compareFile(t *testing.T, file, want string) {
	t.Helper()
	if os.Getenv("UPDATE") != "" {
		if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("%s (-served +written), UPDATE=1 writes it:\n%s", file, diff)
	}
}

// manual checks that org.exile1(5) has the interface as served, and a word about each member.
func manual(t *testing.T, i introspect.Interface, path string) {
	t.Helper()
	const file = "../docs/man/org.exile1.5"
	page, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	begin, end := `.\" begin `+i.Name+"\n", `.\" end `+i.Name+"\n"
	head, rest, ok := strings.Cut(string(page), begin)
	_, tail, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("%s has no lines %q and %q", file, begin, end)
	}
	compareFile(t, file, head+begin+".Bd -literal\n"+synopsis(i, path)+".Ed\n"+end+tail)
	_, words, _ := strings.Cut(tail, `.\" members of `+i.Name+"\n")
	words, _, _ = strings.Cut(words, ".Sh ")
	for _, name := range members(i) {
		if !regexp.MustCompile(`(?m)^\.It .*\b` + name + `\b`).MatchString(words) {
			t.Errorf("%s does not describe %s.%s", file, i.Name, name)
		}
	}
}

// The manual lists the records that are described as JSON.
func TestManualHasTheRecords(t *testing.T) {
	t.Parallel()
	const file, begin, end = "../docs/man/org.exile1.5", `.\" begin records` + "\n", `.\" end records` + "\n"
	page, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, _ := strings.Cut(string(page), begin)
	_, tail, ok := strings.Cut(rest, end)
	if !ok {
		t.Fatalf("%s has no lines %q and %q", file, begin, end)
	}
	var b strings.Builder
	for _, r := range control.Records() {
		of := reflect.TypeOf(r)
		fmt.Fprintf(&b, "%s {\n", recordName(of))
		for f := range of.Fields() {
			switch name := f.Tag.Get("json"); {
			case f.Anonymous:
				fmt.Fprintf(&b, "  what %s has\n", recordName(f.Type))
			case name != "-":
				fmt.Fprintf(&b, "  %s: %s\n", name, recordType(f.Type))
			}
		}
		b.WriteString("}\n")
	}
	compareFile(t, file, head+begin+".Bd -literal\n"+b.String()+".Ed\n"+end+tail)
}

// recordName is what a record is called.
func recordName(of reflect.Type) string {
	if of == reflect.TypeFor[control.JailStatus]() {
		return "Jail"
	}
	return of.Name()
}

// recordType is the type of a field, as JSON has it.
func recordType(t reflect.Type) string {
	switch t {
	case reflect.TypeFor[time.Time](), reflect.TypeFor[time.Duration]():
		return "number or null"
	case reflect.TypeFor[netip.Prefix]():
		return "string"
	case reflect.TypeFor[control.Ban]():
		return "Ban or null"
	}
	switch t.Kind() {
	case reflect.Slice:
		return "list of " + strings.TrimSuffix(recordType(t.Elem()), " or null")
	case reflect.Map:
		return "numbers by string, or null"
	case reflect.Struct:
		return recordName(t)
	case reflect.String:
		return "string"
	case reflect.Bool:
		return "boolean"
	}
	return "number"
}

func members(i introspect.Interface) []string {
	var out []string
	for _, m := range i.Methods {
		out = append(out, m.Name)
	}
	for _, s := range i.Signals {
		out = append(out, s.Name)
	}
	for _, p := range i.Properties {
		out = append(out, p.Name)
	}
	return out
}

// synopsis prints an interface as the man pages of systemd do.
func synopsis(i introspect.Interface, path string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "node %s {\n  interface %s {\n", path, i.Name)
	for k, m := range i.Methods {
		if k == 0 {
			b.WriteString("    methods:\n")
		}
		fmt.Fprintf(&b, "      %s(%s);\n", m.Name, arguments(m.Args))
	}
	for k, s := range i.Signals {
		if k == 0 {
			b.WriteString("    signals:\n")
		}
		fmt.Fprintf(&b, "      %s(%s);\n", s.Name, arguments(s.Args))
	}
	for k, p := range i.Properties {
		if k == 0 {
			b.WriteString("    properties:\n")
		}
		fmt.Fprintf(&b, "      @%s %s %s %s;\n", p.Annotations[0].Value, p.Access, p.Type, p.Name)
	}
	b.WriteString("  };\n};\n")
	return b.String()
}

func arguments(as []introspect.Arg) string {
	var out []string
	for _, a := range as {
		out = append(out, strings.TrimSpace(a.Direction+" "+a.Type+" "+a.Name))
	}
	return strings.Join(out, ",\n          ")
}

// Polkit must know each action that a method needs, and no other.
func TestPolicyHasTheActions(t *testing.T) {
	t.Parallel()
	asked := map[string]bool{}
	r := New(Config{}).rows
	for _, i := range []*server.Interface{r.manager(), r.jail()} {
		for _, m := range i.Methods {
			a, ok := control.ActionOf(m.Name)
			if !ok {
				t.Errorf("%s.%s: internal/control does not say who may call it", i.Name, m.Name)
			}
			if a != control.Public {
				asked[a.ID()] = true
			}
			asks := a == control.Public || a == control.MayInspect
			if (m.Action == nil) != (a == control.Public) || m.Waits == asks {
				t.Errorf("%s.%s: anybody may call it: %t, it waits for the disk: %t", i.Name, m.Name, m.Action == nil, m.Waits)
			}
		}
	}
	var policy struct {
		Actions []struct {
			ID       string `xml:"id,attr"`
			Annotate []struct {
				Key   string `xml:"key,attr"`
				Value string `xml:",chardata"`
			} `xml:"annotate"`
		} `xml:"action"`
	}
	text, err := os.ReadFile("../units/polkit/org.exile1.policy")
	if err != nil {
		t.Fatal(err)
	}
	if err := xml.Unmarshal(text, &policy); err != nil {
		t.Fatal(err)
	}
	written := map[string]bool{}
	for _, a := range policy.Actions {
		written[a.ID] = true
		// Without it polkit does not answer a daemon that is not root.
		if len(a.Annotate) == 0 || a.Annotate[0].Key != "org.freedesktop.policykit.owner" || a.Annotate[0].Value != "unix-user:exile" {
			t.Errorf("action %s has no owner", a.ID)
		}
	}
	if diff := cmp.Diff(asked, written); diff != "" {
		t.Errorf("actions (-asked +in the policy):\n%s", diff)
	}
}

// The name stands in files that cannot import it.
func TestFilesHaveTheName(t *testing.T) {
	t.Parallel()
	for file, want := range map[string]string{
		"../units/dbus/org.exile1.conf":     `own="` + BusName + `"`,
		"../units/dbus/org.exile1.service":  "Name=" + BusName + "\n",
		"../units/systemd/exiled.service":   "BusName=" + BusName + "\n",
		"../units/polkit/org.exile1.policy": `<action id="` + BusName + `.inspect">`,
		"../units/dbus/org.exile1.Jail.xml": `<interface name="` + JailInterface + `">`,
		"../docs/man/org.exile1.5":          ".Nm " + BusName + "\n",
	} {
		text, err := os.ReadFile(file)
		if err != nil || !strings.Contains(string(text), want) {
			t.Errorf("%s: no %q (%v)", file, want, err)
		}
	}
}

// mandoc must find nothing wrong with the manuals.
func TestManualsAreClean(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("mandoc"); err != nil {
		t.Skip("SKIPPED, NOT TESTED: mandoc is not installed")
	}
	pages, err := filepath.Glob("../docs/man/*.[1-8]")
	if err != nil || len(pages) < 3 {
		t.Fatalf("manuals: %q, %v", pages, err)
	}
	// Other pages may or may not be installed here and known to mandoc.
	foreign := regexp.MustCompile(`(?m)^mandoc: (outdated mandoc\.db lacks |.*referenced manual not found: ).*\n`)
	for _, page := range pages {
		if text, err := os.ReadFile(page); err == nil && strings.HasPrefix(string(text), ".so ") { // another name, as systemd writes it
			if want := filepath.Join("../docs/man", filepath.Base(strings.TrimSpace(string(text)))); !slices.Contains(pages, want) {
				t.Errorf("%s stands for %s, which is not there", page, want)
			}
			continue
		}
		out, err := exec.Command("mandoc", "-Tlint", page).CombinedOutput()
		if out = foreign.ReplaceAll(out, nil); len(out) > 0 {
			t.Errorf("%v\n%s", err, out)
		}
	}
}
