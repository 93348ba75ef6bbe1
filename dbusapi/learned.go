package dbusapi

import (
	"exile/dbusapi/internal/exile1"
	"exile/dbusapi/internal/server"
	"exile/internal/control"
)

// learnedMethods are the rows of org.exile1.Manager about what detectors have learned.
func (r *rows) learnedMethods() []server.Method {
	return []server.Method{
		r.method("ListNames", "s jail, t flags", "a(ssut) names", r.listNames),
		r.method("ForgetName", "s jail, s name, t flags", "b known", r.forgetName),
		r.method("ForgetAddress", "s jail, s address, t flags", "b known", r.forgetAddress),
	}
}

func (r *rows) listNames(c *server.Call) ([]any, error) {
	if _, err := c.Flags(1, 0); err != nil {
		return nil, err
	}
	names, err := r.Daemon.Names(c.Context(), c.Str(0))
	if err != nil {
		return nil, err
	}
	out := make([]exile1.NameRecord, 0, len(names))
	for _, n := range names {
		out = append(out, exile1.NameRecord{Jail: n.Jail, Name: control.QuoteName(string(n.Name)), Hosts: exile1.Count(n.Hosts), Last: exile1.USec(n.Last)})
	}
	return []any{out}, nil
}

func (r *rows) forgetName(c *server.Call) ([]any, error) {
	if _, err := c.Flags(2, 0); err != nil {
		return nil, err
	}
	name, err := control.ParseName(c.Str(1))
	if err != nil {
		return nil, err
	}
	known, err := r.Daemon.ForgetName(c.Context(), c.Str(0), name)
	return []any{known}, err
}

func (r *rows) forgetAddress(c *server.Call) ([]any, error) {
	if _, err := c.Flags(2, 0); err != nil {
		return nil, err
	}
	p, err := control.ParsePrefix(c.Str(1))
	if err != nil {
		return nil, err
	}
	known, err := r.Daemon.ForgetAddress(c.Context(), c.Str(0), p)
	return []any{known}, err
}
