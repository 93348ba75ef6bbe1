// Package systemd asks systemd and logind what they know of units and sessions.
package systemd

import (
	"cmp"
	"context"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/godbus/dbus/v5"

	"exile/dbusapi/internal/bus"
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

// Units asks systemd on the bus at address ("" is the system bus) about the units with these names and patterns, and about the
// sockets that start instances of their templates.
func Units(ctx context.Context, address string, units []string) (s control.Service, err error) {
	conn, err := bus.Connect(ctx, address)
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
			s.Namespace = cmp.Or(s.Namespace, unitText(ctx, o, "LogNamespace"))
		}
	}
	if !s.Exists {
		s.Exists, err = hasUnitFile(ctx, manager, units)
	}
	return s, err
}

// Namespaces returns the journal namespaces into which units with these names and patterns log, sorted, without that of the host; see
// LogNamespace= in systemd.exec(5). Units that are not loaded have none.
func Namespaces(ctx context.Context, address string, units []string) (all []string, err error) {
	conn, err := bus.Connect(ctx, address)
	if err != nil {
		return nil, fmt.Errorf("ask systemd for units: %w", err)
	}
	defer conn.Close()
	var listed []listedUnit
	err = conn.Object(systemdName, systemdPath).CallWithContext(ctx, systemdManager+".ListUnitsByPatterns", 0, []string{}, units).Store(&listed)
	if err != nil {
		return nil, fmt.Errorf("ask systemd for units: %w", err)
	}
	for _, u := range listed[:min(len(listed), maxUnits)] {
		if name := unitText(ctx, conn.Object(systemdName, u.Path), "LogNamespace"); name != "" && u.Load == "loaded" {
			all = append(all, name)
		}
	}
	slices.Sort(all)
	return slices.Compact(all), nil
}

// CannotStart is how the STATUS= of a daemon of ours begins when it ends because it cannot start; the reason follows.
const CannotStart = "Cannot start: "

// Starting reports whether systemd is about to start a unit, or has started it; or, until the next one, why the
// last failed, as the unit's STATUS= says.
func Starting(ctx context.Context, conn *dbus.Conn, unit string) (starting bool, failed string) {
	var listed []listedUnit
	err := conn.Object(systemdName, systemdPath).CallWithContext(ctx, systemdManager+".ListUnitsByPatterns", dbus.FlagNoAutoStart,
		[]string{}, []string{unit}).Store(&listed)
	if err != nil || len(listed) != 1 {
		return false, ""
	}
	u := listed[0]
	if u.Active != "inactive" && u.Active != "failed" { // it may still be there, because a failing start takes its time to end
		if why, ok := strings.CutPrefix(unitText(ctx, conn.Object(systemdName, u.Path), "StatusText"), CannotStart); ok {
			return false, why
		}
	}
	switch u.Active {
	case "active", "activating", "reloading", "refreshing":
		return true, ""
	default:
		return u.JobType == "start" || u.JobType == "restart", "" // it was stopped to be started
	}
}

// Running asks systemd which of these units it has started.
func Running(ctx context.Context, conn *dbus.Conn, units []string) (running []string, err error) {
	var listed []listedUnit
	err = conn.Object(systemdName, systemdPath).CallWithContext(ctx, systemdManager+".ListUnitsByPatterns", dbus.FlagNoAutoStart,
		[]string{"active"}, units).Store(&listed)
	for _, u := range listed[:min(len(listed), maxUnits)] {
		running = append(running, u.Name)
	}
	return running, err
}

// Restarts asks systemd on the bus at address how often it has restarted a unit on its own since somebody last asked for a start.
func Restarts(ctx context.Context, address, unit string) (uint32, error) {
	conn, err := bus.Connect(ctx, address)
	if err != nil {
		return 0, fmt.Errorf("ask systemd for restarts: %w", err)
	}
	defer conn.Close()
	var path dbus.ObjectPath
	if err := conn.Object(systemdName, systemdPath).CallWithContext(ctx, systemdManager+".GetUnit", 0, unit).Store(&path); err != nil {
		return 0, fmt.Errorf("ask systemd for restarts: %w", err)
	}
	return unitNumber[uint32](ctx, conn.Object(systemdName, path), "Service", "NRestarts"), nil
}

// Programs asks systemd on the bus at address which services run that match these patterns and whose program has that name.
func Programs(ctx context.Context, address string, patterns []string, program string) (all []control.Program, err error) {
	conn, err := bus.Connect(ctx, address)
	if err != nil {
		return nil, fmt.Errorf("ask systemd for services: %w", err)
	}
	defer conn.Close()
	manager := conn.Object(systemdName, systemdPath)
	var listed []listedUnit
	err = manager.CallWithContext(ctx, systemdManager+".ListUnitsByPatterns", 0, []string{"active"}, patterns).Store(&listed)
	if err != nil {
		return nil, fmt.Errorf("ask systemd for services: %w", err)
	}
	for _, u := range listed[:min(len(listed), maxUnits)] {
		if o := conn.Object(systemdName, u.Path); runs(ctx, o) == program {
			all = append(all, control.Program{Unit: u.Name, Namespace: unitText(ctx, o, "LogNamespace")})
		}
	}
	return all, nil
}

// runs is the name of a service's program.
func runs(ctx context.Context, o dbus.BusObject) string {
	var v dbus.Variant
	if o.CallWithContext(ctx, bus.Properties+".Get", 0, systemdName+".Service", "ExecStart").Store(&v) != nil {
		return ""
	}
	commands, _ := v.Value().([][]any)
	if len(commands) == 0 || len(commands[0]) == 0 {
		return ""
	}
	name, _ := commands[0][0].(string)
	return path.Base(name)
}

// unitText is a property of a service; empty if systemd does not tell.
func unitText(ctx context.Context, o dbus.BusObject, name string) string {
	var v dbus.Variant
	if o.CallWithContext(ctx, bus.Properties+".Get", 0, systemdName+".Service", name).Store(&v) != nil {
		return ""
	}
	text, _ := v.Value().(string)
	return text
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

// unitNumber is a property of a unit; 0 if systemd does not know.
func unitNumber[T uint32 | uint64](ctx context.Context, o dbus.BusObject, kind, name string) T {
	var v dbus.Variant
	if o.CallWithContext(ctx, bus.Properties+".Get", 0, systemdName+"."+kind, name).Store(&v) != nil {
		return 0
	}
	n, _ := v.Value().(T)
	if n == ^T(0) { // not accounted
		return 0
	}
	return n
}

// hasUnitFile reports whether a unit with one of these names or patterns is installed and can be started.
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
