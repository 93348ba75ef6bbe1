// Package exile1 is org.exile1 as it goes over the wire: its names, records and errors. The daemon and its client share it.
package exile1

import (
	"fmt"
	"strings"

	"github.com/godbus/dbus/v5"
)

// The names of the service. Everything else that carries them (bus policy, polkit actions, units, man pages) is compared with
// these by a test.
const (
	BusName          = "org.exile1"
	ManagerInterface = BusName + ".Manager"
	JailInterface    = BusName + ".Jail"
	ManagerPath      = dbus.ObjectPath("/org/exile1")
	JailsPath        = ManagerPath + "/jail"
)

// Flags of Ban. JavaScript cannot send Infinity, so permanent is a flag too.
const (
	FlagPermanent = 1 << iota
	FlagForce
)

// JailPath is the object of a jail.
func JailPath(name string) dbus.ObjectPath {
	return JailsPath + "/" + dbus.ObjectPath(Label(name))
}

// Label writes any name as one part of an object path, as sd_bus_path_encode does.
func Label(name string) string {
	if name == "" {
		return "_"
	}
	var b strings.Builder
	for i := range len(name) {
		c := name[i]
		letter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
		if letter || i > 0 && '0' <= c && c <= '9' {
			b.WriteByte(c)
			continue
		}
		fmt.Fprintf(&b, "_%02x", c)
	}
	return b.String()
}
