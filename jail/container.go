package jail

import (
	"net/netip"
	"path"
	"slices"
	"strconv"
	"strings"

	"exile/journal"
)

// Containers says which containers' output is a service's log. The fields are those that Docker (moby, daemon/logger/journald), Podman (conmon,
// src/ctr_logging.c) and nerdctl (pkg/logging/journald_logger.go) send with each line.
type Containers struct {
	Names  []string // names and patterns of path.Match, of CONTAINER_NAME
	Images []string // likewise, of IMAGE_NAME, which only Docker and nerdctl send
	Owner  int64    // the UID whose engine it is; 0: root's
}

// engines are the programs that log for containers, as distributions and their makers install them. A program of root's that has one of
// these names is in the place of the engine.
var engines = []string{
	"/usr/bin/dockerd", "/usr/sbin/dockerd", "/usr/local/bin/dockerd", "/snap/docker/*/bin/dockerd",
	"/usr/bin/conmon", "/usr/libexec/podman/conmon", "/usr/local/bin/conmon", "/usr/local/libexec/podman/conmon", "/usr/lib/podman/conmon",
	"/usr/bin/nerdctl", "/usr/local/bin/nerdctl",
}

// Fields of entries about a container's output.
const (
	containerID      = "CONTAINER_ID_FULL"
	containerName    = "CONTAINER_NAME"
	containerPartial = "CONTAINER_PARTIAL_MESSAGE"
	containerOrdinal = "CONTAINER_PARTIAL_ORDINAL"
	imageName        = "IMAGE_NAME"
	executable       = "_EXE"
	controlGroup     = "_SYSTEMD_CGROUP"
	priority         = "PRIORITY"
)

// ContainerFields are the fields that entries must have for From, and for Pieces.
func ContainerFields() []string {
	return []string{containerID, containerName, containerPartial, containerOrdinal, imageName, executable, controlGroup, priority}
}

// Selector is the match for what an engine of the owner says that the containers printed, and for what systemd-nspawn copies from the
// console of a machine of that name.
func (c Containers) Selector() (s journal.Selector) {
	from := journal.Group{
		{Field: "_UID", Values: []string{strconv.FormatInt(c.Owner, 10)}},
		{Field: executable, Values: slices.Clone(engines)},
	}
	if len(c.Names) > 0 {
		s = append(s, append(slices.Clone(from), journal.Term{Field: containerName, Values: slices.Clone(c.Names)}))
	}
	if len(c.Images) > 0 {
		s = append(s, append(slices.Clone(from), journal.Term{Field: imageName, Values: slices.Clone(c.Images)}))
	}
	if len(c.Names) > 0 && c.Owner == 0 {
		s = append(s, journal.Group{
			{Field: "_UID", Values: []string{"0"}},
			{Field: "_TRANSPORT", Values: []string{stdout}},
			{Field: "_SYSTEMD_UNIT", Values: consoles(c.Names)},
		})
	}
	return s
}

const stdout = "stdout"

// consoles are the units that run machines of these names.
func consoles(names []string) []string {
	units := make([]string, len(names))
	for i, n := range names {
		units[i] = "systemd-nspawn@" + n + ".service"
	}
	return units
}

// From reports whether the engine of the owner logged e for one of the containers.
//
// _UID and _TRANSPORT come from the kernel and from journald; nobody but root has root's, so that no user of the host can write for a container.
// Root inside of a container could, if the container was given journald's socket: its unit and control group say that it is inside. conmon
// may share a unit with its container (podman run --cgroups=split, as Quadlet has it), but not a control group.
//
// What a container prints to standard error counts only if errors is set, and so does a console, which has all in one: servers such as nginx write
// their access log to standard output, where they escape line breaks of clients, and their error log to the other, where they do not.
func (c Containers) From(e *journal.Entry, errors bool) bool {
	switch {
	case !errors && !Printed(e):
		return false
	case e.Transport == stdout:
		return c.Owner == 0 && e.UID == 0 && matchesAny(e.Unit, consoles(c.Names))
	case e.Transport != "journal" || e.UID != c.Owner || !matchesAny(e.Fields[executable], engines):
		return false
	case c.Owner == 0 && !ofEngine(e.Unit, e.Fields[controlGroup]):
		return false
	}
	return matchesAny(e.Fields[containerName], c.Names) || matchesAny(e.Fields[imageName], c.Images)
}

// Printed reports whether a container printed e to standard output: engines log that with the priority of information, and what it prints to
// standard error with that of errors.
func Printed(e *journal.Entry) bool { return e.Fields[priority] == "6" && e.Transport != stdout }

// ofEngine reports whether an engine of root's runs in that unit and control group: in a service, or in the scope that Podman makes for
// each conmon.
func ofEngine(unit, group string) bool {
	if ok, err := path.Match("libpod-conmon-*.scope", unit); err == nil && ok {
		return true
	}
	return strings.HasSuffix(unit, ".service") && !OfUsers(unit) && !strings.HasPrefix(unit, "systemd-nspawn@") && !strings.Contains(group, "/libpod-payload-")
}

// Friends are the networks that engines of users make inside of network namespaces of their own. A service that sees an address of these sees the
// engine's proxy and no client, and the host's packet filter never sees them: slirp4netns (10.0.2.0/24), pasta (169.254.1.0/24), Podman's networks
// (containers/common, libnetwork: 10.88.0.0/16 and 10.89.0.0/16), and Docker's first bridge. Those of root's engine are addresses of the host.
func (c Containers) Friends() []Friend {
	if c.Owner == 0 {
		return nil
	}
	var all []Friend
	for _, p := range []string{"10.0.2.0/24", "169.254.1.0/24", "10.88.0.0/15", "172.17.0.0/16"} {
		all = append(all, Friend{netip.MustParsePrefix(p), EngineNetwork})
	}
	return all
}

// maxPieces bounds for how many outputs of containers it is known that a line goes on.
const maxPieces = 4096

// Pieces tells lines from the pieces of lines that were too long for an engine. The first piece begins like the line. What follows is text that a
// client may have chosen to the letter, and would read like a line of its own. The zero value has seen nothing. It is for one goroutine, which
// shows it all entries in order, each as often as it likes.
type Pieces struct {
	open map[string]bool  // by output: the last entry's line goes on
	last journal.Position // of the entry seen last
	goes bool             // what was said of it
}

// Continues reports whether e goes on with the line of an entry before it.
func (p *Pieces) Continues(e *journal.Entry) bool {
	if e.Position == p.last && !e.Position.IsZero() {
		return p.goes
	}
	output := e.Fields[containerID] + e.Fields[priority] // engines have a priority for each of the two outputs
	p.last, p.goes = e.Position, p.open[output]
	if n := e.Fields[containerOrdinal]; n != "" {
		p.goes = n != "1"
	}
	if e.Fields[containerPartial] != "true" {
		delete(p.open, output)
		return p.goes
	}
	if p.open == nil || len(p.open) >= maxPieces {
		p.open = make(map[string]bool)
	}
	p.open[output] = true
	return p.goes
}

// FromMatch reports whether e is one that a match in a configuration selects, and believes: whoever wrote the match named the sender by what
// journald knows of it, or the sender is the owner. Fields that the sender chooses, and programs that anybody can start, name nobody.
func FromMatch(e *journal.Entry, match journal.Selector, owner int64, trustStdout bool) bool {
	return slices.ContainsFunc(match, func(g journal.Group) bool {
		if !g.Holds(e) {
			return false
		}
		switch e.Transport {
		case "kernel", "audit", "driver":
			return names(g, "_TRANSPORT")
		case stdout:
			if !trustStdout && !names(g, "_TRANSPORT") {
				return false
			}
		case "syslog", "journal":
		default:
			return false
		}
		return e.UID == owner || names(g, "_UID") || names(g, "_SYSTEMD_UNIT") && !OfUsers(e.Unit)
	})
}

func names(g journal.Group, field string) bool {
	return slices.ContainsFunc(g, func(t journal.Term) bool { return t.Field == field })
}
