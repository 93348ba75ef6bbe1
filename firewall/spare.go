package firewall

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
)

// Spared is what no ban stops: a TCP connection that is up, or an address.
type Spared struct {
	Remote netip.AddrPort // with port 0 everything from the address; unmapped and without zone
	Local  netip.AddrPort // the end here; of an address the zero AddrPort
}

// MaxSpared is how many there can be at once.
const MaxSpared = 4096

// Sparer is what a backend also is when its bans can leave somebody alone.
type Sparer interface {
	// Spare has the bans stop nothing of all, and of a connection only what begins another; what was spared before and is
	// not in all is stopped again. It is made at once, or not at all. What a restart finds, and what a change repairs, is
	// spared as before.
	Spare(ctx context.Context, all []Spared) error
	// Spared returns what the kernel spares, in any order.
	Spared(ctx context.Context) ([]Spared, error)
}

// CheckSpared returns an error for what no backend can spare.
func CheckSpared(all []Spared) error {
	if len(all) > MaxSpared {
		return fmt.Errorf("%d to be spared, at most %d can be", len(all), MaxSpared)
	}
	for _, s := range all {
		if err := s.check(); err != nil {
			return fmt.Errorf("spare %v: %w", s.Remote, err)
		}
	}
	return nil
}

func (s Spared) check() error {
	remote, local := s.Remote.Addr(), s.Local.Addr()
	switch {
	case !remote.IsValid() || remote.Is4In6() || remote.Zone() != "":
		return errors.New("not an address, or not unmapped and without zone")
	case s.Remote.Port() == 0 && s.Local.IsValid():
		return errors.New("a connection has a port at each end")
	case s.Remote.Port() != 0 && (s.Local.Port() == 0 || local.BitLen() != remote.BitLen() || local.Is4In6() || local.Zone() != ""):
		return errors.New("the end here is missing, or of the other family")
	}
	return nil
}

// SameSpared reports whether both spare the same.
func SameSpared(a, b []Spared) bool { return slices.Equal(SortSpared(a), SortSpared(b)) }

// SortSpared returns a copy in order, each once.
func SortSpared(all []Spared) []Spared {
	all = slices.Clone(all)
	slices.SortFunc(all, func(a, b Spared) int {
		return cmp.Or(a.Remote.Compare(b.Remote), a.Local.Compare(b.Local))
	})
	return slices.Compact(all)
}
