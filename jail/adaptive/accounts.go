package adaptive

import (
	"maps"
	"slices"

	"exile/jail/internal/text"
)

// accounts are the names that exist on the host, as far as the detector was told.
type accounts struct {
	names []string        // in order
	shut  map[string]bool // whether each cannot log in by password
}

// maxAccounts bounds the accounts that are compared with every unknown name.
const maxAccounts = 4096

func newAccounts(all, locked []string) accounts {
	a := accounts{shut: make(map[string]bool)}
	for _, name := range all[:min(len(all), maxAccounts)] {
		if name != "" {
			a.shut[text.Clip(name)] = false
		}
	}
	a.names = slices.Sorted(maps.Keys(a.shut))
	for _, name := range locked[:min(len(locked), maxAccounts)] {
		a.shut[text.Clip(name)] = true
	}
	return a
}

// has reports whether the host has the account.
func (a *accounts) has(name string) bool {
	_, ok := a.shut[text.Clip(name)]
	return ok
}

// locked reports whether the account cannot log in by password.
func (a *accounts) locked(name string) bool {
	return a.shut[text.Clip(name)]
}

// near reports whether a name is a typing error away from an account.
func (a *accounts) near(name string) bool {
	return slices.ContainsFunc(a.names, func(account string) bool { return nearMiss(name, account) })
}

// nearMiss reports whether two names differ by a letter that is missing, added or wrong, by two letters that are swapped,
// or only because one goes on where the other, of at least four letters, ends.
func nearMiss(a, b string) bool {
	if len(a) > len(b) {
		a, b = b, a
	}
	if len(a) > 2 && a[0] != b[0] && a[len(a)-1] != b[len(b)-1] {
		return false // most differ here
	}
	i := 0
	for i < len(a) && a[i] == b[i] {
		i++
	}
	if len(b)-len(a) > 1 {
		return len(a) >= 4 && i == len(a)
	}
	restA, restB := a[i:], b[i:]
	switch {
	case restB == "":
		return true
	case restA == restB[1:]:
		return true
	case restA == "":
		return false
	case restA[1:] == restB[1:]:
		return true
	}
	return swapped(restA, restB)
}

// swapped reports whether two texts differ only in the order of their first two letters.
func swapped(a, b string) bool {
	return len(a) >= 2 && len(b) >= 2 && a[0] == b[1] && a[1] == b[0] && a[2:] == b[2:]
}
