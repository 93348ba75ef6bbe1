package config

import (
	"errors"
	"fmt"
	"os/user"
	"path"
	"slices"
	"strconv"
	"strings"

	"exile/jail/filter/services"
	"exile/journal"
)

// This file reads whose lines a jail believes where that is not a unit of the host: match:, containers:, owner:, logformat:.

// Bounds of match: and containers:. Values and names are compared with each entry.
const (
	maxMatches    = 64
	maxMatchValue = 256 // bytes; sources deliver no longer values
	maxFieldName  = 64  // bytes, as journald has it
)

// FormatDocker is the logformat of Docker's json-file driver.
const FormatDocker = "docker"

// parseMatch reads matches as journalctl takes them: several of one field are alternatives, fields are conditions, and a plus begins another
// alternative to all of that. In one string blanks separate them; in a list a value may have blanks.
func parseMatch(v value) (journal.Selector, error) {
	var items []string
	switch v.kind {
	case null:
		return nil, nil
	case scalar:
		items = strings.Fields(v.text)
	case mapping:
		return nil, errors.New("write matches as FIELD=VALUE, in a string or a list")
	case list:
		for _, item := range v.items {
			if item.kind != scalar {
				return nil, errors.New("every item of the list must be one match, FIELD=VALUE")
			}
			items = append(items, strings.TrimSpace(item.text))
		}
	}
	if len(items) > maxMatches {
		return nil, fmt.Errorf("more than %d matches", maxMatches)
	}
	var s journal.Selector
	begins := true
	for _, item := range items {
		if item == "+" {
			if begins {
				return nil, errors.New("a plus stands between two matches")
			}
			begins = true
			continue
		}
		field, wanted, err := cutMatch(item)
		if err != nil {
			return nil, err
		}
		if begins {
			s, begins = append(s, nil), false
		}
		addMatch(&s[len(s)-1], field, wanted)
	}
	if begins && len(s) > 0 {
		return nil, errors.New("a plus stands between two matches")
	}
	return s, nil
}

func cutMatch(item string) (field, wanted string, err error) {
	field, wanted, ok := strings.Cut(item, "=")
	switch {
	case !ok || !isField(field):
		return "", "", fmt.Errorf("%q is not FIELD=VALUE, where FIELD is the name of a journal field as journalctl --output=verbose shows them", item)
	case field == "MESSAGE":
		return "", "", errors.New("what a line says is for the filter: match other fields than MESSAGE")
	case wanted == "" || len(wanted) > maxMatchValue:
		return "", "", fmt.Errorf("%q: a value has 1 to %d bytes", item, maxMatchValue)
	}
	if _, err := path.Match(wanted, ""); err != nil {
		return "", "", fmt.Errorf("%q: %w", item, err)
	}
	return field, wanted, nil
}

func isField(s string) bool {
	return s != "" && len(s) <= maxFieldName && strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") == ""
}

// addMatch makes another value of a field an alternative to those before.
func addMatch(g *journal.Group, field, wanted string) {
	for i := range *g {
		if t := &(*g)[i]; t.Field == field {
			t.Values = append(t.Values, wanted)
			return
		}
	}
	*g = append(*g, journal.Term{Field: field, Values: []string{wanted}})
}

// imagePrefix begins an item of containers: that is the pattern of an image.
const imagePrefix = "image="

// parseContainers reads names and patterns of containers and, after image=, of images.
func parseContainers(j *Jail, v value) error {
	words, err := v.words()
	if err == nil && len(words) > maxMatches {
		err = fmt.Errorf("more than %d containers", maxMatches)
	}
	j.Containers.Names, j.Containers.Images = nil, nil
	for _, w := range words {
		name, image := strings.CutPrefix(w, imagePrefix)
		if _, bad := path.Match(name, ""); err == nil && (bad != nil || name == "" || len(name) > maxMatchValue || !image && strings.ContainsAny(name, "/:=")) {
			err = fmt.Errorf("%q is neither the name or a pattern of containers, nor %s and that of an image, such as %s*/nginx:*", w, imagePrefix, imagePrefix)
		}
		if image {
			j.Containers.Images = append(j.Containers.Images, name)
		} else {
			j.Containers.Names = append(j.Containers.Names, name)
		}
	}
	return err
}

// parseLogFormat reads what the lines of logpath are inside of.
func parseLogFormat(v value) (string, error) {
	s, err := oneOf("plain", FormatDocker)(v)
	if s == "plain" {
		s = ""
	}
	return s, err
}

// parseOwner reads a UID, or the name of an account of this host.
func parseOwner(v value) (int64, error) {
	s, err := v.scalar()
	if err != nil {
		return 0, err
	}
	if s == "root" { // also where there is no /etc/passwd
		return 0, nil
	}
	id := s
	if _, err := strconv.ParseUint(s, 10, 32); err != nil {
		u, err := user.Lookup(s)
		if err != nil {
			return 0, fmt.Errorf("%q is neither a UID nor an account in /etc/passwd", s)
		}
		id = u.Uid
	}
	n, err := strconv.ParseUint(id, 10, 32)
	return int64(n), err
}

// Named reports whether match: or containers: says whose lines in the journal the filter reads.
func (p *Part) Named() bool {
	return len(p.Match) > 0 || len(p.Containers.Names)+len(p.Containers.Images) > 0
}

// InDocker reports whether the logs of the filter are those of Docker's json-file driver.
func (p *Part) InDocker() bool { return p.LogFormat == FormatDocker && len(p.LogPath) > 0 }

// elsewhere makes what match:, containers: or logformat: say take the place of what the filter's file says of a service on the host.
func (p *Part) elsewhere() {
	switch {
	case p.Named():
		p.Units, p.Identifiers, p.LogPath = nil, nil, nil
	case p.InDocker():
		p.Units, p.Identifiers = nil, nil
	}
}

// elsewhere does the same for the jail, whose units are watched and shown.
func (j *Jail) elsewhere() {
	for i := range j.Parts {
		j.Parts[i].elsewhere()
	}
	if len(j.Parts) == 0 {
		return
	}
	switch p := &j.Parts[0]; { // these keys are the jail's, and so the same for all its filters
	case p.Named():
		j.Units, j.Identifiers, j.LogPath = nil, nil, nil
	case p.InDocker():
		j.Units, j.Identifiers = nil, nil
	}
}

// Contained reports whether the service of the jail is in a container, so that what the host knows of its own service does not hold for it.
func (j *Jail) Contained() bool {
	return slices.ContainsFunc(j.Parts, func(p Part) bool { return p.Named() || p.InDocker() })
}

// sole reports an enabled jail that says twice, and differently, whose lines it reads.
func (t *tree) sole(j Jail) error {
	if !j.Enabled || len(j.Parts) == 0 {
		return nil
	}
	p := &j.Parts[0]
	if err := t.docker(j, p); err != nil {
		return err
	}
	instead, others := "match: or containers:", []string{"units", "identifiers", "logpath", "logformat"}
	switch {
	case p.InDocker() && !p.Named():
		instead, others = "logformat: docker", []string{"units", "identifiers"}
	case !p.Named():
		return nil
	}
	for _, key := range others {
		if v, own := t.jails[j.Name][key]; own && v.layer > 0 && len(v.items)+len(v.text) > 0 {
			return v.explain(key, fmt.Errorf("%s says in its place whose lines the jail reads: leave out one of the two", instead))
		}
	}
	return nil
}

// docker reports a jail that reads logs of Docker without naming them: those of the filter are the service's own.
func (t *tree) docker(j Jail, p *Part) error {
	format, own := t.jails[j.Name]["logformat"]
	if logs := t.jails[j.Name]["logpath"]; own && p.LogFormat == FormatDocker && !p.Named() && logs.layer == 0 {
		return format.explain("logformat", errors.New("name the containers' logs with logpath:, such as /var/lib/docker/containers/*/*-json.log"))
	}
	return nil
}

// printable reports an enabled jail that reads what containers print with a filter whose service may print line breaks of its clients.
func (t *tree) printable(j Jail) error {
	for i := range j.Parts {
		p := &j.Parts[i]
		contained := p.InDocker() || len(p.Containers.Names)+len(p.Containers.Images) > 0
		if !j.Enabled || !contained || p.TrustStdout || p.Service != nil && p.Service.Form == services.Line {
			continue
		}
		return t.whereFilter(j.Name).explain(fmt.Sprintf("jail %q", j.Name), fmt.Errorf("a container's log is what its service prints, and "+
			"if that prints line breaks that clients chose, as sshd -e does, they can have others banned with the filter %s: "+
			"write trust_stdout: yes in the jail to accept that", p.Filter))
	}
	return nil
}
