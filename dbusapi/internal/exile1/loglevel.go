package exile1

import "log/slog"

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

// LogLevelNames lists the names of the log levels.
func LogLevelNames() []string {
	var out []string
	for _, row := range logLevels() {
		out = append(out, row.name)
	}
	return out
}
