package firewall

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
)

// Spared is what no ban stops: an established TCP connection, or an address.
type Spared struct {
	Remote netip.AddrPort // port 0: everything from the address; unmapped and without zone
	Local  netip.AddrPort // the local end; for an address the zero AddrPort
}

// MaxSpared is how many can be spared at once.
const MaxSpared = 4096

// Sparer is a Backend whose bans can spare connections and addresses.
type Sparer interface {
	// Spare replaces what is spared. Of a connection only the packets that would begin another are stopped. It takes effect as
	// a whole, or not at all, and stays in effect over restarts and repairs.
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

// SameSpared reports whether both lists spare the same.
func SameSpared(a, b []Spared) bool { return slices.Equal(SortSpared(a), SortSpared(b)) }

// SortSpared returns a sorted copy without duplicates.
func SortSpared(all []Spared) []Spared {
	all = slices.Clone(all)
	slices.SortFunc(all, func(a, b Spared) int {
		return cmp.Or(a.Remote.Compare(b.Remote), a.Local.Compare(b.Local))
	})
	return slices.Compact(all)
}
