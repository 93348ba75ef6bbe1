package control

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"
)

// Daemon is everything that a face needs from a daemon.
type Daemon interface {
	Reader
	Writer
	Learner
	Historian
	Archiver
	Configurer
}

// Limits on what callers send, beside MaxText, PageMax and Widest.
const (
	LongestPause = 24 * time.Hour // a longer pause should be a stop
	LongestTrial = 24 * time.Hour // and a longer trial a configuration
	maxTrial     = 1 << 20        // bytes; no main file is larger
)

// Checked wraps a daemon and refuses, with ErrInvalid, calls that exceed a limit, so that the limits are the same on every
// face. Each face wraps the daemon that it is given.
func Checked(d Daemon) Daemon { return checked{d} }

type checked struct{ Daemon }

// checkPage returns the page with its size set.
func checkPage(p Page) (Page, error) {
	switch {
	case p.Max < 0:
		return p, invalid(fmt.Sprintf("a page of %d entries", p.Max))
	case len(p.After) > 2*MaxText: // a jail and a prefix
		return p, invalid("the start of the page is too long")
	}
	p.Max = p.Size()
	return p, CheckText("jail", p.Jail)
}

// Bans implements Reader.
func (c checked) Bans(ctx context.Context, p Page) ([]Ban, string, error) {
	p, err := checkPage(p)
	if err != nil {
		return nil, "", err
	}
	return c.Daemon.Bans(ctx, p)
}

// Hosts implements Reader.
func (c checked) Hosts(ctx context.Context, p Page) ([]Host, string, error) {
	p, err := checkPage(p)
	if err != nil {
		return nil, "", err
	}
	return c.Daemon.Hosts(ctx, p)
}

func checkPrefix(p netip.Prefix) error {
	if !p.IsValid() {
		return invalid("no address")
	}
	return nil
}

// Address implements Reader.
func (c checked) Address(ctx context.Context, p netip.Prefix) (Address, error) {
	if err := checkPrefix(p); err != nil {
		return Address{}, err
	}
	return c.Daemon.Address(ctx, p)
}

// Held implements Reader.
func (c checked) Held(ctx context.Context, p netip.Prefix) ([]Held, error) {
	if err := checkPrefix(p); err != nil {
		return nil, err
	}
	return c.Daemon.Held(ctx, p)
}

// History implements Historian.
func (c checked) History(ctx context.Context, jail string, since, until time.Time) (History, error) {
	if err := CheckText("jail", jail); err != nil {
		return History{}, err
	}
	return c.Daemon.History(ctx, jail, since, until)
}

func checkBan(r BanRequest) error {
	err := errors.Join(checkPrefix(r.Prefix), CheckText("jail", r.Jail), CheckText("reason", r.Reason))
	switch {
	case err != nil:
		return err
	case r.Prefix.Bits() < Widest(r.Prefix):
		return invalid(fmt.Sprintf("%s is too wide: at least /%d", r.Prefix, Widest(r.Prefix)))
	case r.Duration < 0:
		return invalid("the duration of a ban must be neither negative nor above 292 years; a permanent ban is asked for by its flag")
	}
	return nil
}

// Ban implements Writer.
func (c checked) Ban(ctx context.Context, r BanRequest) (Ban, error) {
	if err := checkBan(r); err != nil {
		return Ban{}, err
	}
	return c.Daemon.Ban(ctx, r)
}

// BanMany implements Writer: it carries out the requests that exceed no limit.
func (c checked) BanMany(ctx context.Context, requests []BanRequest) ([]error, error) {
	return some(requests, checkBan, func(good []BanRequest) ([]error, error) { return c.Daemon.BanMany(ctx, good) })
}

// MaxOffences is more than anybody has.
const MaxOffences = 1_000_000

func checkOffender(o Offender) error {
	switch err := errors.Join(checkPrefix(o.Prefix), CheckText("jail", o.Jail)); {
	case err != nil:
		return err
	case o.Prefix.Bits() < Widest(o.Prefix):
		return invalid(fmt.Sprintf("%s is too wide: at least /%d", o.Prefix, Widest(o.Prefix)))
	case o.Offences < 1 || o.Offences > MaxOffences:
		return invalid(fmt.Sprintf("%d offences: 1 to %d", o.Offences, MaxOffences))
	case o.Last.IsZero():
		return invalid("offences without a time")
	}
	return nil
}

// Remember implements Writer: it remembers those who exceed no limit.
func (c checked) Remember(ctx context.Context, offenders []Offender) ([]error, error) {
	return some(offenders, checkOffender, func(good []Offender) ([]error, error) { return c.Daemon.Remember(ctx, good) })
}

// some carries out the requests that pass a check, and returns for each why it failed.
func some[R any](requests []R, check func(R) error, do func([]R) ([]error, error)) ([]error, error) {
	errs := make([]error, len(requests))
	var good []R
	var at []int
	for i, r := range requests {
		if errs[i] = check(r); errs[i] == nil {
			good, at = append(good, r), append(at, i)
		}
	}
	refused, err := do(good)
	for i, err := range refused {
		errs[at[i]] = err
	}
	return errs, err
}

// Unban implements Writer.
func (c checked) Unban(ctx context.Context, jail string, p netip.Prefix) (int, error) {
	if err := CheckText("jail", jail); err != nil {
		return 0, err
	}
	return c.Daemon.Unban(ctx, jail, p)
}

// Report implements Writer. The name may be of any bytes.
func (c checked) Report(ctx context.Context, r Report) error {
	err := CheckText("jail", r.Jail)
	switch {
	case err != nil:
		return err
	case !r.Addr.IsValid():
		return invalid("no address")
	case len(r.User) > MaxText:
		return invalid(fmt.Sprintf("user name of %d bytes: at most %d", len(r.User), MaxText))
	}
	return c.Daemon.Report(ctx, r)
}

// Pause implements Writer.
func (c checked) Pause(ctx context.Context, d time.Duration) error {
	if d < 0 || d > LongestPause {
		return invalid("a pause lasts at most a day")
	}
	return c.Daemon.Pause(ctx, d)
}

// Names implements Learner.
func (c checked) Names(ctx context.Context, jail string) ([]Name, error) {
	if err := CheckText("jail", jail); err != nil {
		return nil, err
	}
	return c.Daemon.Names(ctx, jail)
}

// ForgetName implements Learner.
func (c checked) ForgetName(ctx context.Context, jail, name string) (bool, error) {
	err := CheckText("jail", jail)
	if len(name) > 4*MaxText { // the limit of ParseName
		err = errors.Join(err, invalid(fmt.Sprintf("name of %d bytes: at most %d", len(name), 4*MaxText)))
	}
	if err != nil {
		return false, err
	}
	return c.Daemon.ForgetName(ctx, jail, name)
}

// ForgetAddress implements Learner.
func (c checked) ForgetAddress(ctx context.Context, jail string, p netip.Prefix) (bool, error) {
	if err := errors.Join(checkPrefix(p), CheckText("jail", jail)); err != nil {
		return false, err
	}
	return c.Daemon.ForgetAddress(ctx, jail, p)
}

// Try implements Configurer.
func (c checked) Try(ctx context.Context, text string, d time.Duration) error {
	switch {
	case text == "" || len(text) > maxTrial:
		return invalid(fmt.Sprintf("a configuration has 1 to %d bytes, not %d", maxTrial, len(text)))
	case d <= 0 || d > LongestTrial:
		return invalid("a trial lasts at most a day")
	}
	return c.Daemon.Try(ctx, text, d)
}
