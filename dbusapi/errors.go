package dbusapi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"syscall"
	"unicode"
	"unicode/utf8"

	"github.com/godbus/dbus/v5"

	"exile/internal/control"
)

// The error names of the bus that we use.
const (
	errFailed           = "org.freedesktop.DBus.Error.Failed"
	errInvalidArgs      = "org.freedesktop.DBus.Error.InvalidArgs"
	errAccessDenied     = "org.freedesktop.DBus.Error.AccessDenied"
	errInteractive      = "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired"
	errNotSupported     = "org.freedesktop.DBus.Error.NotSupported"
	errLimitsExceeded   = "org.freedesktop.DBus.Error.LimitsExceeded"
	errTimedOut         = "org.freedesktop.DBus.Error.TimedOut" // of the bus; the one below is ours
	errTimeout          = "org.freedesktop.DBus.Error.Timeout"
	errUnknownObject    = "org.freedesktop.DBus.Error.UnknownObject"
	errUnknownInterface = "org.freedesktop.DBus.Error.UnknownInterface"
	errUnknownMethod    = "org.freedesktop.DBus.Error.UnknownMethod"
	errUnknownProperty  = "org.freedesktop.DBus.Error.UnknownProperty"
	errReadOnly         = "org.freedesktop.DBus.Error.PropertyReadOnly"
	errServiceUnknown   = "org.freedesktop.DBus.Error.ServiceUnknown"
	errNoReply          = "org.freedesktop.DBus.Error.NoReply"
	errNameHasNoOwner   = "org.freedesktop.DBus.Error.NameHasNoOwner"
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
		{control.ErrInvalid, errInvalidArgs},
		{context.DeadlineExceeded, errTimeout},
	}
}

// fail makes a D-Bus error; the text is one English sentence.
func fail(name, format string, args ...any) *dbus.Error {
	return dbus.NewError(name, []any{fmt.Sprintf(format, args...)})
}

// busError translates any error to one with a name.
func busError(err error) *dbus.Error {
	if e, ok := errors.AsType[*dbus.Error](err); ok {
		return e
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return fail(errTimeout, "The daemon has not answered within %s.", workTime)
	}
	for _, n := range errorNames() {
		if errors.Is(err, n.err) {
			return fail(n.name, "%s", sentence(err.Error()))
		}
	}
	return fail(errFailed, "%s", sentence(err.Error()))
}

// sentence begins with a capital letter and ends as sentences do. A D-Bus string is UTF-8, so it is made that.
func sentence(s string) string {
	r, n := utf8.DecodeRuneInString(s)
	if r == utf8.RuneError {
		return fmt.Sprintf("%q.", s)
	}
	s = string(unicode.ToUpper(r)) + s[n:]
	if !strings.ContainsAny(s[len(s)-1:], ".?!") {
		s += "."
	}
	if !utf8.ValidString(s) {
		return fmt.Sprintf("%q", s)
	}
	return s
}

// RemoteError is an error that the other end of the bus sent. It unwraps to the error of internal/control that its name
// stands for, if there is one.
type RemoteError struct {
	Name    string // org.exile1.NoSuchJail
	Message string // a sentence, as it came: not safe for a terminal
}

func (e *RemoteError) Error() string { return e.Message }

// Unwrap returns the error of internal/control.
func (e *RemoteError) Unwrap() error {
	for _, n := range errorNames() {
		if n.name == e.Name {
			return n.err
		}
	}
	return nil
}

// remote translates an error of godbus.
func remote(err error) error {
	var e dbus.Error
	switch {
	case errors.Is(err, dbus.ErrClosed), errors.Is(err, io.EOF), errors.Is(err, syscall.EPIPE), errors.Is(err, syscall.ECONNRESET):
		return errLost // as godbus says it
	case !errors.As(err, &e):
		return err
	}
	return &RemoteError{Name: e.Name, Message: e.Error()}
}

// NotRunning reports whether nobody has the name on the bus, and nothing started the daemon.
func (e *RemoteError) NotRunning() bool {
	return e.Name == errServiceUnknown || e.Name == errNameHasNoOwner || strings.HasPrefix(e.Name, "org.freedesktop.systemd1.")
}

// NotStarting reports whether the bus has waited in vain for the daemon to start.
func (e *RemoteError) NotStarting() bool {
	return e.Name == errTimedOut || strings.HasPrefix(e.Name, "org.freedesktop.DBus.Error.Spawn.")
}

// isGone reports whether whoever was called has left the bus.
func isGone(err error) bool {
	e, ok := errors.AsType[*RemoteError](err)
	return ok && (e.Name == errNoReply || e.Name == errServiceUnknown || e.Name == errNameHasNoOwner)
}
