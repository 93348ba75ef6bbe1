// Package dbusapi puts the daemon on the system bus as org.exile1. Its objects, methods, properties and signals are tables, one
// file each; internal/server serves them, internal/exile1 has what goes over the wire. exilectl uses dbusapi/client.
//
// A Service owns no state of the daemon: it translates between messages and the plain types of internal/control.
package dbusapi

import (
	"exile/dbusapi/internal/exile1"
)

// The names of the service and its interfaces.
const (
	BusName          = exile1.BusName
	ManagerInterface = exile1.ManagerInterface
	JailInterface    = exile1.JailInterface
)
