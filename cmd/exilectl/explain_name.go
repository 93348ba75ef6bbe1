package main

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"os/user"
	"slices"
	"strings"
	"time"

	"exile/internal/config"
	"exile/internal/control"
	"exile/internal/human"
	"exile/jail"
	"exile/journal"
	"exile/journal/journalfile"
)

// nameStory is what is known of a user name.
type nameStory struct {
	Source  string          `json:"source"` // "exiled", or "journal" if it does not run
	Name    control.AnyText `json:"name"`
	Account *bool           `json:"account"` // whether this host has it; null: another host
	Learned []control.Name  `json:"learned"` // the jails that take it for a name that only attackers try
	Tries   []*tries        `json:"tries"`   // most failures first
	Since   int64           `json:"since_usec"`
	Notes   []string        `json:"notes"`
}

// tries is what an address did with the name.
type tries struct {
	Address  string `json:"address"`
	Jail     string `json:"jail"`
	Failures int    `json:"failures"` // entries, of which one password may make several
	Logins   int    `json:"logins"`
	First    int64  `json:"first_usec"`
	Last     int64  `json:"last_usec"`
}

// maxTries is how many addresses are shown.
const maxTries = 50

func (o *options) explainName(ctx context.Context, name, dir string) error {
	s := &nameStory{Source: "exiled", Name: control.AnyText(name), Learned: []control.Name{}, Tries: []*tries{}, Notes: []string{}}
	if o.bridge() == nil {
		s.Account = new(hasAccount(name))
	}
	x := &explanation{}
	d, err := o.dial(ctx)
	if err == nil {
		defer d.Close()
		var all []control.Name
		all, err = d.Names(ctx, "")
		s.Learned = slices.DeleteFunc(append(s.Learned, all...), func(n control.Name) bool { return string(n.Name) != name })
	}
	if err := x.orJournal(o, err); err != nil {
		return failure(err, "explain %s", control.QuoteName(name))
	}
	if x.Source != "" {
		s.Source = x.Source
	}
	log := o.openLog(x, dir)
	defer log.close()
	if err := s.read(log, name); err != nil {
		x.Notes = append(x.Notes, "Who tries it cannot be read: "+err.Error())
	}
	s.Notes = append(append(s.Notes, x.Notes...), log.troubles...)
	return o.paged(func(c *console) error { return s.print(c) })
}

// hasAccount reports whether this host's files have an account of that name.
func hasAccount(name string) bool {
	_, err := user.Lookup(name)
	return err == nil
}

// read looks through the entries of the jails for the name, the newest first.
func (s *nameStory) read(log *logbook, name string) error {
	if len(log.files) == 0 {
		return nil
	}
	cfg, err := config.Load(config.Sources{})
	if err != nil {
		return err
	}
	all, err := watchers(cfg)
	if err != nil {
		return err
	}
	found := make(map[netip.Addr]*tries)
	var e journal.Entry
	var buf []byte
	exhausted, err := log.backwards(wantedBy(all), time.Time{}, maxBack, func(c *journalfile.Cursor) bool {
		var broken error
		if buf, _, broken = c.Read(&e, buf[:0], maxLogLine); broken == nil && bytes.Contains(e.Message, []byte(name)) {
			if seen := look(all, &e); seen.enabled && string(seen.event.User) == name && seen.event.Addr.IsValid() {
				note(found, &seen)
			}
		}
		return len(found) < maxBack
	})
	if exhausted {
		s.Since = e.Time.UnixMicro()
	}
	for _, t := range found {
		s.Tries = append(s.Tries, t)
	}
	slices.SortFunc(s.Tries, func(a, b *tries) int {
		if a.Failures != b.Failures {
			return b.Failures - a.Failures
		}
		return strings.Compare(a.Address, b.Address)
	})
	return err
}

// note counts an entry, which is older than those counted before.
func note(found map[netip.Addr]*tries, s *sight) {
	t := found[s.event.Addr]
	if t == nil {
		t = &tries{Address: s.event.Addr.String(), Jail: s.Jail, Last: s.Time}
		found[s.event.Addr] = t
	}
	t.First = s.Time
	switch s.event.Kind {
	case jail.Failure:
		t.Failures++
	case jail.Success:
		t.Logins++
	}
}

func (s *nameStory) print(c *console) error {
	if c.wantJSON() {
		return c.document(s)
	}
	c.line(c.paint(yellow, "●"), " ", clean(control.QuoteName(string(s.Name))))
	switch {
	case s.Account == nil:
	case *s.Account:
		field(c, "Account", "this host has it")
	default:
		field(c, "Account", "not in /etc/passwd of this host")
	}
	for _, n := range s.Learned {
		field(c, "Evidence", fmt.Sprintf("in jail %s only attackers try it: it failed from %s, last %s", clean(n.Jail), human.Count(n.Hosts, "networks"), orDash(stamp(n.Last)).text))
	}
	if len(s.Learned) == 0 && s.Source == "exiled" {
		field(c, "Evidence", "no jail takes it for a name that only attackers try")
	}
	since := "in the journal"
	if s.Since > 0 {
		since = "since " + moment(time.UnixMicro(s.Since)) + ", as far back as was read"
	}
	field(c, "Tried from", human.Count(len(s.Tries), "addresses")+" "+since)
	for _, t := range s.Tries[:min(len(s.Tries), maxTries)] {
		c.line(strings.Repeat(" ", 15), fmt.Sprintf("%s in jail %s: %s, %s, last %s", t.Address, clean(t.Jail),
			human.Count(t.Failures, "failures"), human.Count(t.Logins, "logins"), moment(time.UnixMicro(t.Last))))
	}
	if n := len(s.Tries) - maxTries; n > 0 {
		c.line(strings.Repeat(" ", 15), "and "+human.Count(n, "addresses")+" more")
	}
	for _, n := range s.Notes {
		c.line(quoteLines(sentences(n)))
	}
	return nil
}
