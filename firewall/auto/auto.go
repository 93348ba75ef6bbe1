// Package auto chooses the backend: the one that is asked for, or the first that really works here.
package auto

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"exile/firewall"
	"exile/firewall/ipset"
	"exile/firewall/nftables"
	"exile/firewall/route"
)

// The words for want and name besides those of the backends.
const (
	Auto   = "auto"
	DryRun = "dry-run"
)

// What a probe uses in the place of our real names; beside the defaults of route in its own number space.
const (
	probeName     = "exile-probe"
	probeTable    = 167
	probePriority = 101
)

// candidate is a backend that may be chosen.
type candidate struct {
	name  string
	ports bool // it can limit a ban to a port
	// open opens the backend; a probe is one with names of its own, beside the bans that are there already.
	open func(probe bool) (firewall.Backend, error)
	// remove takes away what an earlier run left of the backend.
	remove func(ctx context.Context) error
}

// candidates are all the backends, the best first. Sets of nftables are in the ruleset that `nft list ruleset` saves in a form
// that `nft -f` loads again, beside the rules of iptables they are in nobody's way. The rule that asks an ip set is one that
// nft saves and then refuses, with the whole file.
func candidates(netns int) []candidate {
	return []candidate{
		{"nftables", true, func(probe bool) (firewall.Backend, error) {
			c := nftables.Config{NetNS: netns}
			if probe {
				c.Table = probeName
			}
			return some(nftables.New(c))
		}, func(ctx context.Context) error { return nftables.Remove(ctx, nftables.Config{NetNS: netns}) }},
		{"ipset", true, func(probe bool) (firewall.Backend, error) {
			c := ipset.Config{NetNS: netns}
			if probe {
				c.Name = probeName
			}
			return some(ipset.New(c))
		}, func(ctx context.Context) error { return ipset.Remove(ctx, ipset.Config{NetNS: netns}) }},
		{"route", false, func(probe bool) (firewall.Backend, error) {
			c := route.Config{NetNS: netns}
			if probe {
				c.Table, c.Protocol, c.Priority = probeTable, probeTable, probePriority
			}
			return some(route.New(c))
		}, func(ctx context.Context) error { return route.Remove(ctx, route.Config{NetNS: netns}) }},
	}
}

// some keeps a nil pointer from becoming a backend that is not nil.
func some[B firewall.Backend](b B, err error) (firewall.Backend, error) {
	if err != nil {
		return nil, err
	}
	return b, nil
}

// Choice is a backend, its name, and why it was chosen, for people.
type Choice struct {
	firewall.Backend
	Name, Why string
	Ports     bool // it can limit a ban to a port
}

// Choose opens the backend want, by name, or for "auto" the best that works: each is tried by really banning and listing
// in tables and sets of its own, because neither the kernel's version nor a list of modules says what a sandbox or a
// container allows. With ports it must be able to limit a ban to a port; else the error is errors.ErrUnsupported. The one in
// use, if any, is known to work, and is not opened again. The error says why each one was not chosen.
func Choose(ctx context.Context, want string, ports bool, using Choice) (Choice, error) {
	return choose(ctx, want, ports, using, candidates(0))
}

func choose(ctx context.Context, want string, ports bool, using Choice, all []candidate) (Choice, error) {
	if want == DryRun {
		return Choice{firewall.NewDryRun(), DryRun, "asked for: nothing is banned", true}, nil
	}
	var names []string
	var failures []error
	for _, c := range all {
		names = append(names, c.name)
		if want != Auto && want != c.name {
			continue
		}
		b, err := c.take(ctx, ports, using)
		if err == nil {
			return Choice{b, c.name, reason(want, failures), c.ports}, nil
		}
		if ctx.Err() != nil {
			return Choice{}, err
		}
		failures = append(failures, fmt.Errorf("%s: %w", c.name, err))
	}
	if len(failures) == 0 {
		return Choice{}, fmt.Errorf("no backend %q: want auto, %s or dry-run", want, strings.Join(names, ", "))
	}
	return Choice{}, fmt.Errorf("no backend works here: %w", none(failures))
}

// errNoPorts is why a backend does not do for a jail with "port:".
var errNoPorts = fmt.Errorf("it cannot limit a ban to a port: %w", errors.ErrUnsupported)

// take returns the backend in use if it is the candidate's, else a new one that passes the probe.
func (c candidate) take(ctx context.Context, ports bool, using Choice) (firewall.Backend, error) {
	switch {
	case ports && !c.ports:
		return nil, errNoPorts
	case using.Name == c.name:
		return using.Backend, nil
	}
	return try(ctx, c)
}

// Sweep removes what the backends other than keep, a name, left in the kernel: in earlier runs, or before keep took their
// place. No other backend may be open.
func Sweep(ctx context.Context, keep string) error { return sweep(ctx, keep, candidates(0)) }

func sweep(ctx context.Context, keep string, all []candidate) error {
	var failures []error
	for _, c := range all {
		if c.name == keep {
			continue
		}
		if err := c.remove(ctx); err != nil && !missing(err) {
			failures = append(failures, fmt.Errorf("remove what %s left: %w", c.name, err))
		}
	}
	return errors.Join(failures...)
}

// missing reports whether the kernel does not have the subsystem at all, in which case nothing can be left of it.
func missing(err error) bool {
	for _, errno := range []unix.Errno{unix.EINVAL, unix.EOPNOTSUPP, unix.EPROTONOSUPPORT, unix.EAFNOSUPPORT} {
		if errors.Is(err, errno) {
			return true
		}
	}
	return false
}

// none is why no backend works, in one line for the log.
type none []error

func (n none) Error() string {
	return strings.ReplaceAll(errors.Join(n...).Error(), "\n", "; ")
}

func (n none) Unwrap() []error { return n }

func reason(want string, failures []error) string {
	switch {
	case want != Auto:
		return "asked for"
	case len(failures) == 0:
		return "the first choice, and works here"
	}
	return "the first that works here; not " + strings.ReplaceAll(errors.Join(failures...).Error(), "\n", "; not ")
}

// try opens the backend if it passes the probe.
func try(ctx context.Context, c candidate) (firewall.Backend, error) {
	b, err := c.open(true)
	if err != nil {
		return nil, err
	}
	// What the probe made goes even if ctx ends meanwhile.
	err = errors.Join(probe(ctx, b), b.Destroy(context.WithoutCancel(ctx)), b.Close())
	if err != nil {
		return nil, fmt.Errorf("probe: %w", err)
	}
	return c.open(false)
}

// probe bans addresses that nobody has (RFC 5737, RFC 3849) and lifts the bans again.
func probe(ctx context.Context, b firewall.Backend) error {
	until := time.Now().Add(time.Hour)
	var c firewall.Change
	for _, p := range []string{"192.0.2.1/32", "198.51.100.0/24", "2001:db8::/64"} {
		ban := firewall.Ban{Key: firewall.Key{Prefix: netip.MustParsePrefix(p)}, Until: until}
		c.Add, c.Del = append(c.Add, ban), append(c.Del, ban.Key)
	}
	if err := b.Apply(ctx, firewall.Change{Add: c.Add}); err != nil {
		return err
	}
	if err := holds(ctx, b, c.Add); err != nil {
		return err
	}
	if err := b.Apply(ctx, firewall.Change{Del: c.Del}); err != nil {
		return err
	}
	return holds(ctx, b, nil)
}

// holds returns an error unless the kernel has exactly the bans.
func holds(ctx context.Context, b firewall.Backend, want []firewall.Ban) error {
	have, err := b.List(ctx)
	if err != nil {
		return err
	}
	if c := firewall.Diff(want, have); !c.Empty() {
		return fmt.Errorf("the kernel took %d bans and holds %d", len(want), len(have))
	}
	return nil
}
