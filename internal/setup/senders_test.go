package setup

import (
	"fmt"
	"testing"

	"exile/internal/config"
	"exile/jail/filter/services"
	"exile/journal"
)

// TestAccepts: whose lines a jail believes, by the sender that its filter names.
func TestAccepts(t *testing.T) {
	t.Parallel()
	entry := func(uid int64, unit, identifier, transport string) journal.Entry {
		return journal.Entry{UID: uid, Unit: unit, Identifier: identifier, Transport: transport}
	}
	for _, c := range []struct {
		sender services.Sender
		entry  journal.Entry
		want   bool
	}{
		{services.Unit, entry(33, "web.service", "anything", "syslog"), true},
		{services.Unit, entry(0, "other.service", "web", "syslog"), false},
		{services.Unit, entry(0, "", "web", "syslog"), false},
		{services.Root, entry(0, "other.service", "web", "syslog"), true},
		{services.Root, entry(0, "", "web", "syslog"), true},
		{services.Root, entry(33, "other.service", "web", "syslog"), false},
		{services.Root, entry(0, "other.service", "other", "syslog"), false},
		{services.Root, entry(0, "init.scope", "web", "syslog"), false},
		{services.Root, entry(1000, "user@1000.service", "web", "syslog"), false},
		{services.Root, entry(0, "other.service", "web", "stdout"), false},
		{services.Kernel, entry(0, "", "kernel", "kernel"), true},
		{services.Kernel, entry(0, "", "kernel", "syslog"), false},
		{services.Kernel, entry(0, "web.service", "web", "journal"), false},
	} {
		r := &Reading{Part: &config.Part{Identifiers: []string{"web"}, Service: &services.Service{Sender: c.sender}}}
		if c.sender == services.Unit {
			r.Units = []string{"web.service"}
		}
		if got := r.Accepts([]*Reading{r})(&c.entry); got != c.want {
			t.Errorf("sender %q: %+v: %t", c.sender, c.entry, got)
		}
	}
}

// TestInJournal: a jail that finds its lines in the journal does not read a log that others can write.
func TestInJournal(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		units  []string
		sender services.Sender
		want   bool
	}{{nil, services.Unit, false}, {[]string{"web.service"}, services.Unit, true}, {nil, services.Root, true}, {nil, services.Kernel, true}} {
		if got := InJournal(&config.Part{Units: c.units, Service: &services.Service{Sender: c.sender}}); got != c.want {
			t.Errorf("units %q, sender %q: %t", c.units, c.sender, got)
		}
	}
}

// TestPlaces: a filter reads what was chosen for it: a log of another filter of its jail, or the journal beside its log, is not its.
func TestPlaces(t *testing.T) {
	t.Parallel()
	web := &services.Service{Form: services.Line}
	access := &config.Part{Service: web, Units: []string{"web.service"}, LogPath: []string{"/var/log/web/*access.log"}}
	mail := &config.Part{Service: &services.Service{Form: services.Syslog}, Units: []string{"mail.service"}, Identifiers: []string{"mail"}}
	line := journal.Entry{Transport: "text", Log: "/var/log/web/a-access.log"}
	other := journal.Entry{Transport: "text", Log: "/var/log/web/error.log"}
	rotated := journal.Entry{Transport: "text", Log: "/var/log/web/a-access.log.1"}
	syslog := journal.Entry{Transport: "text", Log: "/var/log/web/a-access.log", Identifier: "mail"}
	auth := journal.Entry{Transport: "text", Log: "/var/log/auth.log", Identifier: "mail"}
	unit := journal.Entry{Transport: "syslog", Unit: "web.service", UID: 33}
	for _, c := range []struct {
		name  string
		r     Reading
		entry journal.Entry
		want  bool
	}{
		{"own log", Reading{access, access.LogPath}, line, true},
		{"own log, rotated", Reading{access, access.LogPath}, rotated, true},
		{"another log", Reading{access, access.LogPath}, other, false},
		{"own unit beside the log", Reading{access, access.LogPath}, unit, false},
		{"own unit", Reading{access, nil}, unit, true},
		{"own log beside the journal", Reading{access, nil}, line, false},
		{"another's log with the identifier", Reading{mail, nil}, syslog, false},
		{"in place of the journal", Reading{mail, nil}, auth, true},
		{"another's unit", Reading{mail, nil}, unit, false},
	} {
		accepts := c.r.Accepts([]*Reading{&c.r})
		for range 2 { // the logs are remembered
			if got := accepts(&c.entry); got != c.want {
				t.Errorf("%s: %t, want %t", c.name, got, c.want)
			}
		}
	}
	beside := Reading{mail, nil}
	if beside.Accepts([]*Reading{&beside, {access, access.LogPath}})(&auth) {
		t.Error("what the journal says is read a second time in the log of a syslog daemon, which is another filter's")
	}
}

// TestManyLogs: lines of many logs in turn cost no memory each, and a service that makes more and more logs does not fill it.
func TestManyLogs(t *testing.T) {
	p := &config.Part{Service: &services.Service{Form: services.Line}, LogPath: []string{"/var/log/web/*access.log", "/srv/*/access.log"}}
	r := Reading{p, p.LogPath}
	accepts := r.Accepts([]*Reading{&r})
	entries := make([]journal.Entry, 300)
	for i := range entries {
		entries[i] = journal.Entry{Transport: "text", Log: fmt.Sprintf("/var/log/web/%d-access.log", i)}
	}
	read := func() {
		for i := range entries {
			if !accepts(&entries[i]) {
				t.Fatalf("%s is not read", entries[i].Log)
			}
		}
	}
	if n := testing.AllocsPerRun(2, read); n != 0 {
		t.Errorf("%v allocations", n)
	}
	for i := range 3 * maxPlaces {
		e := journal.Entry{Transport: "text", Log: fmt.Sprintf("/var/log/web/%d-error.log", i)}
		if accepts(&e) {
			t.Errorf("%s is read", e.Log)
		}
	}
	read()
}
