package varlink

import (
	"errors"
	"fmt"

	"exile/internal/control"
)

// failure is an error with its name and parameters on the wire.
type failure struct {
	name       string
	parameters any
}

// Error implements error.
func (f *failure) Error() string { return fmt.Sprintf("%s %+v", f.name, f.parameters) }

// text is the parameters of our own errors.
type text struct {
	Message string `json:"message"`
}

// denied is the error for callers without the permission.
const denied = service + ".PermissionDenied"

func invalidParameter(name string) error {
	return &failure{"org.varlink.service.InvalidParameter", map[string]string{"parameter": name}}
}

// errorName is a row of the table between our errors and their names on the wire.
type errorName struct {
	err  error
	name string
}

// errorNames has every error of internal/control, in both directions.
func errorNames() []errorName {
	return []errorName{
		{control.ErrNoSuchJail, Interface + ".NoSuchJail"},
		{control.ErrProtected, Interface + ".AddressProtected"},
		{control.ErrConfig, Interface + ".ConfigInvalid"},
		{control.ErrBackend, Interface + ".BackendFailed"},
		{control.ErrInvalid, Interface + ".InvalidArgument"},
	}
}

// errorReply turns any error into a reply.
func errorReply(err error) reply {
	if f, ok := errors.AsType[*failure](err); ok {
		return reply{Error: f.name, Parameters: f.parameters}
	}
	name := Interface + ".Failed"
	for _, n := range errorNames() {
		if errors.Is(err, n.err) {
			name = n.name
		}
	}
	return reply{Error: name, Parameters: text{err.Error()}}
}

// replyError turns a reply to a call of method back into an error: the one given to errorReply, as seen by errors.Is.
func replyError(method, name, message string) error {
	switch {
	case name == denied: // org.varlink.service gives it no message
		message = "access denied: " + control.Denied(needed(method))
	case message == "":
		message = name
	}
	for _, n := range errorNames() {
		if n.name == name {
			return &remote{message, n.err}
		}
	}
	return &remote{message: message}
}

// remote is an error from the daemon; its text is the daemon's.
type remote struct {
	message string
	is      error
}

// Error implements error.
func (r *remote) Error() string { return r.message }

// Unwrap makes errors.Is find the error of internal/control.
func (r *remote) Unwrap() error { return r.is }
