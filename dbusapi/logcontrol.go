package dbusapi

import (
	"os"
	"path/filepath"

	"exile/dbusapi/internal/bus"
	"exile/dbusapi/internal/exile1"
	"exile/dbusapi/internal/server"
	"exile/internal/control"
)

// logControl is the table of org.freedesktop.LogControl1.
func (r *rows) logControl() *server.Interface {
	return &server.Interface{Name: bus.LogControl, Properties: []server.Property{
		{Name: "LogLevel", Sig: "s", Emits: server.EmitsFalse, Get: func(any) any { return exile1.LogLevelName(r.LogLevel.Level()) }, Set: r.setLogLevel},
		{Name: "LogTarget", Sig: "s", Emits: server.EmitsFalse, Get: func(any) any { return r.LogTarget }, Set: r.setLogTarget},
		{Name: "SyslogIdentifier", Sig: "s", Emits: server.EmitsConst, Get: func(any) any { return filepath.Base(os.Args[0]) }},
	}}
}

func (r *rows) setLogLevel(c *server.Call, v any) error {
	if err := c.Authorize(r.action(control.MayManage)); err != nil {
		return err
	}
	name, _ := v.(string)
	level, ok := exile1.ParseLogLevel(name)
	if !ok {
		return bus.Errorf(bus.InvalidArgs, "Invalid log level %q.", name)
	}
	r.LogLevel.Set(level)
	return nil
}

// setLogTarget accepts the present one: where the log goes is decided by whoever started the program.
func (r *rows) setLogTarget(c *server.Call, v any) error {
	if err := c.Authorize(r.action(control.MayManage)); err != nil {
		return err
	}
	if target, _ := v.(string); target != r.LogTarget && target != "auto" {
		return bus.Errorf(bus.NotSupported, "The log target cannot be changed to %q while running.", target)
	}
	return nil
}
