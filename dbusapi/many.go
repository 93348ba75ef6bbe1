package dbusapi

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/godbus/dbus/v5"

	"exile/internal/control"
)

// banRequest is a ban that is asked for, on the wire: (ssts).
type banRequest struct {
	Jail, Address string
	Duration      uint64 // microseconds; 0: the jail's bantime; infinity: permanent
	Reason        string
}

// refusal is a ban that was not made, on the wire: (uss).
type refusal struct {
	Index         uint32 // of the request
	Name, Message string // of the error
}

// banMany makes many bans in one change: a list of a hundred thousand would be as many transactions else.
func banMany(c *call) ([]any, error) {
	flags, err := c.flags(1, flagForce)
	if err != nil {
		return nil, err
	}
	var records []banRequest
	if err := dbus.Store(c.body[:1], &records); err != nil {
		return nil, fail(errInvalidArgs, "Cannot read the bans: %s.", sentenceBody(err))
	}
	requests := make([]control.BanRequest, len(records))
	for i, r := range records {
		if requests[i], err = toRequest(r.Jail, r.Address, r.Duration, r.Reason, flags); err != nil {
			return nil, fmt.Errorf("ban %d: %w", i, err)
		}
	}
	errs, err := c.session.service.cfg.Writer.BanMany(c.ctx, requests)
	if err != nil {
		return nil, err
	}
	return []any{toRefusals(errs)}, nil
}

func toRefusals(errs []error) []refusal {
	out := []refusal{}
	for i, err := range errs {
		if err != nil {
			e := busError(err)
			out = append(out, refusal{count(i), e.Name, e.Error()})
		}
	}
	return out
}

// What BanMany of the client puts into one call: a message that the service reads, and that it carries out in a moment.
const (
	manyBans  = 200
	manyBytes = maxMessage / 2
)

// BanMany implements control.Writer, in as many calls as it takes: those before one that fails stay.
func (c *Client) BanMany(ctx context.Context, requests []control.BanRequest) ([]error, error) {
	var errs []error
	for len(requests) > 0 {
		n, records := nextRequests(requests)
		some, err := c.banSome(ctx, records, requests[0].Force)
		if err != nil {
			return errs, err
		}
		errs, requests = append(errs, some...), requests[n:]
	}
	return errs, nil
}

// nextRequests takes what fits into a call: of one kind, as Force is a flag of the call.
func nextRequests(requests []control.BanRequest) (int, []banRequest) {
	var out []banRequest
	size := 0
	for i, r := range requests {
		size += len(r.Jail) + len(r.Reason) + 80 // an address, lengths, alignment
		if i > 0 && (i == manyBans || size > manyBytes || r.Force != requests[0].Force) {
			break
		}
		duration := durationUSec(r.Duration)
		if r.Permanent {
			duration = infinity
		}
		out = append(out, banRequest{r.Jail, FormatPrefix(r.Prefix), duration, r.Reason})
	}
	return len(out), out
}

func (c *Client) banSome(ctx context.Context, records []banRequest, force bool) ([]error, error) {
	var flags uint64
	if force {
		flags = flagForce
	}
	body, err := c.call(ctx, "BanMany", records, flags)
	if err != nil {
		return nil, err
	}
	var refused []refusal
	if err := dbus.Store(body, &refused); err != nil {
		return nil, fmt.Errorf("read reply of BanMany: %w", err)
	}
	if slices.ContainsFunc(refused, func(r refusal) bool { return uint64(r.Index) >= uint64(len(records)) }) {
		return nil, errors.New("read reply of BanMany: it refuses more than was asked")
	}
	errs := make([]error, len(records))
	for _, r := range refused {
		errs[r.Index] = &RemoteError{Name: r.Name, Message: r.Message}
	}
	return errs, nil
}
