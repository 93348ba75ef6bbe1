package dbusapi

import (
	"log/slog"
	"os"
	"path/filepath"
)

// logLevel is a row of the table between the levels of syslog and those of slog.
type logLevel struct {
	name  string
	level slog.Level
}

// logLevels is ordered from most to least severe.
func logLevels() []logLevel {
	return []logLevel{
		{"emerg", slog.LevelError + 12},
		{"alert", slog.LevelError + 8},
		{"crit", slog.LevelError + 4},
		{"err", slog.LevelError},
		{"warning", slog.LevelWarn},
		{"notice", slog.LevelInfo + 2},
		{"info", slog.LevelInfo},
		{"debug", slog.LevelDebug},
	}
}

// LogLevelName is the syslog name of a level: the least severe that l lets through.
func LogLevelName(l slog.Level) string {
	for _, row := range logLevels() {
		if l >= row.level {
			return row.name
		}
	}
	return "debug"
}

// ParseLogLevel is the inverse of LogLevelName.
func ParseLogLevel(name string) (slog.Level, bool) {
	for _, row := range logLevels() {
		if row.name == name {
			return row.level, true
		}
	}
	return 0, false
}

// logControl is the table of org.freedesktop.LogControl1.
func logControl() *iface {
	return &iface{name: logInterface, properties: []property{
		{"LogLevel", "s", emitsFalse, func(f facts) any { return LogLevelName(f.service.cfg.LogLevel.Level()) }, setLogLevel},
		{"LogTarget", "s", emitsFalse, func(f facts) any { return f.service.cfg.LogTarget }, setLogTarget},
		{"SyslogIdentifier", "s", emitsConst, func(facts) any { return filepath.Base(os.Args[0]) }, nil},
	}}
}

func setLogLevel(c *call, v any) error {
	name, _ := v.(string)
	level, ok := ParseLogLevel(name)
	if !ok {
		return fail(errInvalidArgs, "Invalid log level %q.", name)
	}
	c.session.service.cfg.LogLevel.Set(level)
	return nil
}

// setLogTarget accepts what is: where the log goes is decided by who started the program.
func setLogTarget(c *call, v any) error {
	if target, _ := v.(string); target != c.session.service.cfg.LogTarget && target != "auto" {
		return fail(errNotSupported, "The log target cannot be changed to %q while running.", target)
	}
	return nil
}

// LogLevelNames lists the names that LogLevel can have.
func LogLevelNames() []string {
	var out []string
	for _, row := range logLevels() {
		out = append(out, row.name)
	}
	return out
}
