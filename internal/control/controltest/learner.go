package controltest

import (
	"context"
	"net/netip"
	"slices"

	"exile/internal/control"
)

// This file is what a daemon has learned.

// Learn sets the names.
func (f *Fake) Learn(names ...control.Name) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.names = slices.Clone(names) // ForgetName deletes in place
}

// Names implements control.Learner.
func (f *Fake) Names(_ context.Context, jail string) ([]control.Name, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.known(jail); err != nil {
		return nil, err
	}
	var out []control.Name
	for _, n := range f.names {
		if jail == "" || n.Jail == jail {
			out = append(out, n)
		}
	}
	return out, nil
}

// ForgetName implements control.Learner.
func (f *Fake) ForgetName(_ context.Context, jail, name string) (bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.note("forget-name %q %q", jail, name)
	n := len(f.names)
	f.names = slices.DeleteFunc(f.names, func(k control.Name) bool { return (jail == "" || k.Jail == jail) && string(k.Name) == name })
	return len(f.names) < n, f.refuse(jail)
}

// ForgetAddress implements control.Learner.
func (f *Fake) ForgetAddress(_ context.Context, jail string, p netip.Prefix) (bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.note("forget-address %q %s", jail, p)
	n := len(f.hosts)
	f.hosts = slices.DeleteFunc(f.hosts, func(h control.Host) bool { return (jail == "" || h.Jail == jail) && h.Prefix.Overlaps(p) })
	return len(f.hosts) < n, f.refuse(jail)
}
