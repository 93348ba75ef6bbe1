package config

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"exile/jail/filter/services"
)

// FilterDir is the folder of filters, in each folder of the configuration.
const FilterDir = "filters.d"

// isFilter reports whether a file of the configuration is a filter.
func (f *file) isFilter() bool { return path.Base(path.Dir(f.name)) == FilterDir }

// filters are the files in which root replaces or adds filters.
type filters []file

// find returns the filter of that name. It returns nil if no such filter exists.
func (own filters) find(name string) (*services.Service, error) {
	for i := range own {
		if path.Base(own[i].name) == name+services.Suffix {
			return services.Parse(own[i].name, own[i].data)
		}
	}
	data, err := services.Shipped(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return services.Parse(name+services.Suffix, data)
}

// Filter returns the filter of that name as a jail would use it, or the one in the file of that path.
func (s Sources) Filter(name string) (*services.Service, error) {
	if strings.ContainsRune(name, '/') || strings.HasSuffix(name, services.Suffix) {
		f, err := readFile(name)
		if err != nil {
			return nil, err
		}
		return services.Parse(f.name, f.data)
	}
	own, err := s.filterFiles()
	if err != nil {
		return nil, err
	}
	found, err := filters(own).find(name)
	if found == nil && err == nil {
		err = noFilter(name)
	}
	return found, err
}

// FilterText returns the text of the filter of that name as it would be used. It need not be free of mistakes.
func (s Sources) FilterText(name string) (string, error) {
	own, err := s.filterFiles()
	if err != nil {
		return "", err
	}
	for i := range own {
		if path.Base(own[i].name) == name+services.Suffix {
			return string(own[i].data), nil
		}
	}
	data, err := services.Shipped(name)
	if errors.Is(err, fs.ErrNotExist) {
		err = noFilter(name)
	}
	return string(data), err
}

func noFilter(name string) error {
	return fmt.Errorf("filter %q: there is no such filter; \"exilectl list-filters\" shows those there are", name)
}

// Filters returns the names of all filters of services, sorted: those that ship and those that root added.
func (s Sources) Filters() ([]string, error) {
	own, err := s.filterFiles()
	names := services.Names()
	for _, f := range own {
		names = append(names, strings.TrimSuffix(path.Base(f.name), services.Suffix))
	}
	slices.Sort(names)
	return slices.Compact(names), err
}

// filterFiles reads the files in which root replaces or adds filters.
func (s Sources) filterFiles() ([]file, error) { return s.filesIn(FilterDir) }
