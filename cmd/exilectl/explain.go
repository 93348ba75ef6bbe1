package main

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"exile/internal/config"
	"exile/internal/control"
)

func newExplainCommand(o *options) *cobra.Command {
	var dir string
	var name, resolve bool
	cmd := &cobra.Command{
		Use:   "explain ADDRESS|NAME|NETWORK",
		Short: "Show why an address is banned, and all that is known of it",
		Long: "Show whether an address is banned, by what, which log entries led to it, what protects it, what comes next, its past, and what\n" +
			"the kernel holds and has dropped. Of a network, the bans and failing addresses in it; of a user name, who tries it.\n" +
			"Without exiled, what the journal tells. A word that looks like an address is taken for one, unless you use --name.",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: completeBanned(o),
		RunE: func(cmd *cobra.Command, args []string) error {
			p, err := control.ParsePrefix(args[0])
			if err == nil && !name {
				return o.explain(cmd.Context(), p, dir, resolve)
			}
			user, err := control.ParseName(args[0])
			if err != nil {
				return failure(err, "explain %s", args[0])
			}
			return o.explainName(cmd.Context(), user, dir)
		},
	}
	cmd.Flags().StringVarP(&dir, "directory", "D", "", "Read the journal files in `DIR`")
	completeFlag(cmd, "directory", completeFiles)
	cmd.Flags().BoolVar(&name, "name", false, "Take the word for a user name")
	cmd.Flags().BoolVar(&resolve, "resolve", false, "Look up the address's host names, and whether these lead back to it")
	return cmd
}

// explanation is everything that is known of an address or a network. What needs exiled is null or empty without it.
type explanation struct {
	Source  string          `json:"source"` // "exiled", or "journal" if it does not run
	State   string          `json:"state"`  // of exiled
	Backend string          `json:"backend"`
	Address control.Address `json:"address"`
	Kernel  []control.Held  `json:"kernel"`  // null: nobody could tell
	Entries []logEntry      `json:"entries"` // that led to its bans, or that count now, oldest first
	History []control.Event `json:"history"` // newest first
	Names   []hostName      `json:"names"`   // that it resolves to, if that was asked for
	Place   *location       `json:"place"`   // of the address, or of the network's first; null: nothing says that
	Notes   []string        `json:"notes"`   // what could not be found out, and why
}

// hostName is a name of an address, as whoever runs the address claims; it is confirmed if the name leads back to the address.
type hostName struct {
	Name      string `json:"name"`
	Confirmed bool   `json:"confirmed"`
}

// The most that is shown of each.
const (
	maxHistory  = 20
	maxSighting = 20
)

func (o *options) explain(ctx context.Context, p netip.Prefix, dir string, resolve bool) error {
	x, err := o.gather(ctx, p, dir)
	if err != nil {
		return failure(err, "explain %s", control.FormatPrefix(p))
	}
	if resolve {
		x.resolve(ctx, p)
	}
	at := o.openPlaces(true)
	defer at.close()
	x.Place = at.of(p)
	return o.paged(func(c *console) error { return x.print(c) })
}

// gather asks exiled and reads the journal.
func (o *options) gather(ctx context.Context, p netip.Prefix, dir string) (*explanation, error) {
	x := &explanation{
		Source: "exiled", Address: control.Address{Prefix: p}, Entries: []logEntry{}, History: []control.Event{}, Names: []hostName{}, Notes: []string{},
	}
	_, err := o.inquire(ctx, x)
	if err != nil {
		return nil, err
	}
	log := o.openLog(x, dir)
	defer log.close()
	events := x.recount(log)
	x.trace(log, events)
	x.Notes = append(x.Notes, log.troubles...)
	return x, nil
}

// inquire asks exiled; where it does not run, the source is the journal.
func (o *options) inquire(ctx context.Context, x *explanation) (s control.Status, err error) {
	d, err := o.dial(ctx)
	if err == nil {
		defer d.Close()
		if s, err = d.Status(ctx); err == nil {
			err = x.ask(ctx, d)
		}
	}
	x.State, x.Backend = s.State, s.Backend
	return s, x.orJournal(o, err)
}

// orJournal takes the journal for the source if exiled does not run, and returns any other error.
func (x *explanation) orJournal(o *options, err error) error {
	stopped, ok := errors.AsType[*exitError](failure(err, "ask exiled"))
	if err == nil || !ok || stopped.status != exitNotRunning || o.bridge() != nil {
		return err
	}
	x.Source = "journal"
	x.Notes = append(x.Notes, "exiled does not run: this is what the journal tells. Bans that it left in the kernel still hold.")
	return nil
}

func (x *explanation) ask(ctx context.Context, d control.Reader) (err error) {
	if x.Address, err = d.Address(ctx, x.Address.Prefix); err != nil {
		return err
	}
	var held []control.Held
	if len(x.Address.Bans) > 0 {
		held, err = d.Held(ctx, x.Address.Prefix)
	}
	if err != nil {
		x.Notes = append(x.Notes, "What the kernel holds is unknown: "+err.Error())
		return nil
	}
	x.Kernel = append([]control.Held{}, held...)
	return nil
}

// openLog opens the journal, or notes why it cannot.
func (o *options) openLog(x *explanation, dir string) *logbook {
	if o.bridge() != nil && dir == "" {
		x.Notes = append(x.Notes, "The log entries are on the other host: run exilectl explain there to see them.")
		return &logbook{}
	}
	log, err := openLogbook(o.journalDirs(dir), dir != "")
	if err != nil {
		x.Notes = append(x.Notes, "The log entries cannot be read: "+err.Error())
	}
	return log
}

// recount reads the history of the address.
func (x *explanation) recount(log *logbook) []told {
	events, err := log.events(x.Address.Prefix, maxHistory)
	if err != nil {
		x.Notes = append(x.Notes, "The journal cannot be read: "+err.Error())
	}
	for _, e := range events {
		x.History = append(x.History, e.Event)
	}
	if x.Source == "journal" {
		x.Address.Bans = standing(events, x.Address.Prefix, time.Now())
		x.Address.Banned = slices.ContainsFunc(x.Address.Bans, func(b control.Ban) bool { return !b.Simulated })
	}
	return events
}

// standing are the bans that were not lifted and are not over, by events with the newest first.
func standing(events []told, p netip.Prefix, now time.Time) (bans []control.Ban) {
	lifted := make(map[string]bool) // by jail and prefix, and by jail alone; also what is known already
	for _, e := range events {
		b := e.Ban
		key := b.Jail + " " + b.Prefix.String()
		switch {
		case e.Kind == control.BansRemoved && e.Reason == "flush":
			lifted[b.Jail] = true
		case e.Kind != control.BanNew && e.Kind != control.BanRemoved || lifted[key] || lifted[b.Jail]:
			continue
		case e.Kind == control.BanNew && covers(b.Prefix, p) && (b.Until.IsZero() || b.Until.After(now)):
			bans = append(bans, b)
		}
		lifted[key] = e.Kind != control.BansRemoved
	}
	return bans
}

// covers reports whether a contains all of b.
func covers(a, b netip.Prefix) bool { return a.Bits() <= b.Bits() && a.Contains(b.Addr()) }

// trace finds the entries that led to the bans in force or, if there is none, those that count now or led to the last one.
func (x *explanation) trace(log *logbook, events []told) {
	for _, b := range x.Address.Bans {
		for _, e := range events {
			if e.Kind == control.BanNew && e.Ban.Jail == b.Jail && e.Ban.Prefix == b.Prefix && len(e.traces) > 0 { // an extension by hand has none
				x.addTraces(log, e)
				break
			}
		}
	}
	if len(x.Entries) == 0 {
		x.addFailing(log)
	}
	if len(x.Entries) > 0 || len(x.Address.Bans) > 0 || !x.Address.Prefix.IsSingleIP() {
		return
	}
	for _, e := range events {
		if e.Kind == control.BanNew && len(e.traces) > 0 {
			x.addTraces(log, e)
			return
		}
	}
}

func (x *explanation) addTraces(log *logbook, e told) {
	for _, t := range e.traces {
		entry, ok := log.find(t.position)
		if !ok {
			entry.Time = t.at.UnixMicro()
		}
		entry.Rule, entry.Jail = t.rule, e.Ban.Jail
		x.Entries = append(x.Entries, entry)
	}
}

// addFailing adds the entries of failures that count now.
func (x *explanation) addFailing(log *logbook) {
	var during period
	for _, s := range x.Address.Jails {
		if s.Failures == 0 {
			continue
		}
		if during.since.IsZero() || s.First.Before(during.since) {
			during.since = s.First
		}
		if last := s.Last.Add(time.Microsecond); last.After(during.until) {
			during.until = last
		}
	}
	if during.until.IsZero() || len(log.files) == 0 {
		return
	}
	cfg, err := config.Load(config.Sources{})
	if err != nil {
		x.Notes = append(x.Notes, "The entries are not shown, because the configuration cannot be read: "+err.Error())
		return
	}
	all, err := watchers(cfg)
	if err != nil {
		x.Notes = append(x.Notes, err.Error())
		return
	}
	unit := x.Address.Prefix
	if host := netip.PrefixFrom(unit.Addr(), 64); unit.Addr().Is6() && unit.Bits() > 64 {
		unit = host.Masked()
	}
	found, reached, err := log.sightings(all, wantedBy(all), unit, during, maxBack, maxSighting)
	if err != nil {
		x.Notes = append(x.Notes, err.Error())
	}
	for _, s := range slices.Backward(found) {
		if s.Rule != "" && s.enabled {
			x.Entries = append(x.Entries, s.logEntry)
		}
	}
	if !reached.IsZero() && reached.After(during.since) {
		x.Notes = append(x.Notes, "Entries before "+stamp(reached)+" are not shown.")
	}
}

// resolveTime limits how long the name servers are waited for.
const resolveTime = 5 * time.Second

// resolve looks up the names of an address, and whether they lead back to it.
func (x *explanation) resolve(ctx context.Context, p netip.Prefix) {
	if !p.IsSingleIP() {
		x.Notes = append(x.Notes, "Only single addresses have host names.")
		return
	}
	ctx, cancel := context.WithTimeout(ctx, resolveTime)
	defer cancel()
	names, err := net.DefaultResolver.LookupAddr(ctx, p.Addr().String())
	if err != nil {
		x.Notes = append(x.Notes, "The address has no host name that can be found: "+err.Error())
		return
	}
	for _, name := range names[:min(len(names), maxNames)] {
		back, _ := net.DefaultResolver.LookupNetIP(ctx, "ip", name) // else it is not confirmed
		leads := slices.ContainsFunc(back, func(a netip.Addr) bool { return a.Unmap() == p.Addr() })
		x.Names = append(x.Names, hostName{name, leads})
	}
}

// maxNames is how many host names of an address are looked up.
const maxNames = 4
