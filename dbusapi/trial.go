package dbusapi

import (
	"exile/dbusapi/internal/exile1"
	"exile/dbusapi/internal/server"
)

// trialMethods are the rows of org.exile1.Manager about a configuration that waits for its confirmation. Only root passes:
// a configuration names programs that are run.
func (r *rows) trialMethods() []server.Method {
	return []server.Method{
		r.method("TryConfiguration", "s text, t duration_usec, t flags", "", r.tryConfiguration),
		r.method("GetTrial", "", "s file, s text, t until_usec", r.getTrial),
	}
}

func (r *rows) tryConfiguration(c *server.Call) ([]any, error) {
	if _, err := c.Flags(2, 0); err != nil {
		return nil, err
	}
	err := r.Daemon.Try(c.Context(), c.Str(0), exile1.FromDurationUSec(c.U64(1)))
	c.Changed()
	return nil, err
}

func (r *rows) getTrial(c *server.Call) ([]any, error) {
	t, err := r.Daemon.Trial(c.Context())
	if err != nil {
		return nil, err
	}
	return []any{t.File, t.Text, exile1.USec(t.Until)}, nil
}
