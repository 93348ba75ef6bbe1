// Package auto chooses the backend: the one in the configuration, or the first that really works here.
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
	"exile/firewall/blocklist"
	"exile/firewall/ipset"
	"exile/firewall/nftables"
	"exile/firewall/route"
)

// The words for want and name besides those of the backends.
const (
	Auto   = "auto"
	DryRun = "dry-run"
)

// disguise is what a probe uses instead of our real names; its numbers are not the defaults of route.
type disguise struct {
	name     string
	protocol uint8
	priority uint32
}

func probing() disguise { return disguise{"exile-probe", 167, 101} }

// checking is for Check, while a daemon may be probing too.
func checking() disguise { return disguise{"exile-check", 168, 102} }

// candidate is a backend that may be chosen.
type candidate struct {
	name  string
	ports bool // it can limit a ban to a port
	// open opens the backend; a probe has names of its own, and leaves the bans that are there alone.
	open func(probe bool) (firewall.Backend, error)
	// remove removes what an earlier run of the backend left behind.
	remove func(ctx context.Context) error
}

// candidates are all the backends, the best first. `nft list ruleset` saves sets of nftables in a form that `nft -f` can load,
// and they do not disturb the rules of iptables. The rule that refers to an ip set is one that nft saves and then refuses to
// load, with the whole file.
func candidates(netns int, as disguise) []candidate {
	return []candidate{
		{"nftables", true, func(probe bool) (firewall.Backend, error) {
			c := nftables.Config{NetNS: netns}
			if probe {
				c.Table = as.name
			}
			return some(nftables.New(c))
		}, func(ctx context.Context) error { return nftables.Remove(ctx, nftables.Config{NetNS: netns}) }},
		{"ipset", true, func(probe bool) (firewall.Backend, error) {
			c := ipset.Config{NetNS: netns}
			if probe {
				c.Name = as.name
			}
			return some(ipset.New(c))
		}, func(ctx context.Context) error { return ipset.Remove(ctx, ipset.Config{NetNS: netns}) }},
		{"route", false, func(probe bool) (firewall.Backend, error) {
			c := route.Config{NetNS: netns}
			if probe {
				c.Protocol, c.Priority = as.protocol, as.priority // so that our bans look like those of others to it
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

// Choice is a backend, its name and, for people, why it was chosen.
type Choice struct {
	firewall.Backend
	Name, Why string
	Ports     bool // it can limit a ban to a port
}

// Choose opens the backend with the name want or, for "auto", the best that works. It tries each by really banning and
// listing in tables and sets of its own, because neither the kernel's version nor a list of modules says what a sandbox or a
// container allows. With ports the backend must be able to limit a ban to a port; otherwise the error is
// errors.ErrUnsupported. The backend in use, if any, is known to work and is not opened again. The error says why each one
// was not chosen.
func Choose(ctx context.Context, want string, ports bool, using Choice) (Choice, error) {
	return choose(ctx, want, ports, using, candidates(0, probing()))
}

// Check says which backend Choose would take. It tries the same things, while a daemon may be running. The backend that it
// returns bans nobody.
func Check(ctx context.Context, want string, ports bool) (Choice, error) {
	return check(ctx, want, ports, candidates(0, checking()))
}

func check(ctx context.Context, want string, ports bool, all []candidate) (Choice, error) {
	for i := range all {
		open := all[i].open
		all[i].open = func(probe bool) (firewall.Backend, error) {
			if !probe {
				return firewall.NewDryRun(), nil
			}
			return open(true)
		}
	}
	return choose(ctx, want, ports, Choice{}, all)
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
			why, settleErr := settle(ctx, b, reason(want, failures))
			if settleErr == nil {
				return Choice{b, c.name, why, c.ports}, nil
			}
			err = errors.Join(settleErr, b.Close())
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

// settle lets a backend find its place in the kernel, if it has to, and adds that to the reason.
func settle(ctx context.Context, b firewall.Backend, why string) (string, error) {
	s, ok := b.(interface {
		Settle(ctx context.Context) (string, error)
	})
	if !ok {
		return why, nil
	}
	where, err := s.Settle(ctx)
	if where != "" {
		why += "; " + where
	}
	return why, err
}

// errNoPorts is why a backend cannot be used with a jail with "port:".
var errNoPorts = fmt.Errorf("it cannot limit a ban to a port: %w", errors.ErrUnsupported)

// take returns the backend in use if it is the candidate's, or a new one that passes the probe.
func (c candidate) take(ctx context.Context, ports bool, using Choice) (firewall.Backend, error) {
	switch {
	case ports && !c.ports:
		return nil, errNoPorts
	case using.Name == c.name:
		return using.Backend, nil
	}
	return try(ctx, c)
}

// Sweep removes what the backends other than keep left in the kernel: in earlier runs, or before keep replaced them. No
// other backend may be open. If none is kept, the block lists go, too.
func Sweep(ctx context.Context, keep string) error {
	all := candidates(0, probing())
	if keep == "" {
		all = append(all, candidate{name: "block lists", remove: func(ctx context.Context) error { return blocklist.Remove(ctx, blocklist.Config{}) }})
	}
	return sweep(ctx, keep, all)
}

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

// missing reports whether the kernel lacks the subsystem: then nothing of it can be left behind.
func missing(err error) bool {
	for _, errno := range []unix.Errno{unix.EINVAL, unix.EOPNOTSUPP, unix.EPROTONOSUPPORT, unix.EAFNOSUPPORT} {
		if errors.Is(err, errno) {
			return true
		}
	}
	return false
}

// none says why no backend works, in one line for the log.
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
	// What the probe made is removed even if ctx ends meanwhile.
	err = errors.Join(probe(ctx, b), b.Destroy(context.WithoutCancel(ctx)), b.Close())
	if err != nil {
		return nil, fmt.Errorf("probe: %w", err)
	}
	return c.open(false)
}

// probe bans documentation addresses (RFC 5737, RFC 3849), which nobody has, and lifts the bans.
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
