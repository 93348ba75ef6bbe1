package exile1

import (
	"context"
	"errors"

	"exile/dbusapi/internal/bus"
	"exile/internal/control"
)

// errorName is a row of the table between our errors and their names on the bus.
type errorName struct {
	err  error
	name string
}

// errorNames has every error of internal/control, in both directions.
func errorNames() []errorName {
	return []errorName{
		{control.ErrNoSuchJail, BusName + ".NoSuchJail"},
		{control.ErrProtected, BusName + ".AddressProtected"},
		{control.ErrConfig, BusName + ".ConfigInvalid"},
		{control.ErrBackend, BusName + ".BackendFailed"},
		{control.ErrInvalid, bus.InvalidArgs},
		{context.DeadlineExceeded, bus.Timeout},
		{control.ErrStopping, bus.NoReply},
	}
}

// NameOf is the name of an error on the bus; empty: it has none.
func NameOf(err error) string {
	if control.Unanswered(err) {
		return bus.NoReply
	}
	for _, n := range errorNames() {
		if errors.Is(err, n.err) {
			return n.name
		}
	}
	return ""
}

// ErrorOf is the inverse of NameOf; nil: the name is of another error.
func ErrorOf(name string) error {
	for _, n := range errorNames() {
		if n.name == name {
			return n.err
		}
	}
	return nil
}
