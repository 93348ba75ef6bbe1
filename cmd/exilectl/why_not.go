package main

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"exile/internal/config"
	"exile/internal/control"
	"exile/internal/human"
	"exile/internal/setup"
	"exile/jail"
)

func newWhyNotCommand(o *options) *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use:   "why-not ADDRESS",
		Short: "Show why an address that failed is not banned",
		Long: "Show why an address is not banned, or why its ban stops nobody: what protects it, what is missing, which jail does not see it,\n" +
			"and the log entry that comes nearest. Without exiled, what the journal tells.",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			a, err := control.ParseAddr(args[0])
			if err != nil {
				return failure(err, "look up %s", args[0])
			}
			return o.whyNot(cmd.Context(), netip.PrefixFrom(a, a.BitLen()), dir)
		},
	}
	cmd.Flags().StringVarP(&dir, "directory", "D", "", "Read the journal files in `DIR`")
	completeFlag(cmd, "directory", completeFiles)
	return cmd
}

// excuse is a reason why an address is not banned, or why its ban stops nobody.
type excuse struct {
	Word   string `json:"reason"` // for programs, one of those that exilectl(1) lists
	Jail   string `json:"jail"`   // empty: all
	Text   string `json:"text"`
	Remedy string `json:"remedy"` // empty: none is needed, or none is known
}

// whyNot is the answer of why-not.
type whyNot struct {
	Source  string       `json:"source"` // "exiled", or "journal" if it does not run
	Address string       `json:"address"`
	Banned  bool         `json:"banned"`
	Reasons []excuse     `json:"reasons"` // the one that matters most first
	Entries []logEntry   `json:"entries"` // the newest ones about it, oldest first
	Since   int64        `json:"since_usec"`
	Last    *control.Ban `json:"last_ban"` // null: the journal has none
	Notes   []string     `json:"notes"`
	x       *explanation
	now     time.Time
}

// The entries that are read at most: those of the jails, then those of everybody.
const (
	maxOwn  = maxBack
	maxElse = 250_000
	// maxNearest is how many of them are shown.
	maxNearest = 5
)

func (o *options) whyNot(ctx context.Context, p netip.Prefix, dir string) error {
	x := &explanation{Source: "exiled", Address: control.Address{Prefix: p}}
	s, err := o.inquire(ctx, x)
	if err != nil {
		return failure(err, "look up %s", p.Addr())
	}
	w := &whyNot{Address: p.Addr().String(), Reasons: []excuse{}, Entries: []logEntry{}, Notes: []string{}, x: x, now: time.Now()}
	log := o.openLog(x, dir)
	defer log.close()
	events := x.recount(log)
	w.Source, w.Banned = x.Source, x.Address.Banned
	w.ofBans(s)
	w.ofState(s)
	w.ofJails()
	w.ofPast(events)
	if !w.Banned {
		if err := w.ofEntries(log, p); err != nil {
			x.Notes = append(x.Notes, "The entries cannot be looked through: "+err.Error())
		}
	}
	w.Notes = append(append(w.Notes, x.Notes...), log.troubles...)
	return o.paged(func(c *console) error { return w.print(c) })
}

func (w *whyNot) add(word, jail, remedy, format string, args ...any) {
	w.Reasons = append(w.Reasons, excuse{word, jail, fmt.Sprintf(format, args...), remedy})
}

// ofBans says of bans that exist why they stop nobody, or that they do.
func (w *whyNot) ofBans(s control.Status) {
	for _, b := range w.x.Address.Bans {
		prefix := control.FormatPrefix(b.Prefix)
		held := func(h control.Held) bool { return h.Prefix == b.Prefix }
		switch {
		case b.Simulated:
			w.add("simulated", b.Jail, "remove simulate: yes from the jail (exilectl edit)", "jail %s banned %s, but only simulates", b.Jail, prefix)
		case w.x.Source != "exiled":
			w.add("banned", b.Jail, "", "jail %s banned %s, as the journal tells; whether the kernel has it, only exiled knows", b.Jail, prefix)
		case s.State == control.Paused:
			w.add("paused", b.Jail, "end the pause with exilectl pause --off", "jail %s banned %s, but banning is paused until %s", b.Jail, prefix, stamp(s.PausedTo))
		case s.Backend == "dry-run":
			w.add("dry-run", b.Jail, "choose another backend: in exile.yaml", "jail %s banned %s, but the backend is dry-run", b.Jail, prefix)
		case w.x.Kernel == nil:
			w.add("banned", b.Jail, "", "jail %s banned %s; whether the kernel has it is unknown", b.Jail, prefix)
		case !slices.ContainsFunc(w.x.Kernel, held):
			w.add("not-enforced", b.Jail, "see exilectl status; exilectl reset-firewall makes everything anew", "jail %s banned %s, but the kernel does not have the ban", b.Jail, prefix)
		default:
			w.add("banned", b.Jail, "", "jail %s bans %s; the kernel drops %s", b.Jail, prefix, w.closed(b.Prefix))
		}
	}
}

// closed says what a ban closes: other ports stay open.
func (w *whyNot) closed(p netip.Prefix) string {
	var ports []string
	for _, h := range w.x.Kernel {
		if h.Prefix == p && !slices.Contains(ports, h.Port) {
			ports = append(ports, h.Port)
		}
	}
	if text := strings.Join(ports, ", "); text != "everything" {
		return text + " from it, and nothing else"
	}
	return "everything from it"
}

// ofState says what keeps exiled from banning anybody.
func (w *whyNot) ofState(s control.Status) {
	if s.State == control.Paused && len(w.x.Address.Bans) == 0 {
		w.add("paused", "", "end the pause with exilectl pause --off", "banning is paused until %s", stamp(s.PausedTo))
	}
	if s.State == "starting" || s.State == "catching-up" {
		w.add("catching-up", "", "", "exiled is still reading what was logged before it started")
	}
	for i, reason := range s.Degraded {
		remedy := ""
		if i < len(s.Remedies) {
			remedy = s.Remedies[i]
		}
		w.add("degraded", "", remedy, "exiled is degraded: %s", reason)
	}
}

// ofJails says what each jail that has seen the address makes of it.
func (w *whyNot) ofJails() {
	for _, s := range w.x.Address.Jails {
		if s.Protected != "" {
			w.add("protected", s.Jail, "", "jail %s never bans it: %s", s.Jail, s.Protected)
		}
		if s.Failures > 0 && !slices.ContainsFunc(w.x.Address.Bans, func(b control.Ban) bool { return b.Jail == s.Jail }) {
			w.add("too-few", s.Jail, "", "%s", lacking(s, w.now))
		}
	}
	for _, line := range w.x.Address.Detail {
		if strings.HasPrefix(line, "points: ") && !w.Banned {
			w.add("points", "", "", "%s", line)
		}
	}
}

// ofPast says what became of its last ban.
func (w *whyNot) ofPast(events []told) {
	for _, e := range events {
		if e.Kind == control.Protected {
			w.add("was-protected", e.Ban.Jail, "", "jail %s did not ban it at %s: %s", e.Ban.Jail, moment(e.Time), e.Reason)
			return
		}
		if e.Kind == control.BanRemoved && !w.Banned {
			w.Last = new(e.Ban)
			w.add("lifted", e.Ban.Jail, "", "its last ban by jail %s was lifted at %s: %s", e.Ban.Jail, moment(e.Time), liftedBy(e.Reason))
			return
		}
		if e.Kind == control.BansRemoved && !w.Banned {
			w.add("lifted", e.Ban.Jail, "", "%s of jail %s were lifted at once at %s: %s", human.Count(e.Count, "bans"), e.Ban.Jail, moment(e.Time), liftedBy(e.Reason))
		}
	}
}

// liftedBy says in words why a ban was lifted.
func liftedBy(reason string) string {
	words := map[string]string{
		"expired": "its time was over", "unban": "somebody lifted it (exilectl unban)", "flush": "somebody lifted all (exilectl flush)",
		"pause": "banning was paused", "reload": "the new configuration has no such jail", "protected": "the address is protected since then",
		"covered": "the ban of a network around it took its place", "full": "there were too many bans (maxbans)",
	}
	if text, ok := words[reason]; ok {
		return text
	}
	return reason
}

// ofEntries looks through the journal for what the jails did not count, and says why.
func (w *whyNot) ofEntries(log *logbook, p netip.Prefix) error {
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
	found, reached, err := log.sightings(all, wantedBy(all), p, period{}, maxOwn, maxNearest)
	if err == nil && len(found) == 0 {
		found, reached, err = log.sightings(all, setup.Sought{Fields: wantedBy(all).Fields}, p, period{}, maxElse, maxNearest)
	}
	if !reached.IsZero() {
		w.Since = reached.UnixMicro()
	}
	for _, s := range slices.Backward(found) {
		w.Entries = append(w.Entries, s.logEntry)
	}
	w.ofSightings(all, found, p)
	return err
}

// ofSightings says why the newest entries about the address made no ban. Each reason is said once.
func (w *whyNot) ofSightings(all []watcher, found []sight, p netip.Prefix) {
	if len(found) == 0 {
		w.add("unseen", "", "look at what the service logs, with LogLevel VERBOSE for sshd", "no entry of the journal that was looked through names it%s", w.since())
		return
	}
	said := make(map[string]bool)
	for _, s := range found {
		x := w.ofSighting(all, &s, p)
		if x.Word != "" && !said[x.Word+x.Jail] {
			w.Reasons = append(w.Reasons, x)
		}
		said[x.Word+x.Jail] = true
	}
}

// since is how far back the journal was looked through.
func (w *whyNot) since() string {
	if w.Since == 0 {
		return ""
	}
	return ", back to " + moment(time.UnixMicro(w.Since))
}

// ofSighting says why an entry did not count; no word: it did.
func (w *whyNot) ofSighting(all []watcher, s *sight, p netip.Prefix) excuse {
	at := moment(s.at())
	switch {
	case s.foreign:
		return excuse{
			"sender", s.Jail, fmt.Sprintf("an entry of %s at %s reads like one that jail %s counts, but the jail does not believe that sender", s.Unit, at, s.Jail),
			senderRemedy(s.Unit),
		}
	case s.Jail == "":
		return excuse{
			"unwatched", "", fmt.Sprintf("an entry of %s at %s names it, but no jail reads that unit", s.Unit, at),
			"exilectl list-filters shows which services exile knows, exilectl enable starts watching one",
		}
	case !s.enabled:
		return excuse{"disabled", s.Jail, fmt.Sprintf("an entry of %s at %s is for jail %s, which is disabled", s.Unit, at, s.Jail), "exilectl enable " + s.Jail}
	case s.Rule == "":
		return excuse{
			"no-match", s.Jail, fmt.Sprintf("jail %s reads the entry of %s at %s, but no pattern of its filter matches it", s.Jail, s.Unit, at),
			fmt.Sprintf("journalctl -u %s | exilectl match --filter=%s shows what the filter makes of such lines", s.Unit, s.Jail),
		}
	case s.event.Kind == jail.Success:
		return excuse{"login", s.Jail, fmt.Sprintf("it logged in at %s", at), ""}
	case !s.event.Counts || s.event.Kind != jail.Failure && s.event.Kind != jail.Probe && s.event.Kind != jail.NoMatch:
		return excuse{"mode", s.Jail, fmt.Sprintf("jail %s knows the entry of %s at %s, but does not count it in its mode", s.Jail, s.Unit, at), "see mode: in exile.yaml(5)"}
	}
	for _, watcher := range all {
		if watcher.Name == s.Jail && watcher.Detection == jail.Threshold && w.now.Sub(s.at()) > watcher.FindTime {
			return excuse{"too-old", s.Jail, fmt.Sprintf("its last failure for jail %s was at %s, and one counts for %s", s.Jail, at, human.Span(watcher.FindTime)), ""}
		}
	}
	return excuse{}
}

// senderRemedy says what helps if a jail does not believe the entries of a unit.
func senderRemedy(unit string) string {
	if jail.OfUsers(unit) {
		return "nothing: users can log there what they like, and would have others banned"
	}
	return "if that unit is the service, add it to units: of the jail"
}

func (w *whyNot) print(c *console) error {
	if c.wantJSON() {
		return c.document(w)
	}
	state, color := w.x.verdict()
	c.line(c.paint(color, "●"), " ", w.Address, ": ", c.paint(color, state))
	for _, r := range w.Reasons {
		c.line("  ", clean(sentences(r.Text)), ".")
		if r.Remedy != "" {
			c.line("      Remedy: ", clean(r.Remedy))
		}
	}
	if len(w.Reasons) == 0 {
		c.line("  Nothing is known that keeps it from being banned: it has not failed often enough, or not since the last ban.")
	}
	printEntries(c, "The newest log entries about it", w.Entries)
	for _, n := range w.Notes {
		c.line("")
		c.line(quoteLines(sentences(n)))
	}
	return nil
}
