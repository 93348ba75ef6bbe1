package config

import (
	"maps"
	"path"
	"slices"

	"exile/jail/filter/services"
)

// ParseWith parses a file whose jails may also use filters that are not on disk yet. These are the texts of their files, by their names.
func ParseWith(name string, data []byte, own map[string]string) (*Config, error) {
	files := []file{{name: name, data: data}}
	for _, filter := range slices.Sorted(maps.Keys(own)) {
		files = append(files, file{name: path.Join(FilterDir, filter+services.Suffix), data: []byte(own[filter])})
	}
	return parse(files)
}
