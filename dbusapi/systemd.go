package dbusapi

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/godbus/dbus/v5"

	"exile/internal/control"
)

// The names of systemd, see org.freedesktop.systemd1(5).
const (
	systemdName    = "org.freedesktop.systemd1"
	systemdPath    = dbus.ObjectPath("/org/freedesktop/systemd1")
	systemdManager = systemdName + ".Manager"
)

// maxUnits bounds what is asked of systemd: instances of templates can be many.
const maxUnits = 64

// listedUnit is one entry of ListUnitsByPatterns.
type listedUnit struct {
	Name, Description, Load, Active, Sub, Following string
	Path                                            dbus.ObjectPath
	JobID                                           uint32
	JobType                                         string
	JobPath                                         dbus.ObjectPath
}

// Units asks systemd on the bus at address ("" is the system bus) what the units of these names and patterns do, and the
// sockets that start instances of their templates.
func Units(ctx context.Context, address string, units []string) (s control.Service, err error) {
	conn, err := connect(ctx, address)
	if err != nil {
		return s, fmt.Errorf("ask systemd for units: %w", err)
	}
	defer conn.Close()
	manager := conn.Object(systemdName, systemdPath)
	var listed []listedUnit
	err = manager.CallWithContext(ctx, systemdManager+".ListUnitsByPatterns", 0, []string{}, withSockets(units)).Store(&listed)
	if err != nil {
		return s, fmt.Errorf("ask systemd for units: %w", err)
	}
	for _, u := range listed[:min(len(listed), maxUnits)] {
		o := conn.Object(systemdName, u.Path)
		switch isSocket := strings.HasSuffix(u.Name, ".socket"); {
		case isSocket:
			s.Accepted += uint64(unitNumber[uint32](ctx, o, "Socket", "NAccepted"))
		case u.Load == "loaded":
			s.Exists = true
			s.Worked += time.Duration(unitNumber[uint64](ctx, o, "Service", "CPUUsageNSec"))
		}
	}
	if !s.Exists {
		s.Exists, err = hasUnitFile(ctx, manager, units)
	}
	return s, err
}

// withSockets adds the sockets of the templates: ssh@*.service are instances that ssh.socket starts.
func withSockets(units []string) []string {
	all := slices.Clone(units)
	for _, u := range units {
		if name, _, ok := strings.Cut(u, "@"); ok {
			all = append(all, name+".socket")
		}
	}
	return all
}

// unitNumber is a property that systemd tells of a unit; 0 where it does not know.
func unitNumber[T uint32 | uint64](ctx context.Context, o dbus.BusObject, kind, name string) T {
	var v dbus.Variant
	if o.CallWithContext(ctx, propertiesInterface+".Get", 0, systemdName+"."+kind, name).Store(&v) != nil {
		return 0
	}
	n, _ := v.Value().(T)
	if n == ^T(0) { // not accounted
		return 0
	}
	return n
}

// hasUnitFile reports whether a unit of these names and patterns is installed, and could be started.
func hasUnitFile(ctx context.Context, manager dbus.BusObject, units []string) (bool, error) {
	var files []struct{ Path, State string }
	err := manager.CallWithContext(ctx, systemdManager+".ListUnitFilesByPatterns", 0, []string{}, units).Store(&files)
	if err != nil {
		return false, fmt.Errorf("ask systemd for unit files: %w", err)
	}
	for _, f := range files {
		if !strings.HasPrefix(f.State, "masked") {
			return true, nil
		}
	}
	return false, nil
}
