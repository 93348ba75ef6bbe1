package systemd

import (
	"context"
	"fmt"

	"github.com/godbus/dbus/v5"

	"exile/dbusapi/internal/bus"
)

// Reload asks systemd on the bus at address ("" is the system bus) to reload a unit, and waits until that is done. A unit that does not run
// has nothing to reload.
func Reload(ctx context.Context, address, unit string) error {
	conn, err := bus.Connect(ctx, address)
	if err != nil {
		return fmt.Errorf("reload %s: %w", unit, err)
	}
	defer conn.Close()
	ended := make(chan *dbus.Signal, 64)
	conn.Signal(ended)
	err = conn.AddMatchSignalContext(ctx, dbus.WithMatchObjectPath(systemdPath), dbus.WithMatchInterface(systemdManager), dbus.WithMatchMember("JobRemoved"))
	if err != nil {
		return fmt.Errorf("reload %s: %w", unit, err)
	}
	manager := conn.Object(systemdName, systemdPath)
	var listed []listedUnit
	if err := manager.CallWithContext(ctx, systemdManager+".ListUnitsByNames", 0, []string{unit}).Store(&listed); err != nil {
		return fmt.Errorf("reload %s: %w", unit, err)
	}
	if len(listed) != 1 || listed[0].Load == "not-found" {
		return fmt.Errorf("reload %s: there is no such unit", unit)
	}
	if active := listed[0].Active; active == "inactive" || active == "failed" {
		return nil
	}
	// Subscribe is for other signals of systemd: whoever asked for a job hears of its end.
	var job dbus.ObjectPath
	if err := manager.CallWithContext(ctx, systemdManager+".ReloadUnit", 0, unit, "replace").Store(&job); err != nil {
		return fmt.Errorf("reload %s: %w", unit, err)
	}
	return waitJob(ctx, ended, unit, job)
}

// waitJob waits for the end of a job.
func waitJob(ctx context.Context, ended <-chan *dbus.Signal, unit string, job dbus.ObjectPath) error {
	for {
		select {
		case <-ctx.Done():
			return fmt.Errorf("reload %s: %w", unit, context.Cause(ctx))
		case s, ok := <-ended:
			if !ok {
				return fmt.Errorf("reload %s: %w", unit, bus.ErrLost)
			}
			if len(s.Body) != 4 || s.Body[1] != job {
				continue
			}
			if result, _ := s.Body[3].(string); result != "done" {
				return fmt.Errorf("reload %s: the job ended with the result %q; see journalctl -u %[1]s", unit, result)
			}
			return nil
		}
	}
}
