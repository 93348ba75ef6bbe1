package setup

import (
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
		j := &config.Jail{Identifiers: []string{"web"}, Service: &services.Service{Sender: c.sender}}
		if c.sender == services.Unit {
			j.Units = []string{"web.service"}
		}
		if got := Accepts(j)(&c.entry); got != c.want {
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
		if got := InJournal(&config.Jail{Units: c.units, Service: &services.Service{Sender: c.sender}}); got != c.want {
			t.Errorf("units %q, sender %q: %t", c.units, c.sender, got)
		}
	}
}
