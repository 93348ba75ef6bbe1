package jail_test

import (
	"strings"
	"testing"

	"exile/jail"
	"exile/journal"
)

// container is an entry as an engine of root's logs it; changes are FIELD=VALUE, and an empty value takes the field away.
func container(changes string) *journal.Entry {
	e := &journal.Entry{Transport: "journal", Unit: "docker.service", Fields: map[string]string{
		"_EXE": "/usr/bin/dockerd", "_SYSTEMD_CGROUP": "/system.slice/docker.service", "CONTAINER_NAME": "web", "CONTAINER_ID_FULL": "0a1b",
		"IMAGE_NAME": "nginx:1.27", "PRIORITY": "6",
	}}
	for change := range strings.FieldsSeq(changes) {
		field, value, _ := strings.Cut(change, "=")
		switch field {
		case "_UID":
			e.UID = 1000
		case "_TRANSPORT":
			e.Transport = value
		case "_SYSTEMD_UNIT":
			e.Unit = value
		default:
			if e.Fields[field] = value; value == "" {
				delete(e.Fields, field)
			}
		}
	}
	return e
}

const conmon = "_EXE=/usr/bin/conmon IMAGE_NAME= "

// TestContainers: only the engine says what a container printed: neither a user of the host nor root in a container can, whatever they send.
func TestContainers(t *testing.T) {
	t.Parallel()
	web := jail.Containers{Names: []string{"web", "shop-*"}}
	image := jail.Containers{Images: []string{"nginx:*"}}
	rootless := jail.Containers{Names: []string{"web"}, Owner: 1000}
	for _, c := range []struct {
		name    string
		of      jail.Containers
		changes string
		want    bool
	}{
		{"docker", web, "", true},
		{"by a pattern", web, "CONTAINER_NAME=shop-1", true},
		{"another container", web, "CONTAINER_NAME=db", false},
		{"by its image", image, "CONTAINER_NAME=db", true},
		{"another image", image, "IMAGE_NAME=httpd:2", false},
		{"no image", image, conmon + "_SYSTEMD_UNIT=libpod-conmon-0a.scope", false},
		{"podman", web, conmon + "_SYSTEMD_UNIT=libpod-conmon-0a.scope", true},
		{"quadlet", web, conmon + "_SYSTEMD_UNIT=web.service _SYSTEMD_CGROUP=/system.slice/web.service/runtime", true},
		{"from inside of a quadlet", web, conmon + "_SYSTEMD_UNIT=web.service _SYSTEMD_CGROUP=/system.slice/web.service/libpod-payload-0a", false},
		{"from inside of docker", web, "_SYSTEMD_UNIT=docker-0a1b.scope", false},
		{"from inside of podman", web, conmon + "_SYSTEMD_UNIT=libpod-0a.scope", false},
		{"from inside of a machine", web, "_SYSTEMD_UNIT=systemd-nspawn@web.service", false},
		{"root's shell", web, "_SYSTEMD_UNIT=session-1.scope", false},
		{"a user", web, "_UID=1000", false},
		{"a user's own engine", web, conmon + "_UID=1000 _SYSTEMD_UNIT=user@1000.service", false},
		{"a program of root's with fields of an engine", web, "_EXE=/usr/bin/logger", false},
		{"a program that has exited", web, "_EXE=", false},
		{"another transport", web, "_TRANSPORT=syslog", false},
		{"standard error", web, "PRIORITY=3", false},
		{"rootless", rootless, conmon + "_UID=1000 _SYSTEMD_UNIT=user@1000.service", true},
		{"rootless, of the wrong user", rootless, conmon, false},
		{"rootless, another program of the user's", rootless, "_UID=1000 _EXE=/home/u/conmon", false},
		{"the console of a machine", web, "_TRANSPORT=stdout _SYSTEMD_UNIT=systemd-nspawn@web.service", false},
	} {
		e := container(c.changes)
		if got := c.of.From(e, false); got != c.want {
			t.Errorf("%s: %t, want %t", c.name, got, c.want)
		}
		if coarse := c.of.Selector().Holds(e); c.want && !coarse {
			t.Errorf("%s: the journal would not be asked for it", c.name)
		}
	}
	for _, changes := range []string{"PRIORITY=3", "_TRANSPORT=stdout _SYSTEMD_UNIT=systemd-nspawn@web.service"} {
		if e := container(changes); !web.From(e, true) || !web.Selector().Holds(e) {
			t.Errorf("%s: not believed although all that is printed is", changes)
		}
	}
}

// TestPieces: a line that is too long for an engine comes in pieces, of which only the first is a line; other outputs are not confused by that.
func TestPieces(t *testing.T) {
	t.Parallel()
	var p jail.Pieces
	for i, c := range []struct {
		changes string
		want    bool
	}{
		{"", false},
		{"CONTAINER_PARTIAL_MESSAGE=true", false},
		{"PRIORITY=3", false},
		{"CONTAINER_ID_FULL=0c", false},
		{"CONTAINER_PARTIAL_MESSAGE=true", true},
		{"", true},
		{"", false},
		{"CONTAINER_PARTIAL_MESSAGE=true CONTAINER_PARTIAL_ORDINAL=1", false},
		{"CONTAINER_PARTIAL_ORDINAL=2", true},
		{"CONTAINER_PARTIAL_ORDINAL=7", true}, // the pieces before it were lost
	} {
		e := container(c.changes)
		e.Position.Seqnum = uint64(i + 1)
		for range 2 {
			if got := p.Continues(e); got != c.want {
				t.Errorf("%d %s: %t, want %t", i, c.changes, got, c.want)
			}
		}
	}
}

// TestFromMatch: a match is believed if it names the sender by what journald knows, or if root is the sender.
func TestFromMatch(t *testing.T) {
	t.Parallel()
	term := func(field string, values ...string) journal.Term { return journal.Term{Field: field, Values: values} }
	user := "_UID=1000 "
	for _, c := range []struct {
		name    string
		match   journal.Selector
		changes string
		stdout  bool
		want    bool
	}{
		{"root's", journal.Selector{{term("CONTAINER_NAME", "web")}}, "", false, true},
		{"a user's with the field", journal.Selector{{term("CONTAINER_NAME", "web")}}, user, false, false},
		{"a user's with the program", journal.Selector{{term("_EXE", "/usr/bin/dockerd")}}, user, false, false},
		{"a unit's of another user", journal.Selector{{term("_SYSTEMD_UNIT", "a.service", "docker.service")}}, user, false, true},
		{"any unit, and a user's", journal.Selector{{term("_SYSTEMD_UNIT", "*")}}, user + "_SYSTEMD_UNIT=user@1000.service", false, false},
		{"a user who is named", journal.Selector{{term("_UID", "1000")}}, user, false, true},
		{"another value", journal.Selector{{term("CONTAINER_NAME", "db", "mail")}}, "", false, false},
		{"one condition of two", journal.Selector{{term("CONTAINER_NAME", "web"), term("IMAGE_NAME", "db")}}, "", false, false},
		{"one alternative of two", journal.Selector{{term("IMAGE_NAME", "db")}, {term("CONTAINER_NAME", "web")}}, "", false, true},
		{"standard output", journal.Selector{{term("_SYSTEMD_UNIT", "docker.service")}}, "_TRANSPORT=stdout", false, false},
		{"trusted standard output", journal.Selector{{term("_SYSTEMD_UNIT", "docker.service")}}, "_TRANSPORT=stdout", true, true},
		{"audit, not named", journal.Selector{{term("PRIORITY", "6")}}, "_TRANSPORT=audit", false, false},
		{"audit", journal.Selector{{term("_TRANSPORT", "audit")}}, user + "_TRANSPORT=audit", false, true},
		{"a text log", journal.Selector{{term("PRIORITY", "6")}}, "_TRANSPORT=text", false, false},
	} {
		if got := jail.FromMatch(container(c.changes), c.match, 0, c.stdout); got != c.want {
			t.Errorf("%s: %t, want %t", c.name, got, c.want)
		}
	}
}
