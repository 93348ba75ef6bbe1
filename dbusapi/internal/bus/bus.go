// Package bus has what every program on a D-Bus needs and godbus does not bring: where the bus is, and the names of its own
// interfaces and errors. It knows nothing of exile.
package bus

import (
	"errors"
	"fmt"

	"github.com/godbus/dbus/v5"
)

// The interfaces that the D-Bus specification and systemd define.
const (
	Driver         = "org.freedesktop.DBus" // the bus itself: its name and its interface
	Peer           = "org.freedesktop.DBus.Peer"
	Properties     = "org.freedesktop.DBus.Properties"
	Introspectable = "org.freedesktop.DBus.Introspectable"
	ObjectManager  = "org.freedesktop.DBus.ObjectManager"
	LogControl     = "org.freedesktop.LogControl1"
)

// LogControlPath is where every service has the object that sets its log level.
const LogControlPath = dbus.ObjectPath("/org/freedesktop/LogControl1")

// The names of errors that the specification and the buses define.
const (
	Failed           = "org.freedesktop.DBus.Error.Failed"
	InvalidArgs      = "org.freedesktop.DBus.Error.InvalidArgs"
	AccessDenied     = "org.freedesktop.DBus.Error.AccessDenied"
	Interactive      = "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired"
	NotSupported     = "org.freedesktop.DBus.Error.NotSupported"
	LimitsExceeded   = "org.freedesktop.DBus.Error.LimitsExceeded"
	TimedOut         = "org.freedesktop.DBus.Error.TimedOut" // the bus sends this one, services send Timeout
	Timeout          = "org.freedesktop.DBus.Error.Timeout"
	SpawnFailed      = "org.freedesktop.DBus.Error.Spawn.Failed"
	UnknownObject    = "org.freedesktop.DBus.Error.UnknownObject"
	UnknownInterface = "org.freedesktop.DBus.Error.UnknownInterface"
	UnknownMethod    = "org.freedesktop.DBus.Error.UnknownMethod"
	UnknownProperty  = "org.freedesktop.DBus.Error.UnknownProperty"
	ReadOnly         = "org.freedesktop.DBus.Error.PropertyReadOnly"
	ServiceUnknown   = "org.freedesktop.DBus.Error.ServiceUnknown"
	NoReply          = "org.freedesktop.DBus.Error.NoReply"
	NameHasNoOwner   = "org.freedesktop.DBus.Error.NameHasNoOwner"
)

// MaxMessage is the largest message, in bytes, that our services read: no sensible call has more than a few strings. Clients
// split what would be larger.
const MaxMessage = 32 << 10

// ErrLost is the end of a connection for which the bus gave no reason.
var ErrLost = errors.New("connection to the bus was lost")

// Errorf makes a D-Bus error; the text is one English sentence.
func Errorf(name, format string, args ...any) *dbus.Error {
	return dbus.NewError(name, []any{fmt.Sprintf(format, args...)})
}
