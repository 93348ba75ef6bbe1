// Package controltest has a daemon without a journal or a firewall, for tests of the protocol packages.
package controltest

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"exile/internal/control"
	"exile/internal/tally"
)

// Fake is a control.Reader, control.Writer, control.Learner, control.Historian, control.Archiver and control.Configurer that keeps its bans in memory. The zero Fake has no jails.
type Fake struct {
	// Now is the time of bans; nil: time.Now.
	Now func() time.Time
	// Announce, if set, receives the events that the commands cause.
	Announce func(control.Event)

	mu       sync.Mutex  // callers of a Fake are concurrent
	asked    int         // calls of Jails
	past     *tally.Book // nil: nothing is kept
	fail     error       // what every command returns
	state    control.Status
	jails    []control.JailStatus
	bans     []control.Ban // in the order of pages
	hosts    []control.Host
	names    []control.Name
	guarded  map[netip.Prefix]string
	trial    control.Trial
	commands []string
}

// Set replaces the whole content.
func (f *Fake) Set(status control.Status, jails []control.JailStatus, bans []control.Ban, hosts []control.Host) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.state, f.jails, f.bans, f.hosts = status, slices.Clone(jails), slices.Clone(bans), slices.Clone(hosts)
	slices.SortFunc(f.bans, compareBans)
}

// Fail makes every command return err, unless it is nil.
func (f *Fake) Fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fail = err
}

// Asked returns how often Jails was called.
func (f *Fake) Asked() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.asked
}

// Protect makes Ban refuse p unless forced.
func (f *Fake) Protect(p netip.Prefix, rule string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.guarded == nil {
		f.guarded = map[netip.Prefix]string{}
	}
	f.guarded[p] = rule
}

// Commands returns the commands sent to the Writer, one line each.
func (f *Fake) Commands() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.commands)
}

func compareBans(a, b control.Ban) int {
	return cmp.Or(strings.Compare(a.Jail, b.Jail), a.Prefix.Addr().Compare(b.Prefix.Addr()), a.Prefix.Bits()-b.Prefix.Bits())
}

// Status implements control.Reader.
func (f *Fake) Status(context.Context) (control.Status, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.state
	s.Jails, s.Banned, s.Enforced = len(f.jails), len(f.bans), len(f.bans)
	s.TrialTo = f.trial.Until
	return s, nil
}

// Jails implements control.Reader.
func (f *Fake) Jails(context.Context) ([]control.JailStatus, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked++
	out := slices.Clone(f.jails)
	for i := range out {
		for _, b := range f.bans {
			if b.Jail == out[i].Name {
				out[i].Banned++
			}
		}
	}
	return out, nil
}

// Bans implements control.Reader.
func (f *Fake) Bans(_ context.Context, p control.Page) ([]control.Ban, string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.known(p.Jail); err != nil {
		return nil, "", err
	}
	var out []control.Ban
	for _, b := range f.after(p.After) {
		if p.Jail != "" && b.Jail != p.Jail {
			continue
		}
		if len(out) == p.Size() {
			last := out[len(out)-1]
			return out, last.Jail + " " + last.Prefix.String(), nil
		}
		out = append(out, f.shown(b))
	}
	return out, "", nil
}

// shown is a ban as others see it.
func (f *Fake) shown(b control.Ban) control.Ban {
	j, _ := control.FindJail(f.jails, b.Jail)
	b.Simulated = j.State == control.Simulating
	return b
}

// after returns the bans after "jail prefix".
func (f *Fake) after(key string) []control.Ban {
	jail, prefix, ok := strings.Cut(key, " ")
	p, err := netip.ParsePrefix(prefix)
	if !ok || err != nil {
		return f.bans
	}
	i, found := slices.BinarySearchFunc(f.bans, control.Ban{Jail: jail, Prefix: p}, compareBans)
	if found {
		i++
	}
	return f.bans[i:]
}

// Hosts implements control.Reader.
func (f *Fake) Hosts(_ context.Context, p control.Page) ([]control.Host, string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.known(p.Jail); err != nil {
		return nil, "", err
	}
	var out []control.Host
	for _, h := range f.hosts {
		if p.Jail == "" || h.Jail == p.Jail {
			out = append(out, h)
		}
	}
	return out, "", nil
}

// Address implements control.Reader.
func (f *Fake) Address(_ context.Context, p netip.Prefix) (control.Address, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	a := control.Address{Prefix: p, Failures: map[string]int{}, Protected: f.guarded[p]}
	for _, b := range f.bans {
		if b.Prefix.Overlaps(p) {
			b = f.shown(b)
			a.Bans, a.Banned = append(a.Bans, b), a.Banned || !b.Simulated
			a.Offences = max(a.Offences, b.Offence)
		}
	}
	for _, h := range f.hosts {
		if h.Prefix.Overlaps(p) {
			a.Failures[h.Jail] += h.Failures
		}
	}
	for _, j := range f.jails {
		a.Jails = append(a.Jails, f.standing(j, p))
	}
	if !p.IsSingleIP() {
		f.addParts(&a)
	}
	return a, nil
}

// standing says how an address stands with a jail. Each ban of the jail's that covers it is an offence.
func (f *Fake) standing(j control.JailStatus, p netip.Prefix) control.Standing {
	s := control.Standing{Jail: j.Name, State: j.State, Protected: f.guarded[p], MaxRetry: j.MaxRetry, Next: j.BanTime}
	for _, h := range f.hosts {
		if h.Jail == j.Name && h.Prefix.Overlaps(p) {
			s.Failures, s.First, s.Last, s.Lapse = h.Failures, h.First, h.Last, h.First.Add(j.FindTime)
		}
	}
	for _, b := range f.bans {
		if b.Jail == j.Name && b.Prefix.Overlaps(p) {
			s.Offences, s.Cleared = b.Offence, b.Since
		}
	}
	return s
}

// addParts adds what is in a network.
func (f *Fake) addParts(a *control.Address) {
	for _, b := range f.bans {
		if a.Prefix.Contains(b.Prefix.Addr()) && b.Prefix != a.Prefix {
			a.Within = append(a.Within, f.shown(b))
		}
	}
	for _, h := range f.hosts {
		if a.Prefix.Contains(h.Prefix.Addr()) {
			a.Failing = append(a.Failing, h)
		}
	}
	a.NWithin, a.NFailing = len(a.Within), len(a.Failing)
}

// Held implements control.Reader: all bans are in the kernel, simulated or not, and each element has dropped something.
func (f *Fake) Held(_ context.Context, p netip.Prefix) (held []control.Held, _ error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, b := range f.bans {
		same := func(h control.Held) bool { return h.Prefix == b.Prefix }
		if b.Prefix.Overlaps(p) && !slices.ContainsFunc(held, same) {
			held = append(held, control.Held{Prefix: b.Prefix, Port: "everything", Until: b.Until, Counts: true, Packets: 1200, Bytes: 72000})
		}
	}
	return held, nil
}

// Ban implements control.Writer.
func (f *Fake) Ban(_ context.Context, r control.BanRequest) (control.Ban, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if r.Jail == "" && len(f.jails) > 0 {
		r.Jail = f.jails[0].Name
	}
	f.note("ban %s %s %s permanent=%t force=%t %q", r.Jail, r.Prefix, r.Duration, r.Permanent, r.Force, r.Reason)
	if err := f.refuse(r.Jail); err != nil {
		return control.Ban{}, err
	}
	if rule := f.guarded[r.Prefix]; rule != "" && !r.Force {
		return control.Ban{}, fmt.Errorf("ban %s: %s: %w", r.Prefix.Addr(), rule, control.ErrProtected)
	}
	b := control.Ban{Jail: r.Jail, Prefix: r.Prefix, Since: f.now(), Origin: control.OriginManual, Reason: r.Reason, Offence: 1}
	if !r.Permanent {
		b.Until = b.Since.Add(cmp.Or(r.Duration, 10*time.Minute))
	}
	f.put(b)
	b = f.shown(b)
	f.tell(control.Event{Kind: control.BanNew, Time: b.Since, Ban: b})
	return b, nil
}

func (f *Fake) put(b control.Ban) {
	i, found := slices.BinarySearchFunc(f.bans, b, compareBans)
	if found {
		f.bans[i] = b
		return
	}
	f.bans = slices.Insert(f.bans, i, b)
}

// BanMany implements control.Writer.
func (f *Fake) BanMany(ctx context.Context, requests []control.BanRequest) ([]error, error) {
	errs := make([]error, len(requests))
	for i, r := range requests {
		_, errs[i] = f.Ban(ctx, r)
	}
	return errs, nil
}

// Remember implements control.Writer: it only notes what it was told.
func (f *Fake) Remember(_ context.Context, offenders []control.Offender) ([]error, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	errs := make([]error, len(offenders))
	for i, o := range offenders {
		f.note("remember %s %s %d %s", o.Jail, o.Prefix, o.Offences, o.Last.UTC().Format(time.RFC3339))
		errs[i] = f.refuse(o.Jail)
	}
	return errs, nil
}

// Unban implements control.Writer.
func (f *Fake) Unban(_ context.Context, jail string, p netip.Prefix) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.note("unban %q %s", jail, p)
	if err := f.refuse(jail); err != nil {
		return 0, err
	}
	var lifted []control.Ban
	f.bans = slices.DeleteFunc(f.bans, func(b control.Ban) bool {
		match := (jail == "" || b.Jail == jail) && (!p.IsValid() || b.Prefix.Overlaps(p))
		if match {
			lifted = append(lifted, b)
		}
		return match
	})
	for _, b := range lifted {
		f.tell(control.Event{Kind: control.BanRemoved, Time: f.now(), Ban: f.shown(b), Reason: "unban"})
	}
	return len(lifted), nil
}

// Remembered sets the days that History tells of.
func (f *Fake) Remembered(b *tally.Book) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.past = b
}

// History implements control.Historian.
func (f *Fake) History(_ context.Context, jail string, since, until time.Time) (tally.History, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.past == nil {
		return tally.Read(nil), f.fail
	}
	return tally.Read(f.past.Select(jail, since, until)), f.fail
}

// Reload implements control.Writer.
func (f *Fake) Reload(context.Context) error { return f.command("reload") }

// Report implements control.Writer.
func (f *Fake) Report(_ context.Context, r control.Report) error {
	return f.command("report %s %s %q success=%t", r.Jail, r.Addr, r.User, r.Success)
}

// Pause implements control.Writer.
func (f *Fake) Pause(_ context.Context, d time.Duration) error { return f.command("pause %s", d) }

// ResetStatistics implements control.Writer.
func (f *Fake) ResetStatistics(context.Context) error { return f.command("reset-statistics") }

// ResetFirewall implements control.Writer.
func (f *Fake) ResetFirewall(context.Context) error { return f.command("reset-firewall") }

func (f *Fake) command(format string, args ...any) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.note(format, args...)
	return f.fail
}

func (f *Fake) note(format string, args ...any) {
	f.commands = append(f.commands, fmt.Sprintf(format, args...))
}

// refuse returns why a command about a jail fails.
func (f *Fake) refuse(jail string) error {
	if f.fail != nil {
		return f.fail
	}
	return f.known(jail)
}

func (f *Fake) known(jail string) error {
	if jail == "" {
		return nil
	}
	_, err := control.FindJail(f.jails, jail)
	return err
}

func (f *Fake) tell(e control.Event) {
	if f.Announce != nil {
		f.Announce(e)
	}
}

func (f *Fake) now() time.Time {
	if f.Now != nil {
		return f.Now()
	}
	return time.Now()
}

// ExportState implements control.Archiver: it writes an empty state.
func (f *Fake) ExportState(_ context.Context, w io.Writer) error {
	if err := f.command("export-state"); err != nil {
		return err
	}
	_, err := io.WriteString(w, `{"format":"exile-state","version":1}`+"\n")
	return err
}
