package main

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// logLimit is how many lines journald accepts from a service in a time; it drops the rest.
type logLimit struct {
	lines uint64 // 0: no limit
	in    time.Duration
}

// perMinute returns the limit in lines per minute; 0: none.
func (l logLimit) perMinute() uint64 {
	if l.lines == 0 || l.in <= 0 {
		return 0
	}
	return uint64(float64(l.lines) * float64(time.Minute) / float64(l.in))
}

// limitOf returns the limit of the first of the units that has its own, or else that of journald.conf(5). root is where the files of the host
// are.
func limitOf(root string, units []string) logLimit {
	for _, unit := range units {
		lines, err := os.Readlink(filepath.Join(root, "run/systemd/units/log-rate-limit-burst:"+unit))
		if err != nil {
			continue
		}
		in, _ := os.Readlink(filepath.Join(root, "run/systemd/units/log-rate-limit-interval:"+unit))
		n, err := strconv.ParseUint(lines, 10, 64)
		micros, err2 := strconv.ParseInt(in, 10, 64)
		if err == nil && err2 == nil {
			return logLimit{n, time.Duration(micros) * time.Microsecond}
		}
	}
	return journaldLimit(root)
}

// journaldLimit reads journald.conf(5) and its drop-ins; what cannot be read leaves the default of journald.
func journaldLimit(root string) logLimit {
	limit := logLimit{10_000, 30 * time.Second}
	dropIns := make(map[string]string)
	var files []string
	for _, dir := range []string{"usr/lib/systemd", "usr/local/lib/systemd", "run/systemd", "etc/systemd"} {
		main := filepath.Join(root, dir, "journald.conf")
		if _, err := os.Stat(main); err == nil {
			files = []string{main}
		}
		found, _ := filepath.Glob(main + ".d/*.conf") // the pattern is well formed
		for _, f := range found {
			dropIns[filepath.Base(f)] = f
		}
	}
	for _, name := range slices.Sorted(maps.Keys(dropIns)) {
		files = append(files, dropIns[name])
	}
	for _, f := range files {
		text, _ := os.ReadFile(f)
		for line := range strings.Lines(string(text)) {
			limit.set(strings.TrimSpace(line))
		}
	}
	return limit
}

// set reads a line of journald.conf.
func (l *logLimit) set(line string) {
	key, value, _ := strings.Cut(line, "=")
	value = strings.TrimSpace(value)
	switch strings.TrimSpace(key) {
	case "RateLimitBurst":
		if n, err := strconv.ParseUint(value, 10, 64); err == nil {
			l.lines = n
		}
	case "RateLimitIntervalSec", "RateLimitInterval":
		if n, err := strconv.ParseUint(value, 10, 32); err == nil {
			l.in = time.Duration(n) * time.Second
		} else if in, err := time.ParseDuration(strings.Replace(value, "min", "m", 1)); err == nil {
			l.in = in
		}
	}
}
