package config

import (
	"fmt"
	"slices"
)

// Reader loads the configuration again and again, but parses it only if its files have changed.
type Reader struct {
	Sources

	files []file
	cfg   *Config
	err   error
}

// Load is [Load] of the Sources.
func (r *Reader) Load() (*Config, error) {
	files, err := r.Sources.files()
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	same := func(a, b file) bool { return a.name == b.name && string(a.data) == string(b.data) }
	if r.cfg == nil && r.err == nil || !slices.EqualFunc(files, r.files, same) {
		r.files = files
		r.cfg, r.err = parseIn(host{r.Root, r.Exists}, files)
	}
	return r.cfg, r.err
}
