package dbusapi

import (
	"encoding/json"
	"fmt"

	"exile/dbusapi/internal/exile1"
	"exile/dbusapi/internal/server"
	"exile/internal/control"
)

// asJSON is the reply of a Describe method: a record of internal/control.
func asJSON(record any) ([]any, error) {
	text, err := json.Marshal(record)
	if err != nil {
		return nil, fmt.Errorf("write description: %w", err)
	}
	return []any{string(text)}, nil
}

func (r *rows) describeStatus(c *server.Call) ([]any, error) {
	status, jails, err := r.ask(c.Context())
	if err != nil {
		return nil, err
	}
	if !c.Allows(r.action(control.MayInspect)) {
		status = status.Public()
		for i, j := range jails {
			jails[i] = j.Public()
		}
	}
	return asJSON(control.Overview{Status: status, All: jails})
}

func (r *rows) describeHistory(c *server.Call) ([]any, error) {
	if err := c.TakeLargeSlot(); err != nil {
		return nil, err
	}
	h, err := r.Daemon.History(c.Context(), c.Str(0), exile1.FromUSec(c.U64(1)), exile1.FromUSec(c.U64(2)))
	if err != nil {
		return nil, err
	}
	return asJSON(h)
}

func (r *rows) describeAddress(c *server.Call) ([]any, error) {
	p, err := control.ParsePrefix(c.Str(0))
	if err != nil {
		return nil, err
	}
	a, err := r.Daemon.Address(c.Context(), p)
	if err != nil {
		return nil, err
	}
	return asJSON(a)
}

func (r *rows) describeKernel(c *server.Call) ([]any, error) {
	p, err := control.ParsePrefix(c.Str(0))
	if err != nil {
		return nil, err
	}
	held, err := r.Daemon.Held(c.Context(), p)
	if err != nil {
		return nil, err
	}
	return asJSON(append([]control.Held{}, held...))
}
