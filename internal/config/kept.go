package config

import (
	"encoding/json"
	"fmt"
)

// kept is the form in which files are kept: unmerged, because the order of files decides what a key means.
type kept struct {
	Files []keptFile `json:"files"`
}

type keptFile struct {
	Name string `json:"name"`
	Text string `json:"text"`
}

// Pack returns the files that the configuration was read from, for Unpack.
func (c *Config) Pack() ([]byte, error) {
	var k kept
	for _, f := range c.files {
		k.Files = append(k.Files, keptFile{f.name, string(f.data)})
	}
	return json.Marshal(k)
}

// Unpack returns the configuration whose files were packed, perhaps by an earlier version.
func Unpack(packed []byte) (*Config, error) {
	var k kept
	if err := json.Unmarshal(packed, &k); err != nil {
		return nil, fmt.Errorf("read kept configuration: %w", err)
	}
	files := make([]file, len(k.Files))
	for i, f := range k.Files {
		files[i] = file{f.Name, []byte(f.Text)}
	}
	return parse(files)
}
