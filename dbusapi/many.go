package dbusapi

import (
	"fmt"

	"exile/dbusapi/internal/bus"
	"exile/dbusapi/internal/exile1"
	"exile/dbusapi/internal/server"
	"exile/internal/control"
)

// banMany makes many bans in one change: otherwise a list of a hundred thousand would take as many transactions.
func (r *rows) banMany(c *server.Call) ([]any, error) {
	flags, err := c.Flags(1, exile1.FlagForce)
	if err != nil {
		return nil, err
	}
	var records []exile1.BanRequest
	if err := c.Store(0, &records); err != nil {
		return nil, bus.Errorf(bus.InvalidArgs, "Cannot read the bans: %q.", err.Error())
	}
	requests := make([]control.BanRequest, len(records))
	for i, r := range records {
		if requests[i], err = toRequest(r.Jail, r.Address, r.Duration, r.Reason, flags); err != nil {
			return nil, fmt.Errorf("ban %d: %w", i, err)
		}
	}
	errs, err := r.Daemon.BanMany(c.Context(), requests)
	if err != nil {
		return nil, err
	}
	return []any{toRefusals(c, errs)}, nil
}

// remember takes over how often many addresses were banned before.
func (r *rows) remember(c *server.Call) ([]any, error) {
	if _, err := c.Flags(1, 0); err != nil {
		return nil, err
	}
	var records []exile1.Offender
	if err := c.Store(0, &records); err != nil {
		return nil, bus.Errorf(bus.InvalidArgs, "Cannot read the offenders: %q.", err.Error())
	}
	offenders := make([]control.Offender, len(records))
	for i, r := range records {
		p, err := control.ParsePrefix(r.Address)
		if err != nil {
			return nil, fmt.Errorf("offender %d: %w", i, err)
		}
		offenders[i] = control.Offender{Jail: r.Jail, Prefix: p, Offences: int(r.Offences), Last: exile1.FromUSec(r.Last)}
	}
	errs, err := r.Daemon.Remember(c.Context(), offenders)
	if err != nil {
		return nil, err
	}
	return []any{toRefusals(c, errs)}, nil
}

func toRefusals(c *server.Call, errs []error) []exile1.Refusal {
	out := []exile1.Refusal{}
	for i, err := range errs {
		if err != nil {
			e := c.Error(err)
			out = append(out, exile1.Refusal{Index: exile1.Count(i), Name: e.Name, Message: e.Error()})
		}
	}
	return out
}
