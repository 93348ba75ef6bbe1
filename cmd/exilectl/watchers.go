package main

import (
	"net/netip"
	"time"

	"exile/internal/config"
	"exile/internal/setup"
	"exile/jail"
	"exile/journal"
	"exile/journal/journalfile"
)

// watcher is a jail of the configuration, as far as it reads the journal: enabled or not.
type watcher struct {
	*config.Jail
	filter  jail.Filter
	accepts func(*journal.Entry) bool
	wanted  setup.Sought
}

// watchers are the jails of the configuration that could read the journal.
func watchers(cfg *config.Config) (all []watcher, err error) {
	for i := range cfg.Jails {
		c := &cfg.Jails[i]
		chosen := setup.OnlyJournal(c)
		if c.ByHand || len(chosen) == 0 {
			continue
		}
		w := watcher{Jail: c, wanted: setup.Seek(chosen)}
		if w.filter, w.accepts, err = setup.Filter(cfg, c, chosen); err != nil {
			return nil, err
		}
		all = append(all, w)
	}
	return all, nil
}

// wantedBy is what the enabled ones of the jails read; without any, all of them.
func wantedBy(all []watcher) (s setup.Sought) {
	for _, w := range all {
		if w.Enabled {
			s.Add(w.wanted)
		}
	}
	return s
}

// sight is what the jails make of an entry.
type sight struct {
	logEntry
	event   jail.Event
	enabled bool // the jail that it is for is
	foreign bool // it reads like a line of the jail's service, but the jail does not believe its sender
}

// look says what the jails make of an entry: the first enabled one that believes it, else a disabled one, else one whose service it sounds
// like.
func look(all []watcher, e *journal.Entry) sight {
	s := sight{logEntry: shownOf(e)}
	for _, enabled := range []bool{true, false} {
		for _, w := range all {
			if w.Enabled == enabled && w.accepts(e) {
				return s.as(w, jail.Parse(w.filter, e))
			}
		}
	}
	for _, w := range all {
		if ev := jail.Parse(w.filter, e); w.Enabled && ev.Addr.IsValid() && ev.Kind != jail.None {
			s.foreign = true
			return s.as(w, ev)
		}
	}
	return s
}

func (s sight) as(w watcher, ev jail.Event) sight {
	s.event, s.enabled, s.Jail, s.Rule, s.User = ev, w.Enabled, w.Name, ev.Rule, string(ev.User)
	if s.Kind = kindNames[ev.Kind]; s.foreign {
		s.Kind = "untrusted"
	}
	return s
}

// about reports whether an entry that mentions an address is about it: an attacker may have written another's into a name.
func (s *sight) about(p netip.Prefix) bool {
	return !s.event.Addr.IsValid() || p.Contains(s.event.Addr)
}

// sightings returns the newest entries that are wanted, between two times, and about an address, newest first. It reads at most so many
// entries; reached is how far back it has looked, the zero time if to the beginning.
func (l *logbook) sightings(all []watcher, wanted setup.Sought, p netip.Prefix, during period, read, most int) (found []sight, reached time.Time, err error) {
	var e journal.Entry
	var buf []byte
	exhausted, err := l.backwards(wanted, during.until, read, func(c *journalfile.Cursor) bool {
		var broken error
		if buf, _, broken = c.Read(&e, buf[:0], maxLogLine); broken == nil && during.has(e.Time) && mentions(e.Message, p) {
			if s := look(all, &e); s.about(p) {
				found = append(found, s)
			}
		}
		return len(found) < most && !e.Time.Before(during.since)
	})
	if exhausted || len(found) >= most {
		reached = e.Time
	}
	return found, reached, err
}
