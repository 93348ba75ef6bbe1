// Package dbusapi puts the daemon on the system bus as org.exile1, and has the client that exilectl uses. The objects,
// their methods, properties and signals are tables (manager.go, jail.go, logcontrol.go); introspection is printed from
// the same tables, so that it cannot differ from what is served.
//
// A Service owns no state of the daemon: it translates between messages and the plain types of internal/control. A lost
// bus is connected again while the daemon goes on; a slow or hostile peer costs bounded memory, and nobody but itself.
package dbusapi

import "github.com/godbus/dbus/v5"

// The names of the interface. Everything else that carries them (bus policy, polkit actions, units, man pages) is
// compared with these by a test.
const (
	BusName          = "org.exile1"
	ManagerInterface = BusName + ".Manager"
	JailInterface    = BusName + ".Jail"

	managerPath = dbus.ObjectPath("/org/exile1")
	jailsPath   = managerPath + "/jail"
	logPath     = dbus.ObjectPath("/org/freedesktop/LogControl1")

	peerInterface       = "org.freedesktop.DBus.Peer"
	propertiesInterface = "org.freedesktop.DBus.Properties"
	introspectInterface = "org.freedesktop.DBus.Introspectable"
	objectsInterface    = "org.freedesktop.DBus.ObjectManager"
	logInterface        = "org.freedesktop.LogControl1"
)
