package client

import (
	"errors"
	"io"
	"strings"
	"syscall"

	"github.com/godbus/dbus/v5"

	"exile/dbusapi/internal/bus"
	"exile/dbusapi/internal/exile1"
)

// RemoteError is an error that the other end of the bus sent. It unwraps to the error of internal/control that its name
// stands for, if there is one.
type RemoteError struct {
	Name    string // org.exile1.NoSuchJail
	Message string // a sentence, as it came: not safe for a terminal
}

func (e *RemoteError) Error() string { return e.Message }

// Unwrap returns the error of internal/control.
func (e *RemoteError) Unwrap() error { return exile1.ErrorOf(e.Name) }

// remote translates an error of godbus.
func remote(err error) error {
	var e dbus.Error
	switch {
	case errors.Is(err, dbus.ErrClosed), errors.Is(err, io.EOF), errors.Is(err, syscall.EPIPE), errors.Is(err, syscall.ECONNRESET):
		return bus.ErrLost // as godbus says it
	case !errors.As(err, &e):
		return err
	}
	return &RemoteError{Name: e.Name, Message: e.Error()}
}

// NotRunning reports whether the daemon is not on the bus, and was not started.
func (e *RemoteError) NotRunning() bool {
	return e.Name == bus.ServiceUnknown || e.Name == bus.NameHasNoOwner || strings.HasPrefix(e.Name, "org.freedesktop.systemd1.")
}

// NotStarting reports whether the bus waited in vain for the daemon to start.
func (e *RemoteError) NotStarting() bool {
	return e.Name == bus.TimedOut || strings.HasPrefix(e.Name, "org.freedesktop.DBus.Error.Spawn.")
}

// Denied reports whether the caller may not do what it asked for.
func (e *RemoteError) Denied() bool { return e.Name == bus.AccessDenied }

// isGone reports whether the daemon has left the bus.
func isGone(err error) bool {
	e, ok := errors.AsType[*RemoteError](err)
	return ok && (e.Name == bus.NoReply || e.Name == bus.ServiceUnknown || e.Name == bus.NameHasNoOwner)
}
