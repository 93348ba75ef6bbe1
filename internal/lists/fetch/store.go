package fetch

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"time"
)

// memory is what is remembered of a list from one run to the next.
type memory struct {
	URL      string    `json:"url"`
	ETag     string    `json:"etag,omitempty"`
	Modified string    `json:"modified,omitempty"`
	Whole    time.Time `json:"whole,omitzero"` // when a stream was last got from its beginning; zero: the last run did not end well
}

func (c *Config) memoryPath() string { return filepath.Join(c.Dir, "."+c.Name+".json") }

// recall returns what is remembered, and nothing if that cannot be read: then the list is got as a whole.
func (c *Config) recall() (m memory) {
	data, err := os.ReadFile(c.memoryPath())
	if err != nil || json.Unmarshal(data, &m) != nil {
		return memory{}
	}
	return m
}

func (c *Config) remember(m memory) error {
	return writeFile(c.memoryPath(), func(w io.Writer) error { return json.NewEncoder(w).Encode(m) })
}

// replace writes the file of the list.
func (c *Config) replace(write func(io.Writer) error) error { return writeFile(c.path(), write) }

// writeFile replaces a file by what write writes, as a whole or not at all.
func writeFile(path string, write func(io.Writer) error) (err error) {
	next := filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".new")
	f, err := os.OpenFile(next, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	w := bufio.NewWriter(f)
	err = write(w)
	if err == nil {
		err = errors.Join(w.Flush(), f.Chmod(0o644), f.Sync()) // whatever the umask, exiled has to read it
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(next, path)
	}
	if err != nil {
		_ = os.Remove(next) // else the next run does
	}
	return err
}
