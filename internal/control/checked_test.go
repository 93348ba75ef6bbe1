package control_test

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"exile/internal/control"
	"exile/internal/control/controltest"
)

// A call that exceeds a limit does not reach the daemon, whatever face it comes from.
func TestChecked(t *testing.T) {
	t.Parallel()
	f := &controltest.Fake{}
	f.Set(control.Status{}, []control.JailStatus{{Name: "sshd"}}, nil, nil)
	d, ctx := control.Checked(f), t.Context()
	long, escape := strings.Repeat("x", control.MaxText+1), "\x1b[2J"
	one, wide := netip.MustParsePrefix("192.0.2.1/32"), netip.MustParsePrefix("0.0.0.0/7")
	ban := func(r control.BanRequest) func() error {
		return func() error { _, err := d.Ban(ctx, r); return err }
	}
	page := func(p control.Page) func() error {
		return func() error {
			_, _, bans := d.Bans(ctx, p)
			_, _, hosts := d.Hosts(ctx, p)
			if (bans == nil) != (hosts == nil) {
				t.Errorf("%+v: bans %v, hosts %v", p, bans, hosts)
			}
			return bans
		}
	}
	for name, refused := range map[string]func() error{
		"ban of nobody":          ban(control.BanRequest{}),
		"ban of too many":        ban(control.BanRequest{Prefix: wide}),
		"ban for less than none": ban(control.BanRequest{Prefix: one, Duration: -1}),
		"jail of a ban":          ban(control.BanRequest{Prefix: one, Jail: long}),
		"reason of a ban":        ban(control.BanRequest{Prefix: one, Reason: escape}),
		"negative page":          page(control.Page{Max: -1}),
		"start of a page":        page(control.Page{After: long + long}),
		"jail of a page":         page(control.Page{Jail: escape}),
		"address":                func() error { _, err := d.Address(ctx, netip.Prefix{}); return err },
		"jail of an unban":       func() error { _, err := d.Unban(ctx, escape, one); return err },
		"report of nobody":       func() error { return d.Report(ctx, control.Report{User: "root"}) },
		"user of a report":       func() error { return d.Report(ctx, control.Report{Addr: one.Addr(), User: long}) },
		"jail of a report":       func() error { return d.Report(ctx, control.Report{Addr: one.Addr(), Jail: long}) },
		"pause back":             func() error { return d.Pause(ctx, -1) },
		"long pause":             func() error { return d.Pause(ctx, control.LongestPause+1) },
		"jail of names":          func() error { _, err := d.Names(ctx, escape); return err },
		"long name":              func() error { _, err := d.ForgetName(ctx, "", strings.Repeat("x", 4*control.MaxText+1)); return err },
		"jail of a name":         func() error { _, err := d.ForgetName(ctx, escape, "root"); return err },
		"forget nobody":          func() error { _, err := d.ForgetAddress(ctx, "", netip.Prefix{}); return err },
		"jail of an address":     func() error { _, err := d.ForgetAddress(ctx, escape, one); return err },
		"trial of nothing":       func() error { return d.Try(ctx, "", time.Hour) },
		"trial of no length":     func() error { return d.Try(ctx, "x", 0) },
		"long trial":             func() error { return d.Try(ctx, "x", control.LongestTrial+1) },
		"large trial":            func() error { return d.Try(ctx, strings.Repeat("x", 1<<20+1), time.Hour) },
	} {
		if err := refused(); !errors.Is(err, control.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if got := f.Commands(); len(got) > 0 {
		t.Errorf("the daemon was told %q", got)
	}
	for name, taken := range map[string]func() error{
		"longest pause": func() error { return d.Pause(ctx, control.LongestPause) },
		"no pause":      func() error { return d.Pause(ctx, 0) },
		"longest trial": func() error { return d.Try(ctx, "x", control.LongestTrial) },
		"flush":         func() error { _, err := d.Unban(ctx, "sshd", netip.Prefix{}); return err },
		"any name":      func() error { _, err := d.ForgetName(ctx, "", "\xff"); return err },
		"first page":    page(control.Page{}),
	} {
		if err := taken(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Of many bans, those that exceed no limit are made.
func TestCheckedMany(t *testing.T) {
	t.Parallel()
	f := &controltest.Fake{}
	f.Set(control.Status{}, []control.JailStatus{{Name: "sshd"}}, nil, nil)
	one, other := netip.MustParsePrefix("192.0.2.1/32"), netip.MustParsePrefix("192.0.2.2/32")
	errs, err := control.Checked(f).BanMany(t.Context(), []control.BanRequest{{Prefix: one}, {}, {Prefix: other}, {Prefix: other, Jail: "nginx"}})
	wants := []error{nil, control.ErrInvalid, nil, control.ErrNoSuchJail}
	if err != nil || !slices.EqualFunc(errs, wants, func(got, want error) bool { return errors.Is(got, want) }) {
		t.Errorf("%v, %v, want %v", errs, err, wants)
	}
}
