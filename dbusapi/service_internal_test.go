package dbusapi

import (
	"testing"

	"exile/dbusapi/internal/exile1"
)

// Finding and describing an object makes no garbage. Not parallel: it counts allocations.
func TestTablesAreMadeOnce(t *testing.T) {
	s := New(Config{})
	var text string
	find := func() {
		if o, err := s.lookup(t.Context(), exile1.ManagerPath); err == nil {
			text = o.Introspect()
		}
	}
	if n := testing.AllocsPerRun(10, find); n > 0 || text == "" {
		t.Errorf("%v allocations for a description of %d bytes", n, len(text))
	}
}
